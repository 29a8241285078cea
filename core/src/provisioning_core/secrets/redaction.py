"""Takes secrets out of what is written: in the encodings in which programs print them, across writes and lines.

`encodings` says which; contract/examples/redaction.json holds the cases. Both distributions have this file, word
for word the same (they share no code, and must not differ in this). Standard library only.

Compared is what is left without LAYOUT and without the codes of terminals (colours): base64 in columns, hex in pairs
and a message that was broken to fit a terminal are found too.
"""

from __future__ import annotations

import bisect
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import groupby
from typing import Any

from .encodings import NEEDLE_BYTES_MIN, encodings

CUT_BYTES_MIN = 6
LAYOUT = b" \t\r\n|\xe2\x94\x82"
"""What programs put between the parts of a long text: blanks, and bars (of UTF-8, the bytes of one)."""

_RUN = re.compile(b"[^" + re.escape(LAYOUT) + b"]+")
_CODE = re.compile(rb"\x1b(?:\[[0-?]{0,32}[ -/]{0,4}(?:[@-~]|\Z)|\Z)")


class Redactor:
    """secrets: name → value. What is taken out of a text leaves `[secret name]`."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        names: dict[bytes, bytes] = {}
        raw: set[bytes] = set()
        for name, value in secrets.items():
            for needle in encodings(value):
                squeezed = _squeezed(needle)
                if len(squeezed) >= NEEDLE_BYTES_MIN:
                    names.setdefault(squeezed, b"[secret %s]" % name.encode())
                    raw.add(needle)
        self._names = names
        self._raw = raw
        self._index = Index(names)

    @cached_property
    def _raw_index(self) -> Index:
        return Index(self._raw)

    def whole(self, data: bytes) -> bytes:
        """All of a text."""
        return self.part(data, final=True)[0]

    def end(self, data: bytes) -> bytes:
        """The end of a stream, whose writer may have been killed in the middle of a secret: that half is taken out too.

        Not where it is shorter than CUT_BYTES_MIN: many texts end like the beginning of something.
        """
        begin = self._raw_index.held(_uncoloured(data)) if self._names else len(data)
        if len(data) - begin < CUT_BYTES_MIN:
            return self.whole(data)
        half = _uncoloured(data)[begin:]
        needle = min((needle for needle in self._raw if needle.startswith(half)), key=len)
        return self.whole(data[:begin]) + self._names[_squeezed(needle)]

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
        if not self._names:
            return data, len(data)
        plain = _uncoloured(data)
        squeezed = plain.translate(None, LAYOUT)
        held = len(data)
        if quiet:
            held = self._raw_index.held(plain)
        elif not final:
            held = _before_last(plain, len(squeezed) - self._index.held(squeezed))
        out: list[bytes] = []
        done = 0
        for begin, end, name in self._spans(plain, squeezed):
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
        found = sorted(self._index.found(squeezed), key=lambda one: (one[0], -len(one[1])))
        places = _Places(data) if found else None
        at = 0
        while places is not None and at < len(found):
            begin, first = found[at]
            end = begin + len(first)
            while at < len(found) and found[at][0] < end:
                end = max(end, found[at][0] + len(found[at][1]))
                at += 1
            yield places.of(begin), places.of(end - 1) + 1, self._names[first]


class Index:
    """Needles, and where they are in a text.

    Of each needle a window is looked for that begins with the byte which is rarest in ordinary logs: what passes most
    of a log over is the loop of `re` that looks for one of a few bytes. None is shorter than NEEDLE_BYTES_MIN.
    """

    def __init__(self, needles: Iterable[bytes]) -> None:
        self._sorted = sorted(needles)
        self._heads = {needle[:_HEAD] for needle in self._sorted}
        self._longest = max(map(len, self._sorted), default=0)
        self._windows: dict[bytes, list[tuple[int, bytes]]] = {}
        for needle in self._sorted:
            at = _rarest(needle)
            self._windows.setdefault(needle[at : at + _WINDOW], []).append((at, needle))
        self._pattern = re.compile(_alternatives(sorted(self._windows)), re.DOTALL)

    def found(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """(begin, needle) of each that is in it, overlapping ones too, in no order."""
        for begin, needle in self._candidates(data):
            if data.startswith(needle, begin):
                yield begin, needle

    def held(self, data: bytes) -> int:
        """Where the longest end of data begins that is the beginning of a needle; its end where there is none."""
        size = len(data)
        base = max(0, size - self._longest + 1)
        tail = data[base:]
        held = size
        for begin, needle in self._candidates(tail):  # ends that are long enough to have their window in them
            if begin + len(needle) > len(tail) and needle.startswith(tail[begin:]):
                held = min(held, base + begin)
        for begin in range(max(0, size - _SHORT), held):
            if (size - begin < _HEAD or data[begin : begin + _HEAD] in self._heads) and self._begins(data[begin:]):
                return begin
        return held

    def _begins(self, part: bytes) -> bool:
        """Whether a longer needle does so."""
        at = bisect.bisect_right(self._sorted, part)
        return at < len(self._sorted) and self._sorted[at].startswith(part)

    def _candidates(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Where a needle may begin, because its window is there."""
        match = self._pattern.search(data)
        while match is not None:
            at = match.start()
            for offset, needle in self._windows[match.group()]:
                if offset <= at:
                    yield at - offset, needle
            match = self._pattern.search(data, at + 1)


_HEAD = 3
_WINDOW = 6
_REACH = 40
"""How far from its beginning a needle's window may begin."""
_SHORT = _REACH + _WINDOW
"""Ends of a text that may have no window in them are shorter than this."""
_ORDINARY = b"etaoinsrlhdcu0123456789mpfgyw.b:-/,v=_k\"'()[]xTASIECPRZNDMOLFBUGHWjqz@<>{}KVYXJQ;*#+?!$&^`~%\\"
_RANKS = bytes(max(_ORDINARY.find(byte), 0) if byte in _ORDINARY else 255 for byte in range(256))
"""The rarer in ordinary logs, the higher."""


def _rarest(needle: bytes) -> int:
    ranks = needle[: min(len(needle) - _WINDOW, _REACH) + 1].translate(_RANKS)
    return ranks.index(max(ranks))


def _alternatives(words: list[bytes]) -> bytes:
    """A pattern for sorted words of one length, as a tree: at most one branch goes on at each byte."""
    if len(words) == 1:
        return re.escape(words[0])
    branches = []
    for first, group in groupby(words, key=lambda word: word[:1]):
        rest = [word[1:] for word in group]
        after = _alternatives(rest) if rest[0] else b""
        branches.append(re.escape(first) + (b"(?:%s)" % after if len(rest) > 1 else after))
    return b"|".join(branches)


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


def compared(value: str) -> int:
    """How many bytes of a value are: below NEEDLE_BYTES_MIN it is found nowhere."""
    return len(_squeezed(value.encode("utf-8", "surrogatepass")))


def _squeezed(needle: bytes) -> bytes:
    return _uncoloured(needle).translate(None, LAYOUT)


def _uncoloured(data: bytes) -> bytes:
    """Of the same length, blanks in place of the codes of terminals; one that is cut at the end counts as one."""
    return _CODE.sub(lambda code: b" " * len(code.group()), data) if b"\x1b" in data else data


def _before_last(data: bytes, count: int) -> int:
    """Where the last `count` bytes of data that are no layout begin; its end where there are none."""
    at = len(data)
    while count:
        at -= 1
        count -= data[at] not in LAYOUT
    return at
