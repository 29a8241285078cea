"""The state file of an attempt: layout 1, in words in contract/attempt.json.

    offset  size  region   written by   what
         0   768  header   shim         which attempt, which boot, which limits, in the daemon's words
       768   256  claim    shim         "I run it" (pid, start time, boot) - or the daemon's "poisoned": nobody will
      1024   512  outcome  shim         how it ended: whole or not at all
      1536    64  hole     shim         which bytes of the log were cut
      1600    64  cancel   daemon       the grace of a cancel, before its SIGTERM
      1664   384  note     shim         what went wrong before the operation ran
      2048        input    shim         the operation's line of JSON

A region is empty (only NULs), whole (`key=value … crc=… end`, newline, NULs), or torn. The file is also the lock: the
shim makes it exclusively, takes its flock, and goes if it is not empty any more. Nobody releases the lock but by
closing it (never LOCK_UN, which would release it for all). All regions lie in one page and are written by one call
before anything runs, so writing the outcome needs no room on a full disk.

The frozen helper imports this module too: nothing but built-in modules here.
"""

from __future__ import annotations

import binascii
import os

LAYOUT = 1
MAGIC = b"provisioning-attempt layout="
REGIONS_END = 2048

Region = tuple[int, int]
HEADER: Region = (0, 768)
CLAIM: Region = (768, 256)
OUTCOME: Region = (1024, 512)
HOLE: Region = (1536, 64)
CANCEL: Region = (1600, 64)
NOTE: Region = (1664, 384)

Fields = dict[str, str]

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./:,()'")


class Torn(Exception):
    """A region holds something, but not one whole record."""


def record(region: Region, fields: dict[str, object], prefix: bytes = b"") -> bytes:
    """The bytes of a whole region. Values must not hold spaces or control characters; raises ValueError if too long."""
    body = prefix + " ".join([f"{key}={value}" for key, value in fields.items()]).encode()
    whole = b"%s crc=%08x end\n" % (body, binascii.crc32(body))
    if len(whole) > region[1]:
        raise ValueError(f"a record of {len(whole)} bytes does not fit into its {region[1]}: {whole!r}")
    return whole.ljust(region[1], b"\0")


def fields_of(content: bytes, region: Region) -> Fields:
    """The fields of a region, read out of a file's first bytes: empty dict if it is empty. Raises Torn."""
    raw = content[region[0] : region[0] + region[1]].rstrip(b"\0")
    if not raw:
        return {}
    body, found, trailer = raw.rpartition(b" crc=")
    if not found or trailer != b"%08x end\n" % binascii.crc32(body):
        raise Torn(f"{raw!r} at byte {region[0]}")
    return dict(part.split("=", 1) for part in body.decode("utf-8", "replace").split(" ") if "=" in part)


def write(fd: int, region: Region, fields: dict[str, object]) -> None:
    """Write one region whole, by one call. Raises OSError also where the system wrote less."""
    data = record(region, fields)
    if os.pwrite(fd, data, region[0]) != len(data):
        raise OSError(f"only a part of the {len(data)} bytes at {region[0]} was written")


def free_text(text: str, region: Region = NOTE) -> str:
    """Text made fit for a value of a record: percent-encoded, and cut where it would not fit."""
    room = region[1] - 64
    encoded = ""
    for byte in text.encode("utf-8", "replace"):
        piece = chr(byte) if byte in _PLAIN else f"%{byte:02x}"
        if len(encoded) + len(piece) > room:
            break
        encoded += piece
    return encoded


def readable(text: str) -> str:
    """What free_text was made from."""
    first, *rest = text.split("%")
    raw = first.encode() + b"".join(bytes([int(piece[:2], 16)]) + piece[2:].encode() for piece in rest)
    return raw.decode("utf-8", "replace")


def layout_of(content: bytes) -> int | None:
    """The layout version that the file says it has, None where it does not look like a state file."""
    if not content.startswith(MAGIC):
        return None
    digits = content[len(MAGIC) : len(MAGIC) + 8].split(b" ", 1)[0]
    return int(digits) if digits.isdigit() else None


def head(fields: dict[str, object]) -> bytes:
    """The header's record. Raises ValueError if it is too long."""
    return record(HEADER, fields, MAGIC + b"%d " % LAYOUT)


def new_content(head: bytes, input: bytes, claim: bytes = b"", outcome: bytes = b"") -> bytes:
    """All of a new state file: every region present, so that no later write needs room."""
    return (head.ljust(HEADER[1], b"\0") + claim.ljust(CLAIM[1], b"\0") + outcome.ljust(OUTCOME[1], b"\0")).ljust(
        REGIONS_END, b"\0"
    ) + input
