"""Both loopback addresses or none, and whoever is in the way is named."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from provisioning_orchestrator.api.listeners import PortTaken, holder_of, listen


def close(sockets: list[socket.socket]) -> None:
    for one in sockets:
        one.close()


def test_a_free_port_is_the_same_on_both() -> None:
    sockets = listen(0)
    try:
        assert [one.getsockname()[0] for one in sockets] == ["127.0.0.1", "::1"][: len(sockets)]
        assert len({one.getsockname()[1] for one in sockets}) == 1
        assert len(sockets) == (2 if has_ipv6() else 1)
    finally:
        close(sockets)


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_port_that_is_taken_on_one_of_them_is_refused_and_left_alone(family: int, address: str) -> None:
    if family == socket.AF_INET6 and not has_ipv6():
        pytest.skip("no IPv6 on this machine")
    with socket.socket(family, socket.SOCK_STREAM) as taken:
        taken.bind((address, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert holder_of(port) == f"pid {os.getpid()} ({Path('/proc/self/comm').read_text().strip()})"
        with pytest.raises(PortTaken, match=rf"{port} is in use by pid {os.getpid()} .*--port") as refused:
            listen(port)
        assert address in str(refused.value)
        other = "::1" if family == socket.AF_INET else "127.0.0.1"
        with pytest.raises(OSError):
            socket.create_connection((other, port), timeout=5)


def test_nobody_holds_a_free_port() -> None:
    sockets = listen(0)
    port = sockets[0].getsockname()[1]
    close(sockets)
    assert holder_of(port) is None
    close(listen(port))


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True
