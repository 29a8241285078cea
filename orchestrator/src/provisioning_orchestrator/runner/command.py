"""How an operation's file becomes a command, its environment, and why it could not be run, in words.

Data never goes into arguments: Nushell parses its own again (a name with a newline once ran a command), and every user
of the machine can read them. So a command is an interpreter, fixed switches and a file of the library.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

ENVIRONMENT_KEPT = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR")
ENVIRONMENT_KEPT_PREFIXES = ("LC_", "XDG_")
PATH_OF_NOWHERE = "/usr/local/bin:/usr/bin:/bin"


class Refusal(Exception):
    """The operation cannot be run as things are; in words. Nothing was run."""


class Interpreters:
    """python, nu: what runs `.py` and `.nu`; a bare name is looked up on PATH; None: there is no Nushell."""

    def __init__(self, python: Path, nu: Path | None) -> None:
        self._python = shutil.which(str(python)) or str(python)
        self._nu = shutil.which("nu" if nu is None else str(nu)) or (str(nu) if nu is not None else None)

    def command(self, file: str) -> list[str]:
        """Raises Refusal."""
        if file.endswith(".py"):
            # -I: neither the operation's directory nor the user's nor PYTHON* variables come before the standard
            # library; what is installed in the interpreter's environment is found. -u: no line of a killed operation
            # is lost in its buffer. utf8: text is UTF-8 whatever LANG says.
            return [self._python, "-I", "-u", "-X", "utf8", file]
        if file.endswith(".nu"):
            if self._nu is None:
                raise Refusal(f"running {file}: no Nushell: neither --nu was given nor is there a 'nu' on PATH")
            return [self._nu, "--no-config-file", "--stdin", file]
        if not os.access(file, os.X_OK):
            raise Refusal(f"running {file}: it is not executable; 'chmod +x' it, or name it .py or .nu")
        return [file]


def explain(number: int, command: list[str]) -> str:
    """Why exec of this command failed with this errno."""
    program = command[0]
    said = os.strerror(number)
    if len(command) > 1:
        switch = "--nu" if command[-1].endswith(".nu") else "--python"
        return f"running {command[-1]}: its interpreter {program} ({switch}) cannot be executed: {said}"
    if number == errno.ENOEXEC:
        return f"running {program}: {said}; it needs a first line like '#!/bin/sh'"
    interpreter = _shebang(program)
    if interpreter is not None and number in (errno.ENOENT, errno.EACCES, errno.ENOTDIR, errno.ELOOP):
        return f"running {program}: the interpreter of its first line, {interpreter!r}, cannot be executed: {said}"
    return f"running {program}: {said}"


def _shebang(file: str) -> str | None:
    try:
        with Path(file).open("rb") as opened:
            line = opened.readline(256)
    except OSError:
        return None
    if not line.startswith(b"#!"):
        return None
    return (line[2:].split() or [b""])[0].decode("utf-8", "replace")


def kept_environment(environment: Mapping[str, str], more: Collection[str] = ()) -> dict[str, str]:
    """What operations get of the daemon's environment: an allow-list, because the rest may change what they do.

    more: names that the daemon was told to pass on too.
    """
    kept = {
        name: value
        for name, value in environment.items()
        if name in ENVIRONMENT_KEPT or name in more or name.startswith(ENVIRONMENT_KEPT_PREFIXES)
    }
    kept.setdefault("PATH", PATH_OF_NOWHERE)
    return kept
