"""The networks between machines: each one a network namespace that holds a bridge, and a cable to every machine in it.

They exist as descriptors of the machine room only, so they end with it and leave nothing on the host. A machine without
a network has the loopback. No way leads from them to the host or to the world: SSH comes in through a socket that the
room opened on the host and gave to the machine.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from dataclasses import dataclass

from . import forks, kernel
from .netlink import Netlink

_BRIDGE = "bridge0"


@dataclass(frozen=True, slots=True)
class Space:
    """A machine's network namespace, by its descriptor. grounded: it belongs to a user namespace below the ground;
    else to one of root's own, who needs no ground to get there."""

    descriptor: int
    grounded: bool = True


class Networks:
    """All networks of one room. ground: the user namespace that owns them."""

    def __init__(self, ground: int) -> None:
        self._ground = ground
        self._spaces: dict[str, int] = {}
        self._cables = 0

    def connect(self, machine: Space, network: str, cidr: str, address: str) -> str | None:
        """Lay a cable into the machine's network namespace. None, or why there can be none.

        Without a cable, on a kernel that knows no bridges, the machine has its address on the loopback.
        """
        subnet = ipaddress.IPv4Network(cidr)
        try:
            self._lay_cable(machine, network, subnet, address)
            return None
        except OSError as error:
            self.isolate(machine, ipaddress.IPv4Interface(f"{address}/32"))
            return str(error)

    def isolate(self, machine: Space, address: ipaddress.IPv4Interface | None = None) -> None:
        """A machine without a network: its loopback works, and has this address too."""

        def lift() -> bytes:
            if machine.grounded:
                kernel.enter(self._ground, kernel.NEW_USER)
            kernel.enter(machine.descriptor, kernel.NEW_NET)
            with Netlink() as link:
                link.up("lo")
                if address is not None:
                    link.add_address("lo", address)
            return b""

        forks.answer(lift, keep=(self._ground, machine.descriptor))

    def forget(self, networks_alive: set[str]) -> None:
        """Let go of the networks that no machine uses any more."""
        for network in self._spaces.keys() - networks_alive:
            os.close(self._spaces.pop(network))

    def _lay_cable(self, machine: Space, network: str, subnet: ipaddress.IPv4Network, address: str) -> None:
        gateway = next(iter(subnet.hosts()))
        space = self._space(network, subnet, gateway)
        self._cables += 1
        name = f"cable{self._cables}"

        def lay() -> bytes:
            if machine.grounded:
                kernel.enter(self._ground, kernel.NEW_USER)
            kernel.enter(space, kernel.NEW_NET)
            with Netlink() as bridge_side:
                bridge_side.add_cable(
                    name, master=_BRIDGE, peer="eth0", peer_namespace=machine.descriptor, hardware=_hardware(address)
                )
            kernel.enter(machine.descriptor, kernel.NEW_NET)
            with Netlink() as machine_side:
                machine_side.up("lo")
                machine_side.add_address("eth0", ipaddress.IPv4Interface(f"{address}/{subnet.prefixlen}"))
                machine_side.up("eth0")
                machine_side.add_default_route("eth0", gateway)
            return b""

        forks.answer(lay, keep=(self._ground, space, machine.descriptor))

    def _space(self, network: str, subnet: ipaddress.IPv4Network, gateway: ipaddress.IPv4Address) -> int:
        if network not in self._spaces:
            ours, theirs = socket.socketpair()
            with ours, theirs:

                def build() -> bytes:
                    kernel.enter(self._ground, kernel.NEW_USER)
                    kernel.unshare(kernel.NEW_NET)
                    with Netlink() as link:
                        link.up("lo")
                        link.add_bridge(_BRIDGE)
                        link.add_address(_BRIDGE, ipaddress.IPv4Interface(f"{gateway}/{subnet.prefixlen}"))
                        link.up(_BRIDGE)
                    descriptor = os.open("/proc/self/ns/net", os.O_RDONLY)
                    socket.send_fds(theirs, [b"n"], [descriptor])
                    return b""

                forks.answer(build, keep=(self._ground, theirs.fileno()))
                self._spaces[network] = socket.recv_fds(ours, 1, 1)[1][0]
        return self._spaces[network]


def _hardware(address: str) -> bytes:
    """One for each address, locally administered: a machine that is made or started anew has the one that its
    neighbours remember. With a random one they would send into the void for up to half a minute."""
    return b"\x02\x00" + ipaddress.IPv4Address(address).packed
