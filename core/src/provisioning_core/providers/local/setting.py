"""What a machine is told at its start."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Setting:
    """home: its user's home directory, as the machine sees it. first: it is pid 1 of a pid namespace of its own.

    host_key: the private key in OpenSSH's form; public_key: that of the workspace, which opens the machine.
    ssh_keys: further ones that open it, whole lines.
    services: it starts at its beginning what is enabled in it, as `boot` says.
    """

    hostname: str
    user: str
    home: str
    host_key: str
    public_key: str
    first: bool
    services: bool = False
    ssh_keys: tuple[str, ...] = ()
