"""Evaluates one KCL file in this process, which may not do more than that: `kcl.py` starts it, and nobody imports it.

stdin: a JSON object {file, directory, path (of modules), parent (process id), time_s, memory_mb}. stdout: {said, text},
what KCL complains of and what the file evaluates to as JSON; or {missing}, why kcl-lib cannot be imported.

KCL is a programming language, and a definition often somebody else's: it must not take the machine's memory or time,
read variables or write files (its module `file` can). The clock and the limit of memory are the kernel's: while KCL
evaluates, no Python runs here. It dies of SIGALRM when its time is over, of SIGABRT without memory, of SIGSEGV when
its stack is full, and with its parent: at once on Linux, elsewhere when its time is over.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys

STACK_MB = 8  # a deeper recursion is none that anyone means, and grows ever slower
_SET_PARENT_DEATH_SIGNAL, _SET_NO_NEW_PRIVILEGES = 1, 38
_LANDLOCK_CREATE_RULESET, _LANDLOCK_RESTRICT_SELF = 444, 446  # on every architecture
_WRITING = 0b1_1111_1111_0010  # LANDLOCK_ACCESS_FS_WRITE_FILE, REMOVE_*, MAKE_*: all of the first version


def main() -> None:
    told = json.load(sys.stdin)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever KCL prints is no answer
    _confine(told)
    sys.path[:] = told["path"]
    try:
        from kcl_lib import api
    except ImportError as error:
        json.dump({"missing": str(error)}, answers)
        return
    try:
        arguments = api.ExecProgramArgs(work_dir=told["directory"], k_filename_list=[told["file"]])
        result = api.API().exec_program(arguments)
        said, text = result.err_message, result.json_result
    except Exception as error:  # kcl-lib raises nothing more exact
        said, text = str(error) or type(error).__name__, ""
    json.dump({"said": said, "text": text}, answers)


def _confine(told: dict[str, float]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, told["time_s"])
    _limit(resource.RLIMIT_AS, int(told["memory_mb"]) * 1024 * 1024)
    _limit(resource.RLIMIT_STACK, STACK_MB * 1024 * 1024)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != told["parent"]:  # it ended before we could ask to be told
            os._exit(1)
        rules = libc.syscall(_LANDLOCK_CREATE_RULESET, ctypes.byref(ctypes.c_uint64(_WRITING)), 8, 0)
        if rules >= 0 and libc.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0:
            libc.syscall(_LANDLOCK_RESTRICT_SELF, rules, 0)


def _limit(what: int, most: int) -> None:
    """At most that, and at most what we were given."""
    hard = resource.getrlimit(what)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (most, hard))


if __name__ == "__main__":
    main()
