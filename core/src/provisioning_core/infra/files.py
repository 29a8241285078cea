"""Files that a definition names: public keys and user data, from below the workspace only."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

from ..names import USER_DATA_MAX
from ..schema import load_schema
from ..schema.interpreter import PRIVATE, compiled
from ..yamlfile import Cursor, shown
from .references import Item
from .source import Source

KEY_FILE_MAX = 256 * 1024
STATE_DIRECTORY = ".provisioning"  # what we keep there is nobody's definition, and may be a private key


def ssh_keys_of(source: Source, item: Item) -> tuple[str, ...]:
    """Each once, in the order of the definition."""
    keys: dict[str, None] = {}
    for at in item.cursors("ssh_keys"):
        value = at.value()
        if isinstance(value, str):
            if _is_key(at, value, "this"):
                keys[value] = None
            continue
        for line in _lines(source, at):
            keys[line] = None
    return tuple(keys)


def user_data_of(source: Source, item: Item) -> str | None:
    value = item.get("user_data")
    if value is None:
        return None
    at = item.fields["user_data"]
    if isinstance(value, dict):
        at = _file_field(at)
        text = _read(source.workspace.path, at, USER_DATA_MAX)
        if text is not None and not text:
            at.fail(f"the file {shown(value['file'])} is empty; leave user_data out, or write something into it")
        return text
    if len(value.encode()) > USER_DATA_MAX:
        at.fail(f"{len(value.encode())} bytes; at most {USER_DATA_MAX} are accepted")
    return str(value)


def _lines(source: Source, at: Cursor) -> list[str]:
    at_file = _file_field(at)
    text = _read(source.workspace.path, at_file, KEY_FILE_MAX)
    if text is None:
        return []
    name = shown(at_file.value())
    if PRIVATE in text:
        at_file.fail(
            f"{name} holds a PRIVATE key: it stays with you; accepted: the public one, mostly beside it as .pub"
        )
        return []
    lines = [line.strip() for line in text.splitlines()]
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys:
        at_file.fail(f"{name} holds no public key")
    return [key for key in keys if _is_key(at_file, key, f"{name} holds what")]


def _is_key(at: Cursor, key: str, what: str) -> bool:
    """The schema knows what it looks like; that the base64 says the same as the name it does not."""
    words = key.split(" ", 2)
    if compiled(_looks()["pattern"]).search(key):
        try:
            data = base64.b64decode(words[1], validate=True)
        except binascii.Error:
            data = b""
        size = int.from_bytes(data[:4], "big")
        if data[4 : 4 + size] == words[0].encode() and len(data) > 4 + size:
            return True
    accepted = _looks()["patternErrorMessage"]
    at.fail(f"{what} is no public key (its base64 is cut or another's): {shown(key)}; accepted: {accepted}")
    return False


def _looks() -> dict[str, str]:
    found: dict[str, str] = load_schema("infra")["$defs"]["publicKey"]
    return found


def _file_field(at: Cursor) -> Cursor:
    return next(below for name, _, below in at.entries() or [] if name == "file")


def _read(workspace: Path, at: Cursor, most: int) -> str | None:
    """Its text, None and noted where it is not there, too large, no text, or not below the workspace."""
    named = str(at.value())
    root = workspace.resolve()
    try:
        path = (root / named).resolve()
        if not path.is_relative_to(root):
            at.fail(f"{shown(named)} leaves the workspace; accepted: a path below it, relative to it")
            return None
        if path.relative_to(root).parts[:1] == (STATE_DIRECTORY,):
            at.fail(
                f"{shown(named)} is in {STATE_DIRECTORY}, which holds what is kept about resources, not definitions"
            )
            return None
        if not path.is_file():  # also no pipe, which could be waited for without end
            at.fail(f"there is no file {shown(named)} in the workspace")
            return None
        with path.open("rb") as file:
            data = file.read(most + 1)
        if len(data) > most:
            at.fail(f"{shown(named)} has more than {most} bytes; at most that many are accepted")
            return None
        return data.decode("utf-8")
    except UnicodeDecodeError:
        at.fail(f"{shown(named)} is not UTF-8 text")
    except (OSError, ValueError, RuntimeError) as error:
        at.fail(f"cannot read {shown(named)}: {error}")
    return None
