"""One verb of an executable provider, as a process: what it says line by line, within a deadline and within bounds.

    argv            the verb alone; data never goes there
    standard input  one line of JSON, a newline, end of file
    standard output one JSON object a line: any number of {"announce": …}, then one answer, then the end
    standard error  goes where ours goes: into the log of the attempt
    environment     as an operation's (contract/task.json), without what is the operation's own
    directory       the workspace

Whatever happens to us, nothing of it lives on: its process group is killed when the call ends, and a watcher in that
group, which holds the other end of a pipe of ours, kills it when we are killed.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...environment import passed_on
from ...errors import ProviderError
from ...yamlfile import shown

LINE_BYTES_MAX = 16 * 1024 * 1024
LINES_MAX = 1_000
END_S = 5.0  # a process that has answered is given this long to end
_TICK_S = 0.05
_READ_BYTES = 1 << 16
_OURS = re.compile(r"PROVISIONING_(ATTEMPT|LEAVE|WORKSPACE)")
# The watcher reads the pipe whose other end only we hold: it comes to its end when we do, and then 0 is the watcher's
# own process group. A shell, because it starts in a millisecond; dash knows no descriptor above 9, so the pipe is its
# standard input, moved to 3, and the request is opened by the name that stands in $0. The watcher keeps none of the
# streams, or they would never come to an end.
_WATCHED = 'exec 3<&0; (read _ <&3; kill -9 0) >/dev/null 2>&1 & exec "$@" <"$0" 3<&-'
_DESCRIPTOR_MIN = 10


@dataclass(frozen=True, slots=True)
class Call:
    """command: what is run, without the verb. provider: its name, for messages."""

    provider: str
    command: Sequence[str]
    directory: Path
    verb: str
    deadline_s: float

    def lines(self, request: Mapping[str, Any]) -> Generator[dict[str, Any], None, None]:
        """Each object as it comes; the last one is the answer. Raises ProviderError for all that is none.

        `not_runnable`, `bad_answer` (permanent: the provider has a bug), `deadline`, `no_answer` (to be tried again).
        """
        with self._started(request) as process:
            output = _Output(process, time.monotonic() + self.deadline_s)
            answer: dict[str, Any] | None = None
            try:
                for number, line in enumerate(output.lines()):
                    if answer is not None:
                        raise self._bad("more was said after the answer", line)
                    if number >= LINES_MAX or len(line) > LINE_BYTES_MAX:
                        raise self._bad(f"more than {LINES_MAX} lines, or than {LINE_BYTES_MAX} bytes in one", line)
                    said = self._decoded(line)
                    if "announce" in said:
                        yield said
                    else:
                        answer, output.until = said, min(output.until, time.monotonic() + END_S)
                code = process.wait(max(0.0, output.until - time.monotonic()))
            except (TimeoutError, subprocess.TimeoutExpired):
                if answer is None:
                    late = f"no answer within {self.deadline_s:g} s; it was killed"
                    raise self._error("deadline", late, retryable=True) from None
                sys.stderr.write(
                    f"warning: provider {self.provider}: `{self.verb}` answered, and did not end: killed\n"
                )
                code = 0
            if answer is None or (code != 0 and "error" not in answer):
                raise self._no_answer(code, answer is not None)
            yield answer

    @contextmanager
    def _started(self, request: Mapping[str, Any]) -> Iterator[subprocess.Popen[bytes]]:
        ours = passed_on() | {name: value for name, value in os.environ.items() if _OURS.fullmatch(name)}
        ours["PROVISIONING_WORKSPACE"] = str(self.directory)
        watched, held = os.pipe()
        # Not through a pipe: it may say much before it reads. Without a name: there is nothing to be left behind.
        with tempfile.TemporaryFile() as file, os.fdopen(watched, "rb"), os.fdopen(held, "wb"):
            file.write(json.dumps(request).encode() + b"\n")
            file.flush()
            told = fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, _DESCRIPTOR_MIN)
            try:
                process = subprocess.Popen(
                    ["/bin/sh", "-c", _WATCHED, f"/dev/fd/{told}", *self.command, self.verb],
                    bufsize=0,
                    cwd=self.directory,
                    env=ours,
                    stdin=watched,
                    stdout=subprocess.PIPE,
                    pass_fds=(told,),
                    process_group=0,
                )
            except OSError as error:
                why = f"{error.strerror}: {error.filename}"
                raise self._error("not_runnable", f"cannot be run: {why}") from error
            finally:
                os.close(told)
            try:
                yield process
            finally:
                _kill(process)

    def _decoded(self, line: bytes) -> dict[str, Any]:
        try:
            said = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self._bad(f"not JSON ({error})", line) from error
        if not isinstance(said, dict):
            raise self._bad("a JSON object is expected", line)
        return said

    def _no_answer(self, code: int, answered: bool) -> ProviderError:
        how = f"exit code {code}" if code >= 0 else f"killed by signal {-code}"
        if code in (126, 127) and not answered:
            return self._error("not_runnable", f"cannot be run ({how}); see the log")
        what = "failed after its answer" if answered else "ended without an answer"
        return self._error("no_answer", f"{what} ({how}); what it said is in the log", retryable=True)

    def _bad(self, what: str, line: bytes | bytearray) -> ProviderError:
        start = shown(line[:200].decode("utf-8", "backslashreplace"))
        return self._error("bad_answer", f"its output is not what contract/provider.json says: {what}: {start}")

    def _error(self, code: str, message: str, *, retryable: bool = False) -> ProviderError:
        return ProviderError(f"provider {self.provider}: `{self.verb}`: {message}", code=code, retryable=retryable)


@dataclass(slots=True)
class _Output:
    """until: on the monotonic clock; it may be changed between two lines."""

    process: subprocess.Popen[bytes]
    until: float

    def lines(self) -> Iterator[bytes]:
        """Until it closes its output, or has ended: what it leaves behind may hold it open. Raises TimeoutError.

        Blank ones are left out. One that is too long is given as far as it has come.
        """
        pipe = self.process.stdout
        assert pipe is not None
        os.set_blocking(pipe.fileno(), False)
        rest = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while len(rest) <= LINE_BYTES_MAX:
                ended = self.process.poll() is not None
                ready = selector.select(0 if ended else _TICK_S)
                data = pipe.read(_READ_BYTES) if ready else None
                if data == b"" or (ended and not ready):
                    break
                rest += data or b""
                if data and b"\n" in data:
                    *whole, rest = rest.split(b"\n")
                    yield from (bytes(line) for line in whole if line.strip())
                if time.monotonic() > self.until:
                    raise TimeoutError
        if rest.strip():
            yield bytes(rest)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """After this nothing of its process group is alive. The watcher is in it, so its number is still its own."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # nothing left of it; macOS says "not permitted" of a group of zombies
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
