"""How our own SSH client enters a server: by the named key and the named known host, by nothing else of the user's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def login(ssh: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
    """The arguments of `asyncssh.connect`. ssh: the attribute of a server. No agent, no password, no configuration."""
    return {
        "host": ssh["host"],
        "port": int(ssh["port"]),
        "username": ssh["user"],
        "client_keys": [str(ssh["identity_file"])],
        "known_hosts": str(ssh["known_hosts_file"]),
        "config": None,
        "agent_path": None,
        "connect_timeout": timeout_s,
    }
