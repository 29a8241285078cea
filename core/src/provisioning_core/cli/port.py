"""Who listens on a TCP port of this machine: read from /proc, without root as far as one's own processes go."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

LISTEN = "0A"


@dataclass(frozen=True, slots=True)
class Owner:
    """pid None: a process of another user, of which only the user id is known."""

    uid: int
    pid: int | None = None
    program: str | None = None

    def __str__(self) -> str:
        if self.pid is not None:
            return f"{self.program or 'a program'} (pid {self.pid})"
        return f"a program of {_user(self.uid)}"


def owner_of(port: int, proc: Path = Path("/proc")) -> Owner | None:
    """The owner of the socket that listens on that port, on any address; None where none does or nobody can tell."""
    found = _listening(port, proc)
    for inode, uid in found.items():
        for pid in _pids(proc):
            if _holds(proc / str(pid) / "fd", inode):
                return Owner(uid, pid, _program(proc / str(pid)))
        return Owner(uid)
    return None


def _listening(port: int, proc: Path) -> dict[str, int]:
    """Inode → user id, of the sockets that listen there."""
    found: dict[str, int] = {}
    for name in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / name).read_text("ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if len(fields) > 9 and fields[3] == LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                found[fields[9]] = int(fields[7])
    return found


def _pids(proc: Path) -> list[int]:
    try:
        return sorted(int(entry.name) for entry in proc.iterdir() if entry.name.isdecimal())
    except OSError:
        return []


def _holds(descriptors: Path, inode: str) -> bool:
    try:
        for entry in descriptors.iterdir():
            try:
                if str(entry.readlink()) == f"socket:[{inode}]":
                    return True
            except OSError:
                continue  # closed meanwhile
    except OSError:
        pass  # not ours, or gone
    return False


def _program(process: Path) -> str | None:
    """The program's name: of a script that an interpreter runs, the script's."""
    try:
        words = [word for word in (process / "cmdline").read_bytes().decode("utf-8", "replace").split("\0") if word]
        if not words:
            return (process / "comm").read_text().strip()
    except OSError:
        return None
    name = Path(words[0]).name
    if name.startswith(("python", "perl", "ruby", "node")) and len(words) > 1 and not words[1].startswith("-"):
        return Path(words[1]).name
    if name.startswith("python") and len(words) > 2 and words[1] == "-m":
        return words[2]
    return name


def _user(uid: int) -> str:
    import pwd

    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user id {uid}"


def alive(pid: int) -> bool:
    """Whether a process with that id exists and is no zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return True


def uptime_s(pid: int) -> float | None:
    """How long a process of this machine has been there; None where nobody can tell."""
    try:
        started_ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        now_s = float(Path("/proc/uptime").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return round(max(now_s - started_ticks / os.sysconf("SC_CLK_TCK"), 0.0), 1)


def option_of(pid: int, option: str) -> str | None:
    """What an orchestrator of this machine was told by that option; None where it was not, or nobody can tell."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "surrogateescape").split("\0")
    except OSError:
        return None
    if not any("orchestrator" in word for word in words[:4]) or option not in words[:-1]:
        return None
    return words[words.index(option) + 1]
