"""The SSH door of a double's servers: shut, then open. There is no machine behind it."""

from __future__ import annotations

import asyncio
import socket
import threading
from pathlib import Path
from typing import Any

import asyncssh

from provisioning_core.doubles.upcloud.machines import NoMachines


class Door(NoMachines):
    """Of all servers of a double. Its port is taken from the beginning on, so that nobody else listens there."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._loop = asyncio.new_event_loop()
        self._thread: threading.Thread | None = None
        self.entered = 0

    def behind(self, double: Any) -> None:
        """All servers that it makes from now on have this door."""
        holder = getattr(double, "_servers", None) or double.behind
        holder._machines = self

    def create(self, server: Any) -> dict[str, Any]:
        host, port = self._socket.getsockname()
        return {"host": host, "port": port, "user": "root", "private": "10.0.0.9"}

    def open(self) -> None:
        """Whoever comes with a key is let in."""
        door = self

        class Porter(asyncssh.SSHServer):
            def public_key_auth_supported(self) -> bool:
                return True

            def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
                return True

            def auth_completed(self) -> None:
                door.entered += 1

        keys = [asyncssh.generate_private_key("ssh-ed25519")]
        self._loop.run_until_complete(asyncssh.listen(sock=self._socket, server_factory=Porter, server_host_keys=keys))
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def shut(self) -> None:
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()
        self._socket.close()


def program(provider: str, workspace: Path, settings: dict[str, Any]) -> str:
    """What makes the wish on its standard input, and is killed where it would wait for SSH."""
    return f"""
import importlib, json, os, sys
from pathlib import Path
from provisioning_core.provider import Wish
from provisioning_core.providers import access
access.wait_for_ssh = lambda *_, **__: os.kill(os.getpid(), 9)
module, _, name = {provider!r}.partition(":")
provider = getattr(importlib.import_module(module), name)
provider(Path({str(workspace)!r}), {settings!r}).create(Wish(**json.load(sys.stdin)))
"""
