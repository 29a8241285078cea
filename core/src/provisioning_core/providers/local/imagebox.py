"""The file system of a machine at the level `image`: layers of an image below, what the machine changes on top.

    <home>/disk/  upper/ work/            what it has changed of /
                  <tree>-upper/ -work/    what it has changed of a directory that lies on layers of its own (`TREES`)
                  stage/                  where it is put together; empty outside of the machine

Root of the machine is nobody special on the host (or, where somebody runs us, he): the machine has a user namespace
with 65,536 ids of its own. It is joined *after* all is mounted; so root of the machine can undo none of it.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from . import kernel, owners, volumes
from .disk import write_user_data
from .removal import remove_tree

TREES = ("usr", "var/lib/dpkg")
_DEVICES = ("full", "null", "random", "tty", "urandom", "zero")


@dataclass(frozen=True, slots=True)
class Layers:
    """What a machine's disk lies on: directories, upper ones first. trees: the same for some of TREES.

    first: the host's uid of its root, where root runs us; None where the layers' owners are right as they are.
    """

    system: tuple[str, ...]
    trees: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    first: int | None = None


def make_image_disk(home: Path, hostname: str, public_key: str, user_data: str | None, first: int | None) -> None:
    """Make home/disk, whole or not at all; one that is there already is left as it is."""
    if (home / "disk").exists():
        return
    for left in home.glob("disk.*"):
        remove_tree(left)
    disk = home / f"disk.{secrets.token_hex(4)}"
    for name in ("upper/etc", "upper/root/.ssh", "work", "stage", *(f"{_prefix(tree)}work" for tree in TREES)):
        (disk / name).mkdir(parents=True)
    for tree in TREES:
        (disk / f"{_prefix(tree)}upper").mkdir()
    (disk / "upper/root/.ssh").chmod(0o700)
    (disk / "upper/root").chmod(0o700)
    for name, text in {
        "etc/hostname": f"{hostname}\n",
        "etc/hosts": f"127.0.0.1\tlocalhost\n127.0.1.1\t{hostname}\n",
        "etc/machine-id": f"{secrets.token_hex(16)}\n",
        "etc/resolv.conf": "# this machine has no name server; names of its network are in /etc/hosts\n",
        "root/.ssh/authorized_keys": public_key,
    }.items():
        (disk / "upper" / name).write_text(text)
    if user_data is not None:
        write_user_data(disk / "upper", user_data)
    if first is not None:
        for top in ("upper", *(f"{_prefix(tree)}upper" for tree in TREES)):
            for directory, directories, files in os.walk(disk / top):
                for name in (".", *directories, *files):
                    os.chown(Path(directory, name), first, first)
    disk.rename(home / "disk")


def settle(hostname: str, layers: Layers, ids: int, control: socket.socket | None) -> None:
    """In pid 1, its working directory the server's: get the file system, the ids, the hostname and an empty network.

    ids: the user namespace to live in. The network's descriptor is sent through control.
    """
    kernel.mount(None, "/", flags=kernel.RECURSIVE | kernel.PRIVATE)
    held = volumes.lift()
    os.chdir("disk")
    kernel.mount("tmpfs", "stage", "tmpfs", options="mode=755")
    Path("stage/root").mkdir()
    _mount_layers("", "stage/root", layers.system, layers, ids)
    for tree, directories in layers.trees.items():
        _mount_layers(_prefix(tree), f"stage/root/{tree}", directories, layers, ids)
    os.chdir("stage/root")
    _mount_volatile(layers.first or 0)
    kernel.mount("proc", "proc", "proc", kernel.NO_SUID | kernel.NO_DEV | kernel.NO_EXEC)
    kernel.pivot(".")
    volumes.lay(held, layers.first or 0)
    owners.become_root(ids)
    kernel.unshare(kernel.NEW_MOUNTS | kernel.NEW_HOSTNAME | kernel.NEW_NET | kernel.NEW_IPC | kernel.NEW_CGROUP)
    socket.sethostname(hostname)
    if control is not None:
        _send_network(control)


def _prefix(tree: str) -> str:
    return f"{tree.replace('/', '-')}-"


def _mount_layers(prefix: str, target: str, directories: tuple[str, ...], layers: Layers, ids: int) -> None:
    """By relative paths, as colons and commas mean something in the options of an overlay."""
    shown = []
    for number, directory in enumerate(directories):
        place = f"stage/{prefix}{number}"
        Path(place).mkdir()
        if layers.first is None:
            kernel.bind_read_only(directory, place)
        else:
            kernel.show_with_ids_of(directory, place, ids)
        shown.append(place)
    options = f"lowerdir={':'.join(shown)},upperdir={prefix}upper,workdir={prefix}work"
    if layers.first is None:
        options += ",userxattr"
    kernel.mount("overlay", target, "overlay", options=options)


def _mount_volatile(root: int) -> None:
    """/run, /dev and what is in it. root: the uid and gid of the machine's root, as they are called here."""
    owner = f"uid={root},gid={root}"
    kernel.mount("tmpfs", "run", "tmpfs", kernel.NO_SUID | kernel.NO_DEV, f"mode=755,{owner}")
    kernel.mount("tmpfs", "dev", "tmpfs", kernel.NO_SUID, f"mode=755,size=64k,{owner}")
    for name in _DEVICES:
        Path("dev", name).touch()
        kernel.bind_read_only(f"/dev/{name}", f"dev/{name}")  # its rights, that is: the device itself can be written
    for name in ("pts", "shm"):
        Path("dev", name).mkdir()
    terminals = f"newinstance,ptmxmode=0666,mode=620,gid={root + 5}"
    kernel.mount("devpts", "dev/pts", "devpts", kernel.NO_SUID | kernel.NO_EXEC, terminals)
    kernel.mount("tmpfs", "dev/shm", "tmpfs", kernel.NO_SUID | kernel.NO_DEV, f"mode=1777,{owner}")
    links = {"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
    for name, target in links.items():
        Path("dev", name).symlink_to(target)
    Path("run/lock").mkdir()
    Path("run/lock").chmod(0o1777)
    os.chown("run/lock", root, root)


def _send_network(through: socket.socket) -> None:
    descriptor = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        socket.send_fds(through, [b"n"], [descriptor])
    finally:
        os.close(descriptor)
