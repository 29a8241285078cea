"""The machine room: one small process per workspace, the parent of all its machines.

It has imported the SSH server once, and every machine is a fork of it (11 MB instead of 40, milliseconds instead of
half a second). It belongs to no attempt: the attempt that starts it hands it over, and with it all its descendants. It
ends with its last machine. When it is killed its machines die with it, at once and by the kernel, so that there never
is a machine that nobody looks after; the registry then says `stopped`, and the next create of the same key starts the
machine again, with its disk, its id and its address.

It does one thing after the other, so two creates of one key are one create and a finding. A client sends one line,
`{"create": wish, "isolation": …, "image": …}`, and hears `{"announce": record}`, then `{"done": record, "created":
bool, "restarted": bool}` or `{"error": {…}}`. `{"start": id}`, and `{"keys": id}` after a change of its SSH keys, are
answered by `{"done": …}`.
`opening` is how it comes to be.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ...errors import ProviderError
from ...provider import Wish
from . import forks, launch, processes, volumes
from .disk import make_disk
from .keys import host_key, workspace_key
from .processes import LINUX
from .registry import Record, Registry, new_record
from .setting import Setting
from .settling import settled, ssh_place

if LINUX:
    from . import hostimage, imagebox, owners, sandbox
    from .imagebox import Layers
    from .network import Networks, Space

_UNUSED_S = 10.0  # a room in which no machine was ever made
_READY_S = 20.0
_REQUEST_S = 5.0
_REQUEST_BYTES_MAX = 4 << 20


@dataclass(frozen=True, slots=True)
class _Living:
    """A machine that runs: its first process is our child. control: our end of its control socket."""

    record: Record
    control: socket.socket


class Room:
    def __init__(self, workspace: Path) -> None:
        self._registry = Registry(workspace)
        self._living: dict[int, _Living] = {}
        self._public_key = workspace_key(self._registry)
        self._networks: Networks | None = None
        self._ground = -1
        self._refusal = self._break_ground()

    def serve(self, listener: socket.socket) -> None:
        """Answer one client after the other, until the last machine is gone."""
        woken, waker = os.pipe()
        for descriptor in (woken, waker):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        unused_until = time.monotonic() + _UNUSED_S
        while True:
            timeout = None if self._living else max(0.0, unused_until - time.monotonic())
            readable, _, _ = select.select([woken, listener.fileno()], [], [], timeout)
            if not readable and not self._living:
                return
            if woken in readable:
                os.read(woken, 4096)
            if self._reap() and not self._living:
                unused_until = 0.0  # what is waiting at the door is still let in
            if listener.fileno() in readable:
                self._attend(listener)

    def _attend(self, listener: socket.socket) -> None:
        client, _ = listener.accept()
        with client:
            client.settimeout(_REQUEST_S)
            try:
                request = _read_line(client)
                if request is None:
                    return  # it only looked whether we are here
                for answer in self._answers(request):
                    client.sendall(json.dumps(answer).encode() + b"\n")
            except OSError as error:
                _log(f"a client went away: {error}")  # what it wished is done all the same

    def _answers(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        try:
            if "create" in request:
                yield from self._create(Wish(**request["create"]), request)
            elif "start" in request:
                yield {"done": asdict(self._start_again(request["start"]))}
            else:
                self._tell_keys(request["keys"])
                yield {"done": None}
        except ProviderError as error:
            yield _problem(error)
        except Exception as error:
            doing = f"create server {request['create'].get('name')!r}" if "create" in request else str(request)
            _log(f"{doing} failed: {type(error).__name__}: {error}")
            yield _problem(ProviderError(f"cannot {doing}: {error}"))

    def _create(self, wish: Wish, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        with self._registry.locked():
            self._registry.sweep()
            record = self._registry.find("server", intent=wish.intent, key=wish.key)
            if record is None:
                fresh, image = new_record(self._registry, wish), request.get("image")
                record = settled(self._registry, fresh, request["isolation"], self._refusal, image)
                self._registry.write(record)
        yield {"announce": asdict(record)}
        with self._registry.locked():
            found = self._registry.get("server", record.id)
            if found is None:
                raise ProviderError(f"server {record.name!r} ({record.id}) was deleted while it was being created")
            record = found
            created, runs = not record.ready, processes.alive(record.process)
            if not runs:
                record = self._start(record)
        yield {"done": asdict(record), "created": created, "restarted": not created and not runs}

    def _start_again(self, id: str) -> Record:
        with self._registry.locked():
            record = self._registry.get("server", id)
            if record is None:
                raise ProviderError(f"there is no server {id}", code="not_found", retryable=False)
            return record if processes.alive(record.process) else self._start(record)

    def _tell_keys(self, id: str) -> None:
        """Return when the machine lets those in that its record names."""
        for living in self._living.values():
            if living.record.id == id:
                with self._registry.locked():
                    record = self._registry.get("server", id)
                    if record is not None:
                        keys = tuple(record.spec.get("ssh_keys") or ())
                        living.control.sendall(json.dumps({"ssh_keys": keys}).encode() + b"\n")
                        living.control.recv(16)
                        self._registry.write(replace(record, told_keys=keys))

    def _layers(self, record: Record) -> Layers:
        assert record.layer is not None
        layer = self._registry.root / "images" / record.layer
        if not layer.is_dir():
            raise OSError(f"its image has gone: there is no {layer}")
        if not layer.is_relative_to(self._registry.root):  # one that is no base of the host's own
            return Layers((str(layer),), first=record.first)
        return hostimage.layers(layer, record.first)

    def _start(self, record: Record) -> Record:
        """Start the machine of this record and wait until it serves. The registry is locked by us."""
        home = self._registry.home("server", record.id)
        user_data = record.spec.get("user_data")
        if record.isolation == "image":
            imagebox.make_image_disk(home, record.name, self._public_key, user_data, record.first)
        else:
            make_disk(home, record.name, self._public_key, user_data)
        volumes.prepare(home, record)
        if record.host_key is None:
            record = replace(record, host_key=host_key(home))
        listener, record = self._listener(record)
        ours, theirs = socket.socketpair()
        with listener, theirs:
            ours.settimeout(_READY_S)
            try:
                pid = self._fork(record, listener, theirs)
                theirs.close()  # else its death would not be seen
                if record.inside:
                    record = replace(record, network_refusal=self._connect(record, ours))
                    ours.sendall(b"go\n")
                heard = ours.recv(65536).decode(errors="replace")
            except OSError as error:
                ours.close()
                raise ProviderError(f"cannot start server {record.name!r}: {error}") from error
        if heard != "ready\n":
            ours.close()  # its end of file ends the machine, if it still lives
            raise ProviderError(
                f"cannot start server {record.name!r}: its SSH server ended early; {_last_line(home / 'machine.log')}"
            )
        keys = tuple(record.spec.get("ssh_keys") or ())
        record = replace(record, process=processes.identify(pid), ready=True, pending=False, told_keys=keys)
        self._living[pid] = _Living(record, ours)
        self._registry.write(record)
        self._registry.write_known_hosts()
        self._tell_names(record.network)
        return record

    def _fork(self, record: Record, listener: socket.socket, theirs: socket.socket) -> int:
        home = self._registry.home("server", record.id)
        setting = Setting(
            hostname=record.name,
            user=record.user,
            home="/root" if record.inside else str(home / "disk/root"),
            host_key=(home / "host_key").read_text(),
            public_key=self._public_key,
            first=record.inside,
            services=record.isolation == "image",
            ssh_keys=tuple(record.spec.get("ssh_keys") or ()),
        )
        if not record.inside:
            return launch.beside(home, setting, listener, theirs)
        layers = self._layers(record) if record.isolation == "image" else None
        try:
            return launch.into_namespaces(home, self._ground, setting, layers, listener, theirs)
        except OSError as error:
            raise OSError(f"{error}; {_last_line(home / 'machine.log')}") from error

    def _connect(self, record: Record, ours: socket.socket) -> str | None:
        """Give the machine its network; None, or why it reaches nobody there."""
        descriptors = socket.recv_fds(ours, 1, 1)[1]
        if not descriptors:
            log = self._registry.home("server", record.id) / "machine.log"
            raise OSError(f"it could not get a file system of its own; {_last_line(log)}")
        (namespace,) = descriptors
        machine = Space(namespace, grounded=record.first is None)
        try:
            assert self._networks is not None
            network = self._registry.get("network", record.network) if record.network else None
            if network is None or network.cidr is None or record.address is None:
                self._networks.isolate(machine)
                return None
            return self._networks.connect(machine, network.id, network.cidr, record.address)
        finally:
            os.close(namespace)

    def _listener(self, record: Record) -> tuple[socket.socket, Record]:
        """A socket of the host for the machine's SSH, at the recorded address, or at another where that is taken."""
        for _ in range(64):
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((record.ssh_host, record.ssh_port))
                listener.listen(128)
                return listener, record
            except OSError as error:
                listener.close()
                if error.errno not in (errno.EADDRINUSE, errno.EADDRNOTAVAIL):
                    raise
            host, port = ssh_place()
            record = replace(record, ssh_host=host, ssh_port=port)
        raise ProviderError(f"no loopback address is free for the SSH server of {record.name!r}")

    def _tell_names(self, network: str | None) -> None:
        """Give every machine of that network the table of all of them."""
        members = [each for each in self._living.values() if network and each.record.network == network]
        table = {each.record.name: str(each.record.address) for each in members}
        for member in members:
            if member.record.inside:
                with contextlib.suppress(OSError):
                    member.control.sendall(json.dumps({"names": table}).encode() + b"\n")

    def _reap(self) -> bool:
        """Bury what has died. True where a machine was among it."""
        dead = []
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid in self._living:
                dead.append(self._living.pop(pid))
        for each in dead:
            each.control.close()
        for network in {each.record.network for each in dead}:
            self._tell_names(network)
        if dead and self._networks is not None:
            self._networks.forget({each.record.network for each in self._living.values() if each.record.network})
        return bool(dead)

    def _break_ground(self) -> str | None:
        """None where machines can have namespaces, else why not."""
        if not LINUX:
            return f"{sys.platform} has no namespaces"
        try:
            os.chdir(self._registry.root)
            forks.answer(sandbox.probe)
            wide = _wide_ground()
            if wide is not None:
                self._ground, self._networks = wide, Networks(wide)
                return None
            ours, theirs = socket.socketpair()
            with ours, theirs:

                def dig() -> bytes:
                    sandbox.break_ground(theirs)
                    return b""

                forks.answer(dig, keep=[theirs.fileno()])
                self._ground = socket.recv_fds(ours, 1, 1)[1][0]
            self._networks = Networks(self._ground)
            return None
        except OSError as error:
            return str(error)
        finally:
            os.chdir("/")


def _wide_ground() -> int | None:
    """With the subordinate ids of whoever runs us, where he has some; root needs none."""
    if os.geteuid() == 0:
        return None
    try:
        return owners.wide_ground()
    except OSError:
        return None


def _read_line(client: socket.socket) -> dict[str, Any] | None:
    text = b""
    while not text.endswith(b"\n"):
        data = client.recv(65536)
        if not data or len(text) > _REQUEST_BYTES_MAX:
            return None
        text += data
    request: dict[str, Any] = json.loads(text)
    return request


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return f"{log} ends with: {lines[-1] if lines else '(nothing)'}"


def _problem(error: ProviderError) -> dict[str, Any]:
    fields = {"message": error.message, "code": error.code, "hint": error.hint, "retryable": error.retryable}
    return {"error": fields}


def _log(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {text}\n")
    sys.stderr.flush()
