"""Takes secrets out of what is written: in the encodings in which programs print them, across writes and lines.

`encodings` says which; contract/examples/redaction.json holds the cases. Both distributions have this file, word
for word the same (they share no code, and must not differ in this). Standard library only.
"""

from __future__ import annotations

import binascii
import bisect
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

NEEDLE_BYTES_MIN = 7
CUT_BYTES_MIN = 6
LAYOUT = b" \t\r\n|\xe2\x94\x82"
"""What programs put between the parts of a long text: blanks, and bars (of UTF-8, the bytes of one)."""

_RUN = re.compile(b"[^" + re.escape(LAYOUT) + b"]+")
_ALPHANUMERIC = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_KEPT = tuple(frozenset(_ALPHANUMERIC + more) for more in (
    b"-_.~", b"-_.~/", b"-_.", b"-_./", b"./:", b"",  # Python, curl, Go; older ones; Nushell
    b"-_.*", b"-_.!~*'()", b"-_.!~*'();/?:@&=+$,#", b"-_.~$&+=:@",  # forms, JavaScript's two, Go's paths
))  # fmt: skip
"""What is left as it is where the rest is percent-encoded."""
_HEAD = 4


class Redactor:
    """secrets: name → value. What is taken out of a text leaves `[secret name]`.

    Compared is what is left without LAYOUT: base64 in columns, hex in pairs and a message that was broken to fit a
    terminal are found too.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        names: dict[bytes, bytes] = {}
        needles: set[bytes] = set()
        for name, value in secrets.items():
            for needle in encodings(value):
                squeezed = needle.translate(None, LAYOUT)
                if len(squeezed) >= NEEDLE_BYTES_MIN:
                    names.setdefault(squeezed, b"[secret %s]" % name.encode())
                    needles.add(needle)
        self._names = names
        self._needles = sorted(needles, key=lambda needle: (len(needle), needle))
        self._squeezed = sorted(names, key=len, reverse=True)  # at one place the longest counts
        self._pattern = re.compile(b"|".join(map(re.escape, self._squeezed))) if names else None

    def whole(self, data: bytes) -> bytes:
        """All of a text."""
        return self.part(data, final=True)[0]

    def end(self, data: bytes) -> bytes:
        """The end of a stream, whose writer may have been killed in the middle of a secret: that half is taken out too.

        Not where it is shorter than CUT_BYTES_MIN: many texts end like the beginning of something.
        """
        begin = _held(data, self._needles)
        if len(data) - begin < CUT_BYTES_MIN:
            return self.whole(data)
        needle = next(needle for needle in self._needles if needle.startswith(data[begin:]))
        return self.whole(data[:begin]) + self._names[needle.translate(None, LAYOUT)]

    def text(self, text: str) -> str:
        data = text.encode("utf-8", "surrogatepass")
        redacted = self.whole(data)
        return text if redacted == data else redacted.decode("utf-8", "replace")

    def part(self, data: bytes, final: bool = False, quiet: bool = False) -> tuple[bytes, int]:
        """What can be written of a stream that begins with data, and how many bytes of data that stands for.

        The rest is the beginning of a secret, perhaps: it comes again in front of what follows. At most the longest
        needle is held back, and nothing where the data does not end like the beginning of one. quiet: nothing has
        followed for a while, so that what ends a line is not held back for the sake of a next one.
        """
        if self._pattern is None:
            return data, len(data)
        squeezed = data.translate(None, LAYOUT)
        held = len(data)
        if quiet:
            held = _held(data, self._needles)
        elif not final:
            held = _before_last(data, len(squeezed) - _held(squeezed, self._squeezed))
        out: list[bytes] = []
        done = 0
        for begin, end, name in self._spans(data, squeezed):
            if end > held:  # What follows may make this one longer.
                held = min(held, begin)
                break
            out += [data[done:begin], name]
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

    def _spans(self, data: bytes, squeezed: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Where needles are in data, and by what name; those that overlap are one span."""
        assert self._pattern is not None
        found = self._pattern.search(squeezed)
        places = _Places(data) if found is not None else None
        while found is not None and places is not None:
            name = self._names[found.group()]
            begin, end = found.span()
            found = self._pattern.search(squeezed, begin + 1)
            while found is not None and found.start() < end:
                end = max(end, found.end())
                found = self._pattern.search(squeezed, found.start() + 1)
            yield places.of(begin), places.of(end - 1) + 1, name


