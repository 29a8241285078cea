"""Links, addresses and routes through rtnetlink, because a fresh machine need not have the `ip` program.

One `Netlink` speaks to the network namespace in which it was opened. A refused request raises OSError.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from types import TracebackType

_NEW_LINK, _NEW_ADDRESS, _NEW_ROUTE = 16, 20, 24
_REQUEST, _ACK, _EXCLUSIVE, _CREATE = 0x1, 0x4, 0x200, 0x400
_ERROR = 2
_LINK_ADDRESS, _LINK_NAME, _LINK_MASTER, _LINK_INFO, _LINK_NETNS_FD = 1, 3, 10, 18, 28
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_ADDRESS, _LOCAL = 1, 2
_GATEWAY, _OUT_INTERFACE = 5, 4
_UP = 1
_LINK = struct.Struct("=BBHiII")  # family, padding, type, index, flags, change
_NEW = _CREATE | _EXCLUSIVE


class Netlink:
    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.settimeout(5.0)
        self._sequence = 0

    def __enter__(self) -> Netlink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def add_bridge(self, name: str) -> None:
        info = _attribute(_INFO_KIND, b"bridge")
        body = _link() + _attribute(_LINK_NAME, name.encode() + b"\0") + _attribute(_LINK_INFO, info)
        self._request(_NEW_LINK, _NEW, body, f"adding bridge {name}")

    def add_cable(self, name: str, *, master: str, peer: str, peer_namespace: int, hardware: bytes) -> None:
        """A veth pair: `name` here, in the bridge `master`; `peer` in the namespace behind that descriptor, with that
        hardware address (6 bytes)."""
        other = _link() + _attribute(_LINK_NAME, peer.encode() + b"\0") + _attribute(_LINK_ADDRESS, hardware)
        other += _attribute(_LINK_NETNS_FD, struct.pack("=I", peer_namespace))
        info = _attribute(_INFO_KIND, b"veth") + _attribute(_INFO_DATA, _attribute(_VETH_PEER, other))
        body = _link(flags=_UP) + _attribute(_LINK_NAME, name.encode() + b"\0")
        body += _attribute(_LINK_MASTER, struct.pack("=I", socket.if_nametoindex(master)))
        self._request(_NEW_LINK, _NEW, body + _attribute(_LINK_INFO, info), f"adding veth {name}")

    def up(self, name: str) -> None:
        self._request(_NEW_LINK, 0, _link(socket.if_nametoindex(name), _UP), f"bringing {name} up")

    def add_address(self, name: str, address: ipaddress.IPv4Interface) -> None:
        body = struct.pack("=BBBBI", socket.AF_INET, address.network.prefixlen, 0, 0, socket.if_nametoindex(name))
        body += _attribute(_LOCAL, address.ip.packed) + _attribute(_ADDRESS, address.ip.packed)
        self._request(_NEW_ADDRESS, _NEW, body, f"giving {name} the address {address}")

    def add_default_route(self, name: str, gateway: ipaddress.IPv4Address) -> None:
        main_table, by_boot, universe, unicast = 254, 3, 0, 1
        body = struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, main_table, by_boot, universe, unicast, 0)
        body += _attribute(_GATEWAY, gateway.packed)
        body += _attribute(_OUT_INTERFACE, struct.pack("=I", socket.if_nametoindex(name)))
        self._request(_NEW_ROUTE, _NEW, body, f"adding a route by {gateway}")

    def _request(self, kind: int, flags: int, body: bytes, doing: str) -> None:
        self._sequence += 1
        header = struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | _ACK | flags, self._sequence, 0)
        self._socket.send(header + body)
        answer = self._socket.recv(65536)
        _, kind, _, sequence, _, number = struct.unpack_from("=IHHIIi", answer)
        if kind != _ERROR or sequence != self._sequence:
            raise OSError(f"{doing}: the kernel sent an answer of type {kind} to another question")
        if number:
            raise OSError(-number, f"{doing}: {os.strerror(-number)}")


def _link(index: int = 0, flags: int = 0) -> bytes:
    return _LINK.pack(socket.AF_UNSPEC, 0, 0, index, flags, flags)


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)
