"""SSH keys of the double: name and fingerprint are unique in a project."""

from __future__ import annotations

import base64
import binascii
import hashlib

from .labels import check_labels
from .refusal import Refusal, invalid
from .world import Thing, World, outward


def create(world: World, body: Thing) -> Thing:
    if not body.get("name"):
        raise invalid("name", "missing")
    fingerprint = _fingerprint(str(body.get("public_key", "")))
    if fingerprint in {each["fingerprint"] for each in world.every("ssh_key")}:
        raise Refusal("uniqueness_error", "SSH key not unique", {"fields": [{"name": "public_key"}]})
    fields = {"name": body["name"], "fingerprint": fingerprint, "public_key": body["public_key"]}
    return {"ssh_key": outward(world.add("ssh_key", fields | {"labels": check_labels(body.get("labels"))}))}


def show(_: World, key: Thing) -> Thing:
    return outward(key)


def delete(world: World, key: Thing) -> None:
    world.drop("ssh_key", key)


def _fingerprint(public_key: str) -> str:
    """As `ssh-keygen -l -E md5` gives it."""
    words = public_key.split()
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (IndexError, binascii.Error) as error:
        raise invalid("public_key", "not a public key") from error
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))
