"""Servers that are virtual machines: qemu with a cloud image, without root, reached by SSH at a port of the loopback.

    servers/<id>/   record.json  host_key  disk.qcow2 (what it has changed of the image)  seed.iso
                    command.json (what qemu is started with)  process.json (pid and start time)
                    qemu.socket  machine.log  console.log

No room: qemu is its own process. The process that becomes qemu first writes who it is, then hands itself over, then
looks whether whoever wished it still lives, and only then becomes qemu. So there is never a qemu that no record names.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

from ...errors import ProviderError
from ...provider import Wish
from . import processes
from .door import ROOM_ENVIRONMENT
from .processes import Identity
from .registry import Record, Registry, new_record, replace_file
from .settling import ssh_place
from .terms import normalize
from .vmhost import VmHost

_STARTS_S = 10.0
_POWERDOWN_S = 30.0
_DISK_GB = 10
_NO_NETWORK = "a virtual machine has a network of its own: it reaches the world, and no other server"


def create(
    registry: Registry, wish: Wish, host: VmHost, announce: Callable[[Record], None]
) -> tuple[Record, bool, bool]:
    """The record, whether it was created, and whether it was restarted. Returns when one can log in."""
    with registry.locked():
        registry.sweep()
        record = registry.find("server", intent=wish.intent, key=wish.key)
        if record is None:
            record = _settled(new_record(registry, wish), host)
            registry.write(record)
    announce(record)
    with _alone(registry, record):
        record = _must_get(registry, record)
        created, runs = not record.ready, processes.alive(record.process)
        return start(registry, record, host), created, not created and not runs


def start_again(registry: Registry, id: str, host: VmHost) -> Record:
    record = registry.get("server", id)
    if record is None:
        raise ProviderError(f"there is no server {id!r}", code="not_found", retryable=False)
    with _alone(registry, record):
        return start(registry, _must_get(registry, record), host)


def start(registry: Registry, record: Record, host: VmHost) -> Record:
    """Return when one can log in. The caller has this server to itself, and not the registry."""
    home = registry.home("server", record.id)
    if not processes.alive(record.process):
        record = _prepared(registry, record, host)
        with registry.locked():
            registry.write(record)
            registry.write_known_hosts()
        _run(home, _command(record, host))
    _wait_for_login(registry, record, host)
    with registry.locked():
        record = replace(_must_get(registry, record), ready=True, pending=False)
        registry.write(record)
    return record


def power_down(home: Path, process: Identity | None) -> None:
    """Press its power button, and wait; whoever asks for it ends it the hard way after that."""
    with contextlib.suppress(OSError, ValueError), socket.socket(socket.AF_UNIX) as qemu:
        qemu.settimeout(5.0)
        directory = os.open(home, os.O_RDONLY)
        try:
            qemu.connect(f"/proc/self/fd/{directory}/qemu.socket" if processes.LINUX else str(home / "qemu.socket"))
        finally:
            os.close(directory)
        with qemu.makefile("rwb") as lines:
            lines.readline()  # its greeting
            for word in ("qmp_capabilities", "system_powerdown"):
                lines.write(json.dumps({"execute": word}).encode() + b"\n")
                lines.flush()
                lines.readline()
        processes.wait_gone(process, timeout_s=_POWERDOWN_S)


def become_qemu(home: Path, starter: Identity) -> None:
    """In a process of its own. Never returns, but where it may not begin."""
    os.setsid()
    me = processes.identify(os.getpid())
    assert me is not None
    replace_file(home / "process.json", json.dumps(asdict(me)).encode(), sync=True)
    processes.hand_over(starter)
    os.chdir(home)
    command: list[str] = json.loads((home / "command.json").read_bytes())
    os.execv(command[0], command)  # noqa: S606


def _settled(record: Record, host: VmHost) -> Record:
    if record.spec.get("storages"):
        raise ProviderError(
            f"cannot create server {record.name!r} with storages: virtual machines have their one disk (`disk_gb`)",
            code="isolation_unavailable",
            hint="leave storages out, or have machines of the level namespace or image",
            retryable=False,
        )
    address, port = ssh_place()
    record = replace(record, isolation="vm", image=host.image.name, image_source=str(host.image))
    return replace(record, ssh_host=address, ssh_port=port, address=address, network_refusal=_NO_NETWORK)


def _prepared(registry: Registry, record: Record, host: VmHost) -> Record:
    """Its keys, its disk and its seed: each is made once."""
    from .keys import make_pair, workspace_key
    from .vmseed import seed

    home = registry.home("server", record.id)
    workspace = workspace_key(registry)
    if record.host_key is None:
        record = replace(record, host_key=make_pair(home / "host_key", "").strip())
    if not (home / "disk.qcow2").exists():
        fresh = home / "disk.new"
        size = f"{max(int(record.spec.get('disk_gb') or _DISK_GB), 1)}G"
        argv = [host.qemu_img, "create", "-q", "-f", "qcow2", "-b", str(host.image), "-F", "qcow2", str(fresh), size]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ProviderError(f"cannot make a disk for server {record.name!r}: {done.stderr.strip()}")
        fresh.rename(home / "disk.qcow2")
    content = seed(
        id=record.id,
        hostname=record.name,
        host_key=(home / "host_key").read_text(),
        public_key=str(record.host_key),
        ssh_keys=[workspace.strip(), *(record.spec.get("ssh_keys") or ())],
        user_data=record.spec.get("user_data"),
    )
    replace_file(home / "seed.iso", content, sync=False)
    return _at_free_port(record)


def _at_free_port(record: Record) -> Record:
    for _ in range(64):
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                trial.bind((record.ssh_host, record.ssh_port))
                return record
        address, port = ssh_place()
        record = replace(record, ssh_host=address, ssh_port=port)
    raise ProviderError(f"no loopback address is free for the SSH server of {record.name!r}")


def _command(record: Record, host: VmHost) -> list[str]:
    """Paths of its own are relative: a comma in a path means something to qemu."""
    sized = normalize("server", record.spec, imaged=False)
    argv = [host.qemu, "-name", record.name, "-nodefaults", "-display", "none", "-accel", host.accel]
    argv += ["-cpu", "host" if host.accel == "kvm" else "max"]
    argv += ["-smp", str(sized.get("cpus", 1)), "-m", f"{sized.get('memory_gb', 1)}G"]
    argv += [
        "-drive",
        "file=disk.qcow2,if=virtio,format=qcow2",
        "-drive",
        "file=seed.iso,if=virtio,format=raw,readonly=on",
    ]
    argv += ["-netdev", f"user,id=net,hostfwd=tcp:{record.ssh_host}:{record.ssh_port}-:22"]
    argv += ["-device", "virtio-net-pci,netdev=net", "-device", "virtio-rng-pci"]
    argv += ["-serial", "file:console.log", "-qmp", "unix:qemu.socket,server=on,wait=off"]
    for option, value in (("-kernel", host.kernel), ("-initrd", host.initrd), ("-append", host.append)):
        argv += [option, str(value)] if value else []
    return argv


def _run(home: Path, command: list[str]) -> None:
    """Return when it is qemu. Raises ProviderError with what it says where it ends at once."""
    (home / "qemu.socket").unlink(missing_ok=True)
    replace_file(home / "command.json", json.dumps(command).encode(), sync=False)
    me = processes.identify(os.getpid())
    argv = [sys.executable, "-m", __package__, "vm", str(home), str(me)]
    with (home / "machine.log").open("ab") as log:
        kept = {name: os.environ[name] for name in ROOM_ENVIRONMENT if name in os.environ}
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", env=kept)
    deadline = time.monotonic() + _STARTS_S
    while not (home / "qemu.socket").exists() and time.monotonic() < deadline:
        if child.poll() is not None:
            lines = (home / "machine.log").read_text(errors="replace").splitlines()
            raise ProviderError(f"cannot start qemu: {lines[-1] if lines else f'exit code {child.returncode}'}")
        select.select([], [], [], 0.02)


def _wait_for_login(registry: Registry, record: Record, host: VmHost) -> None:
    """A command succeeds by SSH, with the right host key: cloud-init has done its part by then."""
    from .vmlogin import answers

    deadline = time.monotonic() + host.boot_s
    home = registry.home("server", record.id)
    process = _must_get(registry, record).process
    while not answers(registry, record):
        if not processes.alive(process):
            raise ProviderError(f"server {record.name!r}: qemu has ended; see {home / 'machine.log'}")
        if time.monotonic() > deadline:
            raise ProviderError(
                f"server {record.name!r} cannot be logged in to after {host.boot_s:.0f} s by {host.accel}",
                code="boot_timeout",
                hint=f"see {home / 'console.log'}; where kvm hangs, set providers.local.vm.accel: tcg",
            )
        select.select([], [], [], 0.5)


@contextlib.contextmanager
def _alone(registry: Registry, record: Record) -> Iterator[None]:
    """One create or start of this server at a time; the registry stays free meanwhile."""
    try:
        with registry.locked(f"servers/{record.id}/lock"):
            yield
    except FileNotFoundError as error:
        raise _deleted(record) from error


def _must_get(registry: Registry, record: Record) -> Record:
    found = registry.get("server", record.id)
    if found is None:
        raise _deleted(record)
    return found


def _deleted(record: Record) -> ProviderError:
    return ProviderError(f"server {record.name!r} ({record.id}) was deleted while it was being created")
