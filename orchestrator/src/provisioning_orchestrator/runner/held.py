"""The state file of an attempt in the hands of its shim, which makes it, locks it and writes all of it but the cancel.

    take ──► write (header, input, claim at once; or the claim later) ──► outcome ──► close: the lock is free
      └─ False: somebody else decides about this attempt, or has run it

The frozen helper imports this module too.
"""

from __future__ import annotations

import errno
import fcntl
import os

from . import statefile


class HeldState:
    """head: the header's record without its padding. sync: claim and outcome reach the disk before they count.

    errno: why not even the file could be made or kept, else 0. written: header and input are there.
    """

    __slots__ = ("_head", "_path", "_sync", "errno", "fd", "written")

    def __init__(self, path: str, head: bytes, sync: bool) -> None:
        self._path = path
        self._head = head
        self._sync = sync
        self.fd = -1
        self.errno = 0
        self.written = False

    def take(self) -> bool:
        """Make it, ours alone. False: someone else has it, and not even a note may be written; or see errno."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self.fd = os.open(self._path, flags, 0o600)
        except FileExistsError:
            return False
        except OSError as error:
            self.errno = error.errno or errno.EIO
            return False
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False  # A recovery looks at it right now, and poisons it.
        return os.fstat(self.fd).st_size == 0  # Or one has, between the two calls.

    def write(self, input: bytes, claim: bytes = b"") -> None:
        """All of it by one call. Raises OSError where there is no room: a claim in it does not count then."""
        content = statefile.new_content(self._head, input, claim)
        if os.pwrite(self.fd, content, 0) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.written = True

    def claim(self, input: bytes, fields: dict[str, object]) -> None:
        """From here on "it never started" cannot be said any more. Raises OSError."""
        if self.written:
            statefile.write(self.fd, statefile.CLAIM, fields)
        else:
            self.write(input, statefile.record(statefile.CLAIM, fields))
        if self._sync:
            os.fdatasync(self.fd)
            _sync_directory(os.path.dirname(self._path))  # noqa: PTH120

    def give_up(self, input: bytes, reason: BaseException) -> None:
        """Nothing runs, and the file says why; without room for it, it is as if nothing had been asked for."""
        try:
            if not self.written:
                self.write(input)
            self.note(reason)
        except OSError as error:
            self.errno = error.errno or errno.EIO
            os.unlink(self._path)  # noqa: PTH108

    def note(self, reason: BaseException) -> None:
        """What went wrong; not written where that is not possible."""
        try:
            text = statefile.free_text(str(reason) or repr(reason))
            statefile.write(self.fd, statefile.NOTE, {"why": text})
        except OSError:
            pass

    def outcome(self, fields: dict[str, object]) -> None:
        """Raises OSError."""
        statefile.write(self.fd, statefile.OUTCOME, fields)
        if self._sync:
            os.fdatasync(self.fd)

    def grace_of_cancel(self, otherwise_s: float) -> float | None:
        """Of a cancel that is recorded, in seconds; None: there is none. otherwise_s: while it cannot be read."""
        for _ in range(3):
            try:
                fields = statefile.fields_of(os.pread(self.fd, statefile.REGIONS_END, 0), statefile.CANCEL)
                return float(fields["grace"]) if fields else None
            except (OSError, KeyError, ValueError, statefile.Torn):
                continue  # It is being written again.
        return otherwise_s

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _sync_directory(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
