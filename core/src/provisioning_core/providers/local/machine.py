"""The first process of a machine: its SSH server, and the parent of everything in it.

It runs inside the machine's namespaces, where no module can be imported any more (the interpreter may lie in a
directory that the machine does not see): `warm_up` has used every path once before the first fork.

To the room it says one line on the control socket, `ready` or `failed REASON`; from the room it hears the table of
names in its network, and by the end of file that the room is dead, which ends the machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import asyncssh

from . import boot, forward, processes
from .session import Sessions, environment
from .setting import Setting

_HOSTS_MARKS = ("# machines of this network (kept by provisioning)", "# end of machines")
_KEYS_MARKS = ("# keys of the definition (kept by provisioning)", "# end of keys")
_CHUNK = 65536
_ENDING_S = 5.0


def serve(setting: Setting, listener: socket.socket, control: socket.socket) -> None:
    """Serve until the end of the machine."""
    os.umask(0o022)
    os.chdir(setting.home)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    asyncio.run(_Machine(setting).serve(listener, control))


def warm_up() -> None:
    """Once in the room: a session, a terminal, a file transfer and a forwarded connection, so that all is imported."""
    asyncio.run(_warm_up())


class _Machine:
    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self._sessions = Sessions(setting)
        self._alone = asyncio.Event()  # nobody else is left in it

    async def serve(self, listener: socket.socket, control: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        over = asyncio.Event()
        loop.add_signal_handler(signal.SIGCHLD, self.reap)
        loop.add_signal_handler(signal.SIGTERM, over.set)
        self._keep_keys(self.setting.ssh_keys)
        acceptor = await asyncssh.listen(sock=listener, **self.options())
        control.setblocking(False)
        await loop.sock_sendall(control, b"ready\n")
        if self.setting.first:
            boot.begin(self.setting, {"LANG": "C.UTF-8", **environment(self.setting)})
        hears = asyncio.create_task(self._hear(control, over))
        await over.wait()
        hears.cancel()
        acceptor.close()  # not waited for: from Python 3.12 on that would be until the last session has left
        if self.setting.first:
            await self._ask_all_to_end()
        self._end_everything()

    def options(self) -> dict[str, Any]:
        return {
            "server_factory": lambda: _Door(self.setting),
            "server_host_keys": [asyncssh.import_private_key(self.setting.host_key)],
            "process_factory": self._sessions.run,
            "sftp_factory": _Sftp,
            "allow_scp": True,
            "encoding": None,
            "line_editor": False,
            "agent_forwarding": False,
            "gss_host": None,
            "login_timeout": 30,
        }

    async def _hear(self, control: socket.socket, over: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        pending = b""
        while data := await loop.sock_recv(control, _CHUNK):
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                told = json.loads(line)
                if "names" in told:
                    table = [f"{address}\t{name}" for name, address in sorted(told["names"].items())]
                    _keep(Path("/etc/hosts"), _HOSTS_MARKS, table)
                else:
                    self._keep_keys(told["ssh_keys"])
                    await loop.sock_sendall(control, b"ok\n")
        over.set()

    def _keep_keys(self, keys: Sequence[str]) -> None:
        _keep(Path(self.setting.home, ".ssh/authorized_keys"), _KEYS_MARKS, keys)

    def reap(self) -> None:
        """As pid 1 we inherit every orphan; the sessions hear of their own."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._alone.set()
                return
            if pid == 0:
                return
            self._sessions.reaped(pid, status)

    async def _ask_all_to_end(self) -> None:
        """So that a database can close its files: what is left after that the kernel kills with us."""
        with contextlib.suppress(ProcessLookupError, TimeoutError):
            os.kill(-1, signal.SIGTERM)  # all but ourselves, the first process
            self._alone.clear()
            self.reap()
            async with asyncio.timeout(_ENDING_S):
                await self._alone.wait()

    def _end_everything(self) -> None:
        """Without a pid namespace nobody kills for us what our sessions have left behind."""
        if not self.setting.first:
            while below := processes.descendants(os.getpid()):
                for identity in below:
                    processes.end(identity, (signal.SIGKILL,), grace_s=0)
                self.reap()


class _Door(asyncssh.SSHServer):
    """Who may come in: the workspace's key, and those in the user's own authorized_keys. Anything may be forwarded."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        if username == self._setting.user:
            keys = self._setting.public_key
            try:
                keys += Path(self._setting.home, ".ssh/authorized_keys").read_text()
                self._connection.set_authorized_keys(asyncssh.import_authorized_keys(keys))
            except (OSError, ValueError):
                self._connection.set_authorized_keys(asyncssh.import_authorized_keys(self._setting.public_key))
        return True

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> Coroutine[Any, Any, Any]:
        return forward.to_port(dest_host, dest_port)

    def server_requested(self, listen_host: str, listen_port: int) -> bool:
        return True

    def unix_connection_requested(self, dest_path: str) -> Coroutine[Any, Any, Any]:
        return forward.to_path(dest_path)


class _Sftp(asyncssh.SFTPServer):
    def exit(self) -> None:
        self.channel.exit(0)  # else OpenSSH's scp reports a failure after a whole copy


def _keep(path: Path, marks: tuple[str, str], own: Sequence[str]) -> None:
    """Have these lines between the two marks, and leave the rest as its owner wrote it."""
    try:
        text = path.read_text(errors="surrogateescape") if path.exists() else ""
        lines = text.splitlines()
        if marks[0] in lines and marks[1] in lines:
            del lines[lines.index(marks[0]) : lines.index(marks[1]) + 1]
        elif not own:
            return
        lines += [marks[0], *own, marks[1]] if own else []
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines), errors="surrogateescape")
    except OSError as error:
        logging.warning("cannot keep %s: %s", path, error)


async def _warm_up() -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    public, private = key.export_public_key().decode(), key.export_private_key().decode()
    machine = _Machine(Setting("warm-up", "warm-up", "/", private, public, first=True))
    asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, machine.reap)
    listener = socket.create_server(("127.0.0.1", 0))
    served = await asyncssh.listen(sock=listener, **machine.options())
    client = await asyncssh.connect(
        *listener.getsockname(), username="warm-up", client_keys=[key], known_hosts=None, config=None, agent_path=None
    )
    async with served, client:  # in this order: a listener waits for its connections to end (from Python 3.12 on)
        await client.run("cat >&2; exit 3", input="x")
        await client.run("exit 0", term_type="dumb", term_size=(80, 24))
        async with client.start_sftp_client() as sftp:
            await sftp.listdir("/etc")
            await sftp.getcwd()
        echo = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        async with echo:
            reader, _ = await client.open_connection("localhost", echo.sockets[0].getsockname()[1])
            await reader.read()
        await client.forward_remote_port("127.0.0.1", 0, "127.0.0.1", 9)
    asyncio.get_running_loop().remove_signal_handler(signal.SIGCHLD)
