"""What became of an attempt, from its state file alone. The order is the whole of recovery:

    outcome whole                              → ended so
    lock refused                               → alive
    lock obtained: look at the outcome again   → ended so        (it was written between the two looks)
    no claim and it can be poisoned            → never started   (a late shim finds the poison and goes)
    poisoned                                   → never started   (by us, or by a recovery that crashed)
    claim torn, same boot                      → never started   (the shim died before it could run anything)
    otherwise                                  → vanished

After a restart of the machine, missing evidence proves nothing unless attempts are synced to the disk: what was written
before the operation ran may be gone. Then `never started` becomes `vanished`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from dataclasses import dataclass, field

from provisioning_orchestrator.crash import crash_point
from provisioning_orchestrator.ports import Alive, AttemptId, Exited, NeverStarted, Vanished, Verdict

from . import statefile
from .boot import Boot
from .files import AttemptFiles, sync_directory
from .statefile import Fields, Torn


@dataclass(frozen=True, slots=True)
class Finding:
    """verdict: without the result file's bytes. header, claim: what could be read of them, else empty.

    errno: what exec said, where the operation was refused by it.
    """

    verdict: Verdict
    header: Fields = field(default_factory=dict)
    claim: Fields = field(default_factory=dict)
    errno: int = 0


def classify(id: AttemptId, files: AttemptFiles, boot: Boot, gone: bool = False) -> Finding:
    """Raises OSError where nothing can be said now: the file cannot be read (no descriptor left, a bad disk), or there
    is no room for the poison. gone: the only shim that was asked to run it has ended or has given it up.
    """
    try:
        fd = os.open(files.state, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return _missing(id, files, boot, gone)
    try:
        first = os.pread(fd, statefile.REGIONS_END, 0)
        finding = _ended(fd, first)
        if finding is not None:
            return finding
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return Finding(Alive(), _fields(first, statefile.HEADER), _fields(first, statefile.CLAIM))
        # From here on nobody runs it, and nobody will before the descriptor is closed.
        content = os.pread(fd, statefile.REGIONS_END, 0)
        return _ended(fd, content) or _unended(fd, content, boot)
    finally:
        os.close(fd)


def poison(id: AttemptId, files: AttemptFiles, boot: Boot, doubt: bool = False) -> bool:
    """Make a state file that says "never". False: another hand was quicker. Raises OSError.

    doubt: it only says that none can start any more, not that none did: a recovery after a crash of this one must not
    read more into it than this one knew.
    """
    content = statefile.head({"id": id, "boot": boot.id}) + _poison_record(doubt)
    try:
        fd = os.open(files.state, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return False
    try:
        try:
            os.write(fd, content.ljust(statefile.REGIONS_END, b"\0"))
        except OSError as error:
            if doubt or error.errno not in _NO_ROOM:
                raise
            # That the file is there keeps every shim away.
        if boot.sync:
            os.fsync(fd)
            sync_directory(files.directory)
    finally:
        os.close(fd)
    crash_point("after-poison")
    return True


def is_over(files: AttemptFiles) -> bool:
    """Whether nobody runs the attempt (any more); decides and changes nothing."""
    try:
        fd = os.open(files.state, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        if _ended(fd, os.pread(fd, statefile.REGIONS_END, 0)) is not None:
            return True
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(fd)


def _missing(id: AttemptId, files: AttemptFiles, boot: Boot, gone: bool) -> Finding:
    doubt = boot.doubtful and not boot.sync
    try:
        os.makedirs(files.directory, 0o700, exist_ok=True)  # noqa: PTH103
        if not poison(id, files, boot, doubt):
            return classify(id, files, boot)
    except OSError as error:
        if not gone or error.errno not in _NO_ROOM:
            raise
        # No room for the poison, and none is needed: there is nobody who could still make the file.
    if doubt:
        return Finding(Vanished(_LOST))
    return Finding(NeverStarted("it has no state file: nothing was started, and now nothing can be"))


def _ended(fd: int, content: bytes) -> Finding | None:
    if statefile.layout_of(content) != statefile.LAYOUT:
        return None
    outcome = _fields(content, statefile.OUTCOME)
    if not outcome:
        return None
    header, claim = _fields(content, statefile.HEADER), _fields(content, statefile.CLAIM)
    return Finding(_verdict(fd, outcome), header, claim, int(outcome.get("errno", 0)))


def _verdict(fd: int, outcome: Fields) -> Verdict:
    kind = outcome.get("kind")
    number = int(outcome.get("errno", 0))
    if kind == "never":
        return NeverStarted(f"the operation could not be forked or executed: {os.strerror(number)}")
    code = int(outcome.get("code", 0))
    refused = None
    if kind == "refused":  # By the daemon, which wrote why in the input's place, or by exec.
        text = os.pread(fd, int(outcome.get("text", 0)), statefile.REGIONS_END)
        refused = text.decode("utf-8", "replace") or f"it could not be executed: {os.strerror(number)}"
    return Exited(
        exit_code=code if code >= 0 else None,
        signal=-code if code < 0 else None,
        timed_out=outcome.get("timed_out") == "1",
        cancelled=outcome.get("cancelled") == "1",
        refused=refused,
        started_at=int(outcome.get("started", 0)),
        ended_at=int(outcome.get("ended", 0)),
        log_truncated=int(outcome.get("cut", 0)),
    )


def _unended(fd: int, content: bytes, boot: Boot) -> Finding:
    """Under the lock, without an outcome."""
    layout = statefile.layout_of(content)
    if layout not in (None, statefile.LAYOUT):
        return Finding(
            Vanished(f"its state file has layout {layout}, and this program reads layout {statefile.LAYOUT} only")
        )
    header = _fields(content, statefile.HEADER)
    same_boot = header["boot"] == boot.id if "boot" in header else not boot.doubtful
    proves = same_boot or (header["sync"] == "1" if "sync" in header else boot.sync)
    try:
        claim = statefile.fields_of(content, statefile.CLAIM)
    except Torn:
        if same_boot:
            _poison_region(fd)
            return Finding(NeverStarted("its shim died while it claimed the attempt, before it ran anything"), header)
        return Finding(Vanished("the machine was restarted while the attempt began"), header)
    if "doubt" in claim:
        return Finding(Vanished(_LOST), header)
    if "poisoned" in claim:
        return Finding(NeverStarted(_why(content, "a recovery before this one found that it never started")), header)
    if not claim and proves:
        _poison_region(fd)
        crash_point("after-poison")
        return Finding(NeverStarted(_why(content, "its shim never claimed it, and now none can")), header)
    if not same_boot:
        return Finding(Vanished("the machine was restarted, and no end of it reached the disk"), header, claim)
    return Finding(Vanished(_why(content, "its shim died, and nobody saw the end")), header, claim)


def _why(content: bytes, otherwise: str) -> str:
    note = _fields(content, statefile.NOTE)
    return f"{otherwise} ({statefile.readable(note['why'])})" if "why" in note else otherwise


def _fields(content: bytes, region: statefile.Region) -> Fields:
    try:
        return statefile.fields_of(content, region)
    except Torn:
        return {}


def _poison_region(fd: int) -> None:
    if os.fstat(fd).st_size < statefile.REGIONS_END:
        os.ftruncate(fd, statefile.REGIONS_END)
    os.pwrite(fd, _poison_record(), statefile.CLAIM[0])


def _poison_record(doubt: bool = False) -> bytes:
    fields: dict[str, object] = {"poisoned": 1, "pid": os.getpid(), "at": time.time_ns() // 1000}
    if doubt:
        fields["doubt"] = 1
    return statefile.record(statefile.CLAIM, fields)


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_LOST = "the machine was restarted, and its files are gone: they had not reached the disk"
