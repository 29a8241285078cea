"""Wishes, and the system's own ssh, for the tests of the provider `local`."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.provider import Resource, Wish

CIDR = "10.88.0.0/24"
needs_ssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="this machine has no ssh")


def server(name: str = "web-1", **spec: Any) -> Wish:
    return Wish("server", f"ws/wuji/server/{name}", str(uuid.uuid4()), "wuji", name, spec)


def network(name: str = "net", **spec: Any) -> Wish:
    return Wish("network", f"ws/wuji/network/{name}", str(uuid.uuid4()), "wuji", name, {"cidr": CIDR} | spec)


def ssh_options(resource: Resource) -> list[str]:
    """Strict, and nothing of the user's own; for ssh, scp and sftp alike."""
    ssh = resource.attributes["ssh"]
    given = {
        "IdentityFile": ssh["identity_file"],
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": ssh["known_hosts_file"],
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "BatchMode": "yes",
        "Port": ssh["port"],
        "LogLevel": "ERROR",
    }
    return ["-F", "none", *(part for name, value in given.items() for part in ("-o", f"{name}={value}"))]


def at(resource: Resource) -> str:
    return f"{resource.attributes['ssh']['user']}@{resource.attributes['ssh']['host']}"


def ssh(resource: Resource, *command: str, flags: tuple[str, ...] = (), input: bytes = b"") -> tuple[int, bytes, bytes]:
    """Exit code, standard output, standard error."""
    argv = ["ssh", *ssh_options(resource), *flags, at(resource), *command]
    done = subprocess.run(argv, input=input, capture_output=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def says(resource: Resource, command: str) -> str:
    """What a command says that succeeds."""
    code, out, error = ssh(resource, command)
    assert code == 0, error.decode()
    return out.decode().strip()


def eventually(holds: Callable[[], bool], *, within_s: float = 10.0) -> None:
    """Poll until it holds; fail where it does not in time."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold in time"
        time.sleep(0.02)


@contextlib.contextmanager
def listening(resource: Resource, port: int, greeting: str) -> Iterator[None]:
    """Somebody listens on that port in the machine and greets one caller. Skips where there is no python3 for it."""
    if not Path("/usr/bin/python3").exists():
        pytest.skip("there is no /usr/bin/python3 to listen with")
    program = f"s=socket.create_server(('', {port})); print('up', flush=True); s.accept()[0].sendall(b'{greeting}')"
    argv = ["ssh", *ssh_options(resource), at(resource), f'/usr/bin/python3 -c "import socket; {program}"']
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"up\n"
            yield
        finally:
            process.kill()  # where a test has failed nobody calls, and it would listen for ever
