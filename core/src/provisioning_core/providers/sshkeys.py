"""Public keys of people, as a definition has them: one line of an authorized_keys file each."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from functools import lru_cache

from ..capabilities import Fault
from ..yamlfile import shown

TYPES = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)


def read_keys(given: Iterable[str], faults: list[Fault]) -> list[str]:
    """Sorted, each once. What is none is noted."""
    keys = [key.strip() for key in given]
    for place, key in enumerate(keys):
        if wrong := _wrong(key):
            faults.append(Fault(f"ssh_keys[{place}]", f"{shown(key)} is no public key: {wrong}"))
    return sorted(set(keys))


@lru_cache(1024)  # hundreds of servers have the same few
def _wrong(key: str) -> str | None:
    """A key says its type twice: before its base64, and in it."""
    words = key.split(None, 2)
    if "\n" in key or len(words) < 2 or words[0] not in TYPES:
        return f"accepted: one line that begins with {', '.join(TYPES)}"
    try:
        data = base64.b64decode(words[1], validate=True)
    except binascii.Error:
        return "its base64 is cut"
    parts = _parts(data)
    if len(parts) < 2 or parts[0] != words[0].encode():
        return f"its base64 is cut, or that of another type than {words[0]}"
    return None


def _parts(data: bytes) -> list[bytes]:
    """A key is strings with their lengths before them, to the last byte; empty for what is not."""
    parts, at = [], 0
    while at + 4 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        parts.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return parts if at == len(data) else []
