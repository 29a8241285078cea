"""`provisioning vm`: hands its arguments to `provisioning_core.vm`, the machine-readable way to providers.

Imports nothing else of the command line: `main` comes here before it.
"""

from __future__ import annotations

import sys


def run_vm(arguments: list[str]) -> int:
    """Its exit code."""
    from ..vm import main

    return main(arguments, sys.stdin, sys.stdout)
