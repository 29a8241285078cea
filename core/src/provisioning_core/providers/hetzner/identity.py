"""Whose a resource is, in Hetzner's labels and in its name.

A label's value has 63 letters, digits and . _ - at most, and a key has slashes and may be longer. So a key is escaped
and cut into as many labels as it takes, and found by a label with its digest; what was found is compared with the key.

    provisioning-id       digest of kind and key     provisioning-key, -key-1, …   the key, whole
    provisioning-intent   the intent                 provisioning-infra, -name     those of the wish
    provisioning-of       on parts of a server (volumes, firewall): the server's provisioning-id
    provisioning-part     the storage's name, on a volume of a server
    provisioning-open     "making" or "changing" on a server that is not finished; see `server`

All other labels are the user's. Names are unique in a project: whoever creates the same thing twice, even at the same
moment, is refused the second time.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from ...provider import Kind, Wish
from ..labels import LabelRules

OURS = "provisioning-"
ID, INTENT, INFRA, NAME = f"{OURS}id", f"{OURS}intent", f"{OURS}infra", f"{OURS}name"
KEY, OF, PART, OPEN = f"{OURS}key", f"{OURS}of", f"{OURS}part", f"{OURS}open"
_PART = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
LABELS = LabelRules(
    re.compile(rf"([A-Za-z0-9]([A-Za-z0-9._-]{{0,251}}[A-Za-z0-9])?/)?{_PART}"),
    "1 to 63 letters, digits and . _ - inside, after a prefix of such with a / or none",
    re.compile(rf"({_PART})?"),
    "at most 63 letters, digits and . _ - inside",
    (OURS, "hetzner.cloud/"),
)
_CHUNK = 61  # a value is framed by a letter at each end, for it must not begin or end with . _ -
NAME_MAX = 63


def digest(kind: Kind, key: str) -> str:
    return hashlib.sha256(f"{kind}\0{key}".encode(errors="surrogatepass")).hexdigest()[:40]


def resource_name(infra: str, name: str, digest: str) -> str:
    """A hostname, the same for the same key: readable, and made unique by the digest's first 10 digits."""
    readable = f"{infra}-{name}"[: NAME_MAX - 11].rstrip("-")
    return f"{readable}-{digest[:10]}"


def labels_of(wish: Wish) -> dict[str, str]:
    own = {ID: digest(wish.kind, wish.key), INTENT: wish.intent, INFRA: wish.infra, NAME: wish.name}
    return dict(wish.labels) | own | _written(wish.key)


def users(labels: Mapping[str, str]) -> dict[str, str]:
    """What the user put there."""
    return {name: value for name, value in labels.items() if not name.startswith(OURS)}


def read(kind: Kind, labels: Mapping[str, str]) -> dict[str, Any] | None:
    """key, intent, infra and name of what is ours; None for what is not."""
    if ID not in labels or KEY not in labels:
        return None
    key = _read_key(labels)
    if digest(kind, key) != labels[ID]:
        return None
    return {"key": key, "intent": labels.get(INTENT, ""), "infra": labels.get(INFRA, ""), "name": labels.get(NAME, "")}


def _written(key: str) -> dict[str, str]:
    plain = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-"
    escaped = "".join(chr(b) if b in plain else f"_{b:02x}" for b in key.encode(errors="surrogatepass"))
    chunks = [escaped[at : at + _CHUNK] for at in range(0, len(escaped), _CHUNK)] or [""]
    return {KEY if not number else f"{KEY}-{number}": f"k{chunk}k" for number, chunk in enumerate(chunks)}


def _read_key(labels: Mapping[str, str]) -> str:
    names = [KEY, *(f"{KEY}-{number}" for number in range(1, len(labels)))]
    escaped = "".join(labels[name][1:-1] for name in names if name in labels)
    found = re.sub(rb"_([0-9a-f]{2})", lambda match: bytes([int(match[1], 16)]), escaped.encode())
    return found.decode(errors="surrogatepass")
