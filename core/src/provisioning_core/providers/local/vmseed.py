"""The seed that cloud-init reads at a virtual machine's first boot: an ISO 9660 image called CIDATA (NoCloud).

Three files in one directory: a writer of that much needs no program, and every image that knows cloud-init finds it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence

SECTOR = 2048
_ROOT_AT = (
    20  # sectors: 16 primary descriptor, 17 terminator, 18 and 19 path tables, then the directory, then the files
)


def seed(
    *, id: str, hostname: str, host_key: str, public_key: str, ssh_keys: Sequence[str], user_data: str | None
) -> bytes:
    """host_key: private, in OpenSSH's form, so that it can be known beforehand whom one connects to.

    What is ours comes as vendor data, so that the user data is the owner's alone, whatever its form. Nothing is said of
    the network: without that cloud-init asks by DHCP on the first card, in whichever way the image has. Nor of
    passwords: that would restart the SSH server late, under whoever is logged in by then.
    """
    ours = {
        "disable_root": False,
        "ssh_deletekeys": True,
        "ssh_keys": {"ed25519_private": host_key, "ed25519_public": public_key},
        "ssh_authorized_keys": list(ssh_keys),
    }
    meta = {"instance-id": id, "local-hostname": hostname}
    return iso(
        {
            "META-DATA": json.dumps(meta).encode(),  # JSON is YAML
            "USER-DATA": (user_data or "#cloud-config\n{}\n").encode(),
            "VENDOR-DATA": b"#cloud-config\n" + json.dumps(ours).encode() + b"\n",
        },
        volume="CIDATA",
    )


def iso(files: Mapping[str, bytes], *, volume: str) -> bytes:
    """An image with these files in its root directory. Names: upper case, as readers show them in lower case."""
    at, placed = _ROOT_AT + 1, {}
    for name in sorted(files):
        placed[name] = at
        at += max(1, -(-len(files[name]) // SECTOR))
    root = _entry(b"\0", _ROOT_AT, SECTOR, directory=True) + _entry(b"\1", _ROOT_AT, SECTOR, directory=True)
    for name, sector in placed.items():
        root += _entry(f"{name}.;1".encode(), sector, len(files[name]), directory=False)
    assert len(root) <= SECTOR
    content = b"".join(files[name].ljust(max(1, -(-len(files[name]) // SECTOR)) * SECTOR, b"\0") for name in placed)
    tables = (_path_table("<").ljust(SECTOR, b"\0"), _path_table(">").ljust(SECTOR, b"\0"))
    terminator = b"\xffCD001\x01".ljust(SECTOR, b"\0")
    parts = (bytes(16 * SECTOR), _descriptor(volume, at), terminator, *tables, root.ljust(SECTOR, b"\0"), content)
    return b"".join(parts)


def _descriptor(volume: str, sectors: int) -> bytes:
    blank, date = b" " * 128, b"0" * 16 + b"\0"
    fields = (
        b"\x01CD001\x01\0", b" " * 32, volume.encode().ljust(32), bytes(8), _both(sectors, "I"), bytes(32),
        _both(1, "H"), _both(1, "H"), _both(SECTOR, "H"), _both(len(_path_table("<")), "I"),
        struct.pack("<II", 18, 0), struct.pack(">II", 19, 0), _entry(b"\0", _ROOT_AT, SECTOR, directory=True),
        blank, blank, blank, blank, b" " * 37, b" " * 37, b" " * 37, date, date, date, date, b"\x01\0",
    )  # fmt: skip
    return b"".join(fields).ljust(SECTOR, b"\0")


def _entry(name: bytes, sector: int, length: int, *, directory: bool) -> bytes:
    size = 33 + len(name) + (len(name) + 1) % 2
    date = bytes((126, 1, 1, 0, 0, 0, 0))
    head = struct.pack("<BB", size, 0) + _both(sector, "I") + _both(length, "I") + date
    head += struct.pack("<BBB", 2 if directory else 0, 0, 0) + _both(1, "H") + struct.pack("<B", len(name))
    return (head + name).ljust(size, b"\0")


def _path_table(order: str) -> bytes:
    return struct.pack(f"{order}BBIH", 1, 0, _ROOT_AT, 1) + b"\0\0"


def _both(value: int, form: str) -> bytes:
    """Numbers stand there in both orders."""
    return struct.pack(f"<{form}", value) + struct.pack(f">{form}", value)
