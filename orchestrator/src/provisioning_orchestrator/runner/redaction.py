"""Takes secrets out of what is written: in the encodings in which programs print them, and across write boundaries.

`encodings` says which; contract/examples/redaction.json holds the cases. Both distributions have this file, word
for word the same (they share no code, and must not differ in this). Standard library only.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

LINE_BYTES_MIN = 8
WRAPS = (76, 64, 60)
"""Columns at which base64, PEM and xxd -p break their lines."""

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~")
_HEAD = 4


class Redactor:
    """secrets: name → value. What is taken out of a text leaves `[secret name]`."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        names: dict[bytes, bytes] = {}
        for name, value in secrets.items():
            for needle in encodings(value):
                names.setdefault(needle, b"[secret %s]" % name.encode())
        self._names = names
        self._needles = sorted(names, key=len, reverse=True)  # at one place the longest counts
        self._pattern = re.compile(b"|".join(map(re.escape, self._needles))) if names else None

    def whole(self, data: bytes) -> bytes:
        """All of a text."""
        return self.part(data, final=True)[0]

    def text(self, text: str) -> str:
        data = text.encode("utf-8", "surrogatepass")
        redacted = self.whole(data)
        return text if redacted == data else redacted.decode("utf-8", "replace")

    def part(self, data: bytes, final: bool = False) -> tuple[bytes, int]:
        """What can be written of a stream that begins with data, and how many bytes of data that stands for.

        The rest is the beginning of a secret, perhaps: it comes again in front of what follows. At most the longest
        needle is held back, and nothing where the data does not end like the beginning of one.
        """
        if self._pattern is None:
            return data, len(data)
        held = len(data) if final else self._held(data)
        out: list[bytes] = []
        done = 0
        for begin, end in self._spans(data):
            if end > held:  # What follows may make this one longer.
                held = min(held, begin)
                break
            out += [data[done:begin], self._names_of(data[begin:end])]
            done = end
        out.append(data[done:held])
        return b"".join(out), held

    def value(self, value: Any) -> Any:
        """The same plain data without the secrets: texts, keys, and numbers that spell one."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(name): self.value(each) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(each) for each in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            spelled = repr(value)
            redacted = self.text(spelled)
            return value if redacted == spelled else redacted
        return value

    def document(self, data: bytes) -> bytes:
        """A JSON text, or what was meant as one. Byte for byte as it was where no secret is in it."""
        try:
            given = json.loads(data)
            clean = self.value(given)
            if clean != given:
                data = json.dumps(clean, ensure_ascii=False).encode("utf-8", "surrogatepass")
        except (ValueError, RecursionError):
            pass
        return self.whole(data)

    def _spans(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Where needles are; those that overlap are one span."""
        assert self._pattern is not None
        found = self._pattern.search(data)
        while found is not None:
            begin, end = found.span()
            found = self._pattern.search(data, begin + 1)
            while found is not None and found.start() < end:
                end = max(end, found.end())
                found = self._pattern.search(data, found.start() + 1)
            yield begin, end

    def _names_of(self, span: bytes) -> bytes:
        assert self._pattern is not None
        exact = self._names.get(span)
        if exact is not None:
            return exact
        first = self._pattern.match(span)
        return self._names[first.group()] if first else b"[secret]"

    def _held(self, data: bytes) -> int:
        """Where the longest end of data begins that a needle begins with."""
        start = size = len(data)
        for needle in self._needles:
            low = max(0, size - len(needle) + 1)
            place = data.find(needle[:_HEAD], low)
            while 0 <= place < start:
                if needle.startswith(data[place:]):
                    start = place
                    break
                place = data.find(needle[:_HEAD], place + 1)
            for short in range(_HEAD - 1, 0, -1):
                if size - short < start and short < len(needle) and data.endswith(needle[:short]):
                    start = size - short
                    break
        return start


def encodings(value: str) -> set[bytes]:
    """The bytes by which a value is recognised."""
    raw = value.encode("utf-8", "surrogatepass")
    found = {raw, value.encode("utf-16-le", "surrogatepass"), value.encode("utf-16-be", "surrogatepass")}
    found |= _hex(raw) | _base64(raw) | _percent(raw)
    found |= {text.encode("utf-8", "surrogatepass") for text in _quoted(value)}
    lines = [line.strip() for line in raw.splitlines()]
    if len(lines) > 1:
        found |= {line for line in lines if not line.startswith(b"-----")}
    return {needle for needle in found if len(needle) >= LINE_BYTES_MIN - 1}


def _hex(raw: bytes) -> set[bytes]:
    lower = binascii.hexlify(raw)
    return {form for text in (lower, lower.upper()) for form in (text, *_wrapped(text))}


def _base64(raw: bytes) -> set[bytes]:
    """As a part of whatever was encoded: for each of the three alignments the characters that only it decides."""
    found: set[bytes] = set()
    for before in range(3):
        text = binascii.b2a_base64(bytes(before) + raw, newline=False)
        first = (before * 8 + 5) // 6
        last = (before + len(raw)) * 8 // 6
        certain = text[first:last]
        pieces = {certain, *(_wrapped(text[:last]) if before == 0 else ())}
        found |= pieces | {piece.translate(_URLSAFE) for piece in pieces}
    return found


_URLSAFE = bytes.maketrans(b"+/", b"-_")


def _wrapped(text: bytes) -> Iterable[bytes]:
    """The lines of an encoded text that was broken at the usual columns."""
    for columns in WRAPS:
        if len(text) > columns:
            yield from (text[at : at + columns] for at in range(0, len(text), columns))


def _percent(raw: bytes) -> set[bytes]:
    found = set()
    for kept in (_UNRESERVED, _UNRESERVED | {0x2F}, _UNRESERVED - {0x7E}, frozenset(b"")):
        for form in (b"%%%02X", b"%%%02x"):
            text = b"".join(bytes([byte]) if byte in kept else form % byte for byte in raw)
            found |= {text, text.replace(b"%20", b"+")}
    return found


def _quoted(value: str) -> set[str]:
    """In JSON, in a shell's quotes, as Python shows it, in HTML."""
    escaped = {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    html = value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    return {
        *escaped,
        *(text.replace("/", "\\/") for text in escaped),
        *(json.dumps(text)[1:-1] for text in escaped),
        value.replace("'", "'\\''"),
        value.replace("'", "'\"'\"'"),
        "".join("\\" + char if char in '"$`\\!' else char for char in value),
        repr(value)[1:-1],
        ascii(value)[1:-1],
        html,
        html.replace("'", "&#x27;"),
        html.replace("'", "&#39;"),
        value.replace("\n", "\r\n"),
    }
