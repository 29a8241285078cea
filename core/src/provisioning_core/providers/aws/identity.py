"""Whose a resource is, in tags: they hold a key as it is. And the token by which a server is made once.

    provisioning:key, :intent, :infra, :name   of the wish, on what is found by them
    provisioning:of                            on parts, the key of what they belong to
    provisioning:open                          "making" or "changing" on what is not finished
    provisioning:image                         the name of the image that was wished, on a server
    provisioning:storage:<name>                the device at which a server has that storage
    Name                                       the name, for EC2's console

All other tags are the user's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ...capabilities import Fault
from ...provider import Wish
from ...yamlfile import shown
from ..labels import LabelRules

OURS = "provisioning:"
KEY, INTENT, INFRA, NAME = f"{OURS}key", f"{OURS}intent", f"{OURS}infra", f"{OURS}name"
OF, OPEN, IMAGE, STORAGE = f"{OURS}of", f"{OURS}open", f"{OURS}image", f"{OURS}storage:"
CONSOLE = "Name"
TAGS_MAX, OURS_MAX = 50, 8
LABELS = LabelRules(
    re.compile(r".{1,128}", re.DOTALL),
    "1 to 128 characters",
    re.compile(r".{0,256}", re.DOTALL),
    "at most 256 characters",
    ("aws:", OURS),
    (CONSOLE,),
    TAGS_MAX - OURS_MAX,
)
_KEY = re.compile(r"[A-Za-z0-9+=._:/@-]([A-Za-z0-9 +=._:/@-]{0,254}[A-Za-z0-9+=._:/@-])?")


def key_faults(key: str) -> list[Fault]:
    """`bad_key`: a tag must hold it, and a filter must not read wildcards in it."""
    accepted = "up to 256 letters, digits, blanks inside and + = . _ : / @ -"
    return [] if _KEY.fullmatch(key) else [Fault("name", f"the key is {shown(key)}; accepted: {accepted}", "bad_key")]


def label_faults(wish: Wish) -> list[Fault]:
    """A server has a tag for each of its storages, and some more of ours."""
    return LABELS.faults(wish.labels, fewer=len(wish.spec.get("storages") or ()))


def tags_of(wish: Wish) -> dict[str, str]:
    own = {KEY: wish.key, INTENT: wish.intent, INFRA: wish.infra, NAME: wish.name, CONSOLE: wish.name}
    return dict(wish.labels) | own


def read(tags: Mapping[str, str]) -> dict[str, Any] | None:
    """key, intent, infra and name of what is ours; None for what is not."""
    if KEY not in tags:
        return None
    fields = {"key": KEY, "intent": INTENT, "infra": INFRA, "name": NAME}
    return {field: tags.get(tag, "") for field, tag in fields.items()}


def users(tags: Mapping[str, str]) -> dict[str, str]:
    """What the user put there."""
    return {name: value for name, value in tags.items() if not name.startswith((OURS, "aws:")) and name != CONSOLE}


def token(kind: str, key: str, generation: int) -> str:
    """At most 64 ASCII characters. Of the key, not of the intent: two wishes for one thing must be one to EC2 as well.

    generation: 0 for the first one that ever has this key; what was deleted keeps its token.
    """
    return hashlib.sha256(f"{kind}\0{key}\0{generation}".encode()).hexdigest()


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:20]


def from_list(tags: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags or ()}


def to_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": name, "Value": value} for name, value in tags.items()]


def specification(kind: str, tags: Mapping[str, str]) -> list[dict[str, Any]]:
    """TagSpecifications: put on in the moment of the creation."""
    return [{"ResourceType": kind, "Tags": to_list(tags)}]
