"""How the system's `ssh` enters a server, with nothing of the user's own configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CONNECT_TIMEOUT_S = 15


def ssh_command(ssh: Mapping[str, Any], line: str) -> list[str]:
    """The argv. Only the named key and the named known host count: no agent, password or configuration of a user."""
    options = {
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "UserKnownHostsFile": _quoted(ssh["known_hosts_file"]),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "UpdateHostKeys": "no",
        "ConnectTimeout": str(CONNECT_TIMEOUT_S),
        "LogLevel": "ERROR",
    }
    argv = ["ssh", "-F", "/dev/null"]
    for name, value in options.items():
        argv += ["-o", f"{name}={value}"]
    argv += ["-i", str(ssh["identity_file"]), "-p", str(int(ssh["port"])), "-l", str(ssh["user"])]
    # After `--` no host name can be taken for an option.
    return [*argv, "--", str(ssh["host"]), *([line] if line else [])]


def _quoted(path: object) -> str:
    """A path inside an option's value: ssh splits it at spaces and expands %."""
    text = str(path).replace("%", "%%")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
