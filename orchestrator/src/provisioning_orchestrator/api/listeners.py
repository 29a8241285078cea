"""The sockets: 127.0.0.1 and [::1] on one port, both or none; and who holds the port where it can't be had.

Only one of the two would leave the other to any user of the machine, and clients that try [::1] first (Nushell, urllib)
would send that user their tokens.
"""

from __future__ import annotations

import errno
import socket
from pathlib import Path

TRIES_MAX = 50
BACKLOG = 1024
_IPV4, _IPV6 = "127.0.0.1", "::1"
_NO_IPV6 = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT)
_LISTENING = "0A"


class PortTaken(Exception):
    """The text names the port, and its holder where that can be seen."""


def listen(port: int) -> list[socket.socket]:
    """Listening sockets on one port, IPv4 first. port: 0 for one that is free on both. Raises PortTaken."""
    for _ in range(TRIES_MAX):
        first = _listen(socket.AF_INET, _IPV4, port)
        chosen = first.getsockname()[1]
        try:
            return [first, _listen(socket.AF_INET6, _IPV6, chosen)]
        except OSError as error:
            if error.errno in _NO_IPV6:
                return [first]
            first.close()
            raise
        except PortTaken:
            first.close()
            if port != 0:
                raise
    raise PortTaken(f"no port was free on both {_IPV4} and [{_IPV6}] in {TRIES_MAX} tries")


def _listen(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((address, port))
        made.listen(BACKLOG)
        made.setblocking(False)
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(_taken(address, port)) from None
        if error.errno == errno.EACCES:
            raise PortTaken(f"port {port} may not be used by this user; choose one above 1023 with --port") from None
        raise
    return made


def _taken(address: str, port: int) -> str:
    shown = f"[{address}]" if ":" in address else address
    holder = holder_of(port)
    by = f" by {holder}" if holder else ""
    return f"{shown}:{port} is in use{by}; stop that, or choose another port with --port (0: any free one)"


def holder_of(port: int) -> str | None:
    """`pid 4711 (nginx)` of who listens on the port, None where it can't be seen (another user's, or no /proc)."""
    inodes = _listening_inodes(port)
    if not inodes:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        try:
            for descriptor in (process / "fd").iterdir():
                target = str(descriptor.readlink())
                if target.startswith("socket:[") and target[8:-1] in inodes:
                    return f"pid {process.name} ({(process / 'comm').read_text().strip()})"
        except OSError:
            continue
    return None


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(fields[9])
    return inodes
