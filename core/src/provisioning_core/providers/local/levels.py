"""Which levels this host offers, with words: what each is, or why it can't be had. Each is tried, and nothing stays."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...errors import ProviderError
from . import forks, rootfs
from .processes import LINUX
from .removal import remove_tree
from .vmhost import vm_host

if LINUX:
    from . import hostimage, imagebox, owners, sandbox
    from .imagebox import Layers

Level = tuple[str, bool, str]


def probe(workspace: Path, settings: Mapping[str, Any]) -> list[Level]:
    """In the order of how far they go."""
    return [
        ("process", True, "a plain process and a directory of its own; all else is the host's"),
        ("namespace", *_namespace()),
        ("image", *_image()),
        ("vm", *_vm(workspace, settings)),
    ]


def _namespace() -> tuple[bool, str]:
    if not LINUX:
        return False, f"{sys.platform} has no namespaces"
    try:
        with _directory() as directory:
            (directory / "trash").mkdir()
            forks.answer(lambda: _at(directory, sandbox.probe))
    except OSError as error:
        return False, f"{error} (user namespaces are not allowed here)"
    return True, "own processes, file system and network; the host's programs, read-only; one user"


def _image() -> tuple[bool, str]:
    if not LINUX:
        return False, f"{sys.platform} has no namespaces"
    refusal, bootstrap = hostimage.refusal(), rootfs.bootstrap_refusal()
    try:
        with _directory() as directory:
            forks.answer(lambda: _at(directory, _try_image))
    except OSError as error:
        return False, str(error)
    words = "packages, users and services of its own"
    if refusal is None:
        return True, f"{words}; images: the host itself" + ("" if bootstrap else ", and Debian's by mmdebstrap")
    if bootstrap is None:
        return True, f"{words}; images: Debian's by mmdebstrap (not the host: {refusal})"
    return True, f"{words}; images: tar archives of yours only (not the host: {refusal}; no mmdebstrap: {bootstrap})"


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="provisioning-"))
    try:
        yield directory
    finally:
        remove_tree(directory)


def _at(directory: Path, body: Any) -> bytes:
    os.chdir(directory)
    found: bytes = body()
    return found


def _try_image() -> bytes:
    """Put a file system together and live in it, as a machine does."""
    first = owners.fresh_range() if os.geteuid() == 0 else None
    if first is None:
        owners.become_root(owners.wide_ground())
    ids = owners.new_namespace(first)
    layer = Path("layer").resolve()
    for name in ("run", "dev", "proc", "etc", "mnt"):
        (layer / name).mkdir(parents=True)
    imagebox.make_image_disk(Path(), "probe", "", None, first)
    pid = sandbox.leave_host()
    if pid == 0:
        with contextlib.suppress(BaseException):
            imagebox.settle("probe", Layers((str(layer),), first=first), ids, None)
            os.chown("/etc", 33, 33)
            os._exit(0)
        os._exit(1)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0:
        raise OSError("a file system of layers with owners of its own can't be put together here")
    return b""


def _vm(workspace: Path, settings: Mapping[str, Any]) -> tuple[bool, str]:
    """Not by booting one, which takes its time: by what is there."""
    try:
        host = vm_host(workspace, settings)
    except ProviderError as error:
        return False, error.message.removeprefix("cannot have virtual machines: ")
    return True, f"a kernel of its own: {host.qemu} by {host.accel} with {host.image.name}"
