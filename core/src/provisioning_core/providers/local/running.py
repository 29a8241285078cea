"""A machine as a process: whether it serves, and how it ends."""

from __future__ import annotations

import signal
import socket
import time

from ...errors import ProviderError
from . import processes
from .registry import Record

STOP_S = 10.0


def end_machine(record: Record, *, politely: bool = False) -> None:
    """Kill the machine's first process, and with it all the others. Raises ProviderError where it does not end.

    politely: what runs in it is asked to end first.
    """
    if record.inside:
        signals = (signal.SIGTERM, signal.SIGKILL) if politely else (signal.SIGKILL,)
        gone = processes.end(record.process, signals, grace_s=STOP_S)
    elif record.isolation == "vm":
        gone = processes.end(record.process, (signal.SIGKILL,), grace_s=STOP_S)
    else:  # it clears its own sessions away; where it does not, we do
        below = processes.descendants(record.process.pid) if processes.alive(record.process) and record.process else []
        gone = processes.end(record.process, (signal.SIGTERM, signal.SIGKILL), grace_s=STOP_S)
        for each in below:
            gone = processes.end(each, (signal.SIGKILL,), grace_s=STOP_S) and gone
    if not gone:
        raise ProviderError(f"cannot stop server {record.name!r}: process {record.process} does not end")


def wait_for_ssh(record: Record) -> None:
    """Its SSH server says its name, at the place where people will look for it."""
    deadline = time.monotonic() + STOP_S
    while True:
        try:
            with socket.create_connection((record.ssh_host or "", record.ssh_port), timeout=STOP_S) as connection:
                if connection.recv(4) == b"SSH-":
                    return
                raise ConnectionError("something else answers")
        except OSError as error:
            if time.monotonic() > deadline or not processes.alive(record.process):
                raise ProviderError(
                    f"server {record.name!r} does not answer at {record.ssh_host}:{record.ssh_port}: {error}"
                ) from error
            time.sleep(0.02)
