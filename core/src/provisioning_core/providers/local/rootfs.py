"""Root file systems for the level `image` that are not the host's: made once for each user of the host, then only read.

    $XDG_CACHE_HOME/provisioning/images/    (~/.cache)
        lock                    flock: whoever makes one holds it
        debian-12/              whole, and never written again
        debian-12.new.<hex>/    one that is being made, or whose making was killed; swept by the next

They are made in a child with namespaces of its own, which the kernel ends with us, so that nothing of it is left when
we are killed. Without root its users are the subordinate ids, as they are in the machines.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

from ...errors import ProviderError
from .removal import remove_tree

_PACKAGES = ("adduser", "ca-certificates", "init-system-helpers", "iproute2", "procps", "python3-minimal")
_CHUNK = 1 << 20


def images_directory() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "provisioning" / "images"


def bootstrap_refusal() -> str | None:
    """Why mmdebstrap can't be used, None where nothing speaks against it."""
    from . import owners

    if shutil.which("mmdebstrap") is None:
        return "there is no mmdebstrap (`apt-get install mmdebstrap uidmap`)"
    if os.geteuid() != 0:
        try:
            owners.subordinate("uid")
            owners.subordinate("gid")
        except OSError as error:
            return str(error)
    return None


def bootstrapped(name: str, suite: str) -> Path:
    """The root directory of that release of Debian, by the host's own sources where it is the same one."""
    refusal = bootstrap_refusal()
    if refusal and not (images_directory() / name).is_dir():
        raise ProviderError(
            f"cannot make the image {name!r}: {refusal}",
            code="isolation_unavailable",
            hint="or give a tar archive of a root directory: providers: {local: {images: {name: rootfs.tar}}}",
            retryable=False,
        )
    return _made(name, ["bootstrap", suite])


def unpacked(name: str, archive: Path) -> Path:
    """The root directory that this tar archive holds; one for each state of the archive."""
    try:
        seen = archive.stat()
    except OSError as error:
        raise ProviderError(
            f"cannot unpack the image {name!r}: {archive}: {error.strerror}", code="image_unavailable", retryable=False
        ) from error
    words = f"{archive} {seen.st_mtime_ns} {seen.st_size}"
    return _made(f"{name}-{hashlib.sha256(words.encode()).hexdigest()[:12]}", ["unpack", str(archive)])


def _made(name: str, how: list[str]) -> Path:
    images = images_directory()
    if not (images / name).is_dir():
        with _locked(images):
            for left in images.glob("*.new.*"):
                remove_tree(left)
            if not (images / name).is_dir():
                fresh = images / f"{name}.new.{secrets.token_hex(4)}"
                argv = [sys.executable, "-m", __package__, "image", str(os.getpid()), str(fresh), *how]
                done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
                if done.returncode != 0:
                    with contextlib.suppress(FileNotFoundError):
                        remove_tree(fresh)
                    last = "; ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-3:])
                    raise ProviderError(f"cannot make the image {name!r}: {last}", code="image_unavailable")
                fresh.rename(images / name)
    return images / name


@contextlib.contextmanager
def _locked(images: Path) -> Iterator[None]:
    images.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (images / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make(starter: int, target: Path, how: list[str]) -> int:
    """In a process of its own: make that root directory. Returns an exit code; what is wrong is on standard error."""
    from . import kernel, owners

    kernel.die_with_parent(9)
    if os.getppid() != starter:
        return 1
    target.mkdir(mode=0o755)
    if os.geteuid() != 0:
        owners.become_root(owners.wide_ground())
    kernel.unshare(kernel.NEW_MOUNTS | kernel.NEW_PIDS)
    pid = os.fork()
    if pid == 0:
        kernel.die_with_parent(9)  # and with pid 1 of a namespace all that is in it ends
        kernel.mount(None, "/", flags=kernel.RECURSIVE | kernel.PRIVATE)
        kernel.mount("proc", "/proc", "proc")
        os._exit(_make(target, how))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF


def _make(target: Path, how: list[str]) -> int:
    try:
        match how:
            case ["bootstrap", suite]:
                _bootstrap(suite, target)
            case ["unpack", archive]:
                _unpack(Path(archive), target)
        _finish(target)
    except (OSError, tarfile.TarError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _bootstrap(suite: str, target: Path) -> None:
    argv = ["mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(_PACKAGES)}"]
    argv += ["--skip=output/mknod", "--format=directory", suite, str(target)]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        raise OSError("; ".join(lines or done.stderr.splitlines()[-2:]))


def _unpack(archive: Path, target: Path) -> None:
    """What is no device, with its owners; nothing outside of target, wherever its names and links point."""
    with tarfile.open(archive) as source:
        members = [each for each in source if not each.isdev()]
        source.extraction_filter = lambda member, _: member  # type: ignore[attr-defined,unused-ignore]
        before = os.open("/", os.O_RDONLY)
        os.chroot(target)
        os.chdir("/")
        try:
            source.extractall("/", members, numeric_owner=True)  # noqa: S202 - in a root directory of its own
        finally:
            os.fchdir(before)
            os.chroot(".")
            os.close(before)


def _finish(target: Path) -> None:
    """What a machine needs besides: services may start, and dpkg need not wait for the disk."""
    if not any((target / each).exists() for each in ("bin/sh", "usr/bin/sh")):
        raise OSError("it holds no root directory: there is no bin/sh in it")
    sbin = target / "usr/sbin"
    programs = {"policy-rc.d": "#!/bin/sh\nexit 0\n", "runlevel": "#!/bin/sh\necho N 2\n"}
    for name, text in programs.items():
        if (sbin / "invoke-rc.d").exists() or name == "policy-rc.d":
            sbin.mkdir(parents=True, exist_ok=True)
            (sbin / name).unlink(missing_ok=True)
            (sbin / name).write_text(text)
            (sbin / name).chmod(0o755)
    for name in ("etc/provisioning/boot.d", "run", "dev", "proc", "sys", "root", "tmp"):
        (target / name).mkdir(parents=True, exist_ok=True)
    if (target / "etc/dpkg").is_dir():
        (target / "etc/dpkg/dpkg.cfg.d").mkdir(exist_ok=True)
        (target / "etc/dpkg/dpkg.cfg.d/provisioning").write_text("force-unsafe-io\n")
