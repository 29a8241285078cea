"""Hostile JSON is refused, with the place where it can be said; everything else arrives exactly."""

from __future__ import annotations

import json
from typing import Any

import pytest

from provisioning_orchestrator.api.json_guard import BadJson, decode

REFUSED: dict[str, tuple[bytes, list[str]]] = {
    "nothing": (b"", []),
    "only spaces": (b" \n", []),
    "a byte order mark": (b"\xef\xbb\xbf{}", []),
    "UTF-16": ("{}".encode("utf-16"), []),
    "invalid UTF-8": (b'{"a": "\xff"}', []),
    "an encoded surrogate": (b'{"a": "\xed\xa0\x80"}', []),
    "overlong UTF-8": (b'{"a": "\xc0\xaf"}', []),
    "no JSON": (b"hello", []),
    "rubbish behind": (b"{} {}", []),
    "a comma too many": (b"[1,]", []),
    "a raw control character": (b'{"a": "\n"}', []),
    "65 levels": (b"[" * 65 + b"]" * 65, []),
    "100,000 brackets": (b"[" * 100_000, []),
    "100,000 levels of objects": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, []),
    "NaN": (b'{"a": [NaN]}', ["/a/0"]),
    "Infinity": (b'{"a": Infinity}', ["/a"]),
    "-Infinity": (b"-Infinity", [""]),
    "a float that is infinite": (b'{"a": 1e999}', ["/a"]),
    "2 to the 63rd": (b'{"a": 9223372036854775808}', ["/a"]),
    "below minus 2 to the 63rd": (b'{"a": -9223372036854775809}', ["/a"]),
    "5,000 digits": (b'{"a": ' + b"9" * 5000 + b"}", ["/a"]),
    "5,000 digits and a minus": (b"[-" + b"1" * 5000 + b"]", ["/0"]),
    "a key twice": (b'{"a": {"b/~": 1, "b/~": 1}}', ["/a/b~1~0"]),
    "a key twice by an escape": (b'{"a": 1, "\\u0061": 2}', ["/a"]),
    "half a surrogate pair": (b'{"a": "\\ud800"}', ["/a"]),
    "the other half": (b'["\\uDFFF x"]', ["/0"]),
    "half a pair in a key": (b'{"\\ud800": 1}', ["/\ud800"]),
    "NUL": (b'{"a": ["x\\u0000y"]}', ["/a/0"]),
    "NUL in a key": (b'{"x\\u0000y": 1}', ["/x\0y"]),
    "a long string": (json.dumps({"a": "x" * (1024 * 1024 + 1)}).encode(), ["/a"]),
}

KEPT: dict[str, Any] = {
    "the largest integers": [9223372036854775807, -9223372036854775808],
    "floats": [0.1, -0.0, 1e308, 5e-324],
    "a pair of surrogates": "😀",
    "all of Latin-1": "".join(map(chr, range(1, 256))),
    "escapes and ANSI": "\x1b[31mred\x1b[0m \x7f \x9b \u202e",
    "shell": "$(id) `id` ; rm -rf ~ --help 'quotes' \"double\" \\u0000 \\ud800",
    "131 KB": "x" * 131_072,
    "64 levels": json.loads("[" * 64 + "]" * 64),
    "empty things": {"": "", "a": [], "b": {}, "c": None, "d": False},
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_its_place(name: str) -> None:
    body, pointers = REFUSED[name]
    with pytest.raises(BadJson) as refused:
        decode(body)
    assert [fault.pointer for fault in refused.value.faults] == pointers
    assert len(refused.value.detail) < 500


@pytest.mark.parametrize("name", KEPT)
@pytest.mark.parametrize("ascii", [True, False])
def test_kept_exactly(name: str, ascii: bool) -> None:
    assert repr(decode(json.dumps(KEPT[name], ensure_ascii=ascii).encode())) == repr(KEPT[name])


def test_all_faults_come_at_once() -> None:
    body = b'{"a": NaN, "b": {"c": 1, "c": 2}, "d": ["\\u0000", 99999999999999999999]}'
    with pytest.raises(BadJson) as refused:
        decode(body)
    assert sorted(fault.pointer for fault in refused.value.faults) == ["/a", "/b/c", "/d/0", "/d/1"]


def test_a_backslash_before_u0000_is_no_nul() -> None:
    assert decode(b'["\\\\u0000", "\\\\ud800"]') == ["\\u0000", "\\ud800"]


def test_limits_are_settings() -> None:
    with pytest.raises(BadJson, match="deeper than 2 levels"):
        decode(b"[[[]]]", depth_max=2)
    with pytest.raises(BadJson, match="of 4 characters"):
        decode(b'["abcd"]', string_max=3)