class _Places:
    """From a place in the squeezed text to that in the text itself."""

    def __init__(self, data: bytes) -> None:
        self._texts: list[int] = []
        self._squeezed: list[int] = []
        at = 0
        for run in _RUN.finditer(data):
            self._texts.append(run.start())
            self._squeezed.append(at)
            at += run.end() - run.start()

    def of(self, squeezed: int) -> int:
        run = bisect.bisect_right(self._squeezed, squeezed) - 1
        return self._texts[run] + squeezed - self._squeezed[run]


def _before_last(data: bytes, count: int) -> int:
    """Where the last `count` bytes of data that are no layout begin; its end where there are none."""
    at = len(data)
    while count:
        at -= 1
        count -= data[at] not in LAYOUT
    return at


def _held(data: bytes, needles: Iterable[bytes]) -> int:
    """Where the longest end of data begins that a needle begins with."""
    start = size = len(data)
    for needle in needles:
        place = data.find(needle[:_HEAD], max(0, size - len(needle) + 1))
        while 0 <= place < start:
            if needle.startswith(data[place:]):
                start = place
                break
            place = data.find(needle[:_HEAD], place + 1)
        for short in range(_HEAD - 1, 0, -1):
            if size - short < start and data.endswith(needle[:short]):
                start = size - short
                break
    return start


def encodings(value: str) -> set[bytes]:
    """The bytes by which a value is recognised."""
    raw = value.encode("utf-8", "surrogatepass")
    found = {raw, value.encode("utf-16-le", "surrogatepass"), value.encode("utf-16-be", "surrogatepass")}
    found |= _hex(raw) | _base64(raw) | _percent(raw)
    found |= {text.encode("utf-8", "surrogatepass") for text in (*_quoted(value), *_json(value))}
    found.add(repr(raw)[2:-1].encode())  # as Python shows bytes
    lines = [line.strip() for line in raw.splitlines()]
    if len(lines) > 1:
        found |= {line for line in lines if not line.startswith(b"-----")}
    return {needle for needle in found if len(needle) >= NEEDLE_BYTES_MIN}


def _hex(raw: bytes) -> set[bytes]:
    lower = binascii.hexlify(raw)
    return {lower, lower.upper()}


def _base64(raw: bytes) -> set[bytes]:
    """As a part of whatever was encoded: for each of the three alignments the characters that only it decides."""
    found: set[bytes] = set()
    for before in range(3):
        text = binascii.b2a_base64(bytes(before) + raw, newline=False)
        certain = text[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]
        found |= {certain, certain.translate(_URLSAFE)}
    return found


_URLSAFE = bytes.maketrans(b"+/", b"-_")


def _percent(raw: bytes) -> set[bytes]:
    found = set()
    for kept in (*_KEPT, frozenset(b"")):
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


def _json(value: str) -> Iterator[str]:
    """As the JSON of others than Python has it: Go's (OpenTofu, kubectl …), Gson's and .NET's escape more."""
    for text in (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]):
        upper = _CODE.sub(lambda code: "\\u" + code[1].upper(), text)
        for base, form in ((text, "\\u%04x"), (upper, "\\u%04X")):
            for more in ("", "&<>", "&<>'=", "&<>'+`\""):
                plain = base.replace('\\"', '"') if '"' in more else base
                yield "".join(form % ord(char) if char in more else char for char in plain)


_CODE = re.compile(r"\\u([0-9a-f]{4})")
