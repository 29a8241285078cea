"""Who the users of a machine are on the host: 65,536 of its own, so that each package can have its users.

Where root runs us they are a range that no user of the host has, another one for each machine. Where somebody else
does, machine's root is he himself, and its others are those that /etc/subuid and /etc/subgid give him (`newuidmap`).
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from . import forks, kernel

COUNT = 65536
# Of the range that systemd leaves to containers, beyond what /etc/subuid is given by default.
_FIRST, _RANGES = 0x20000000, 0x4000


def fresh_range() -> int:
    """The first uid of a machine, where root runs us; its gids are the same numbers."""
    return _FIRST + secrets.randbelow(_RANGES) * COUNT


def new_namespace(first: int | None) -> int:
    """In a process with all rights over its user namespace: a new one below, with 65,536 ids. Its descriptor.

    Its uid 0 is `first` of ours, and so on; None: those of the wide ground that we are in. It lives as long as somebody
    holds the descriptor.
    """
    # A line must not span two of the namespace above, and those of the wide ground are root and the rest.
    ids = f"0 {first} {COUNT}" if first is not None else f"0 0 1\n1 1 {COUNT - 1}"
    with _waiting_child() as pid:
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{pid}/{name}").write_text(ids)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)


def become_root(namespace: int) -> None:
    """Join that namespace as its root."""
    kernel.enter(namespace, kernel.NEW_USER)
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def wide_ground() -> int:
    """Without root: a user namespace whose root we are, and whose others are our subordinate ids. Raises OSError."""
    own = subordinate("uid"), subordinate("gid")
    with _waiting_child() as pid:
        for program, self_id, (first, count) in (
            ("newuidmap", os.getuid(), own[0]),
            ("newgidmap", os.getgid(), own[1]),
        ):
            argv = [program, str(pid), "0", str(self_id), "1", "1", str(first), str(min(count, COUNT - 1))]
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise OSError(f"{program} refuses: {done.stderr.strip()}")
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)


def subordinate(kind: str) -> tuple[int, int]:
    """First and count of the ids that /etc/subuid (kind `uid`) or /etc/subgid gives us. Raises OSError."""
    if shutil.which(f"new{kind}map") is None:
        raise OSError(f"there is no new{kind}map (Debian's package uidmap has it)")
    names = {str(os.getuid())}
    with contextlib.suppress(KeyError):
        names.add(pwd.getpwuid(os.getuid()).pw_name)
    try:
        lines = Path(f"/etc/sub{kind}").read_text().splitlines()
    except FileNotFoundError:
        lines = []
    ranges = [line.split(":") for line in lines if line.split(":")[0] in names and line.count(":") == 2]
    found = next(((int(first), int(count)) for _, first, count in ranges if int(count) >= COUNT - 1), None)
    if found is None:
        raise OSError(f"/etc/sub{kind} gives {min(names)} no {COUNT} ids (`usermod --add-sub{kind}s` adds them)")
    return found


@contextlib.contextmanager
def _waiting_child() -> Iterator[int]:
    """A child in a user namespace of its own, without a map yet, that lives until the end of the block."""
    ready, tell = os.pipe()
    held, hold = os.pipe()

    def wait() -> None:
        kernel.unshare(kernel.NEW_USER)
        os.write(tell, b"+")
        os.close(tell)
        os.read(held, 1)

    pid = forks.fork(wait, keep=(tell, held))
    os.close(tell)
    os.close(held)
    try:
        with os.fdopen(ready, "rb") as file:
            if file.read() != b"+":
                raise OSError("this system allows no user namespaces")
        yield pid
    finally:
        os.close(hold)
        os.waitpid(pid, 0)
