"""The command line. `main` is the program `provisioning`; the only place where the core ends a process."""

from __future__ import annotations

import sys
from typing import NoReturn

from .. import __version__


def main() -> NoReturn:
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        # The first thing that scripts and people call; it needs nothing but the number.
        print(f"provisioning {__version__}")
        sys.exit(0)
    if arguments[:1] == ["vm"]:
        # Nushell operations call this for every server: past the command tree, whose import would be a third of it.
        from .machine import run_vm

        sys.exit(run_vm(arguments[1:]))
    from .program import run

    sys.exit(run(arguments))
