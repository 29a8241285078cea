"""Enters a server: by the system's `ssh` with nothing of the user's own configuration, else by our own client."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from ..errors import ConflictError, ProviderError
from ..provider import Resource
from ..providers.openssh import ssh_command
from .exits import Exit


def connect(server: Resource, command: Sequence[str]) -> NoReturn:
    """End as the command (or the shell) ends. command: one word is a line of shell; several are exact arguments."""
    ssh = server.attributes.get("ssh")
    if server.state != "started":
        raise ConflictError(
            f"server {server.name} is {server.state}",
            code="not_started",
            hint=f"provisioning server create {server.infra} {server.name}",
        )
    if not isinstance(ssh, Mapping):
        raise ProviderError(f"the provider does not say how to connect to {server.name}", code="no_ssh")
    line = remote_line(command)
    program = shutil.which("ssh")
    sys.stdout.flush()
    if program is not None:
        os.execv(program, ssh_command(ssh, line))  # noqa: S606 - an argv list; it takes our place, terminal included
    from ..providers import sshclient

    raise Exit(sshclient.run(ssh, [line] if line else []))


def remote_line(command: Sequence[str]) -> str:
    """What the remote shell is given: SSH knows no arguments, only one line."""
    return command[0] if len(command) == 1 else shlex.join(command)
