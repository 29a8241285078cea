"""The command line. `main` is the program `provisioning`; the only place where the core ends a process."""

from __future__ import annotations

import gc
import sys
from typing import NoReturn

from .. import __version__

GC_THRESHOLD = 50_000


def main() -> NoReturn:
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        # The first thing that scripts and people call; it needs nothing but the number.
        print(f"provisioning {__version__}")
        sys.exit(0)
    # What is imported stays: collecting it while it comes, and once more at the end, is a sixth of a short command.
    gc.set_threshold(GC_THRESHOLD)
    code = _run(arguments)
    gc.freeze()
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    if arguments[:1] == ["vm"]:
        # Nushell operations call this for every server: past the command tree, whose import would be a third of it.
        from .machine import run_vm

        return run_vm(arguments[1:])
    if arguments == ["secret", "resolve"]:
        # The runner of attempts calls this before each one that refers to secrets.
        from .secret import run_resolve

        return run_resolve()
    from .program import run

    return run(arguments)
