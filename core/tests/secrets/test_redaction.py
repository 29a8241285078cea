"""Nothing of a secret gets through, in whatever pieces it is written; everything else gets through at once."""

from __future__ import annotations

import base64
import json
import random
import subprocess
import unicodedata
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from provisioning_core.secrets.encodings import NEEDLE_BYTES_MIN, encodings
from provisioning_core.secrets.redaction import Redactor, _squeezed
from provisioning_core.secrets.secret import length_fault

EXAMPLES = json.loads((Path(__file__).parents[3] / "contract" / "examples" / "redaction.json").read_text())


@pytest.mark.parametrize("case", EXAMPLES["cases"], ids=[case["name"] for case in EXAMPLES["cases"]])
def test_the_cases_of_the_contract(case: dict[str, str]) -> None:
    assert Redactor(EXAMPLES["secrets"]).text(case["written"]) == case["kept"]


def streamed(redactor: Redactor, pieces: list[bytes]) -> bytes:
    out, held = b"", b""
    for piece in pieces:
        held += piece
        done, used = redactor.part(held)
        out, held = out + done, held[used:]
    return out + redactor.part(held, final=True)[0]


SECRETS = {"a": "abcabcab", "b": "bcabcabcXYZ", "c": "abcabcabcabd", "d": "line-one\nline-two!"}
ALPHABET = st.lists(
    st.sampled_from(["a", "b", "c", "abcabcab", "XYZ", "abd", "line-", "one\n", "two!", "-"]), max_size=30
)


@settings(max_examples=300, deadline=None)
@given(ALPHABET, st.integers(min_value=0, max_value=1 << 30))
def test_a_stream_in_any_pieces_is_redacted_as_the_whole(words: list[str], seed: int) -> None:
    """Secrets that overlap, begin each other and repeat themselves."""
    redactor = Redactor(SECRETS)
    data = "".join(words).encode()
    chance = random.Random(seed)
    cuts = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randrange(6)))
    pieces = [data[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    whole = redactor.whole(data)
    assert streamed(redactor, pieces) == whole
    assert not [value for value in SECRETS.values() if value.encode() in whole]


@settings(max_examples=300, deadline=None)
@given(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=8, max_size=60),
    st.binary(max_size=7),
)
@example("000000\nâ", b"")
def test_any_value_in_the_encodings_that_programs_use(value: str, before: bytes) -> None:
    if length_fault(value):
        return
    raw = value.encode()
    redactor = Redactor({"s": value})
    written: list[bytes] = [
        before + raw,
        raw.hex().encode(),
        raw.hex().upper().encode(),
        json.dumps({"x": value}).encode(),
        json.dumps({"x": value}, ensure_ascii=False).encode(),
        json.dumps(json.dumps([value])).encode(),
        urllib.parse.quote(value, safe="").encode(),
        urllib.parse.quote(value).encode(),
        urllib.parse.quote_plus(value).encode(),
        ("'" + value.replace("'", "'\\''") + "'").encode(),
        repr(value).encode(),
        ascii([value]).encode(),
        value.encode("utf-16-le"),
        value.encode("utf-16"),
        base64.b64encode(raw),
        base64.urlsafe_b64encode(raw),
        raw.hex(":").encode(),
        raw.hex("-").upper().encode(),
        "".join(f"\\x{byte:02x}" for byte in raw).encode(),
        "".join(f"\\{byte:03o}" for byte in raw).encode(),
        str(list(raw)).encode(),
        base64.b32encode(before + raw),
        base64.b64encode(base64.b64encode(before + raw)),
        base64.b64encode(value.encode("utf-16-le")),
        unicodedata.normalize("NFD", value).encode(),
        unicodedata.normalize("NFC", value).encode(),
        urllib.parse.quote(urllib.parse.quote(value, safe=""), safe="").encode(),
        value.replace("'", "''").encode(),
        *([base64.b85encode(before + raw), base64.a85encode(before + raw)] if len(raw) >= 14 else []),
    ]
    latin = value.encode("latin-1", "ignore")  # of which less may count than of the value: then nothing is promised
    if len(latin) == len(value) and len(_squeezed(latin)) >= NEEDLE_BYTES_MIN:
        written += [latin, urllib.parse.quote(latin).encode()]
    for text in written:
        assert b"[secret s]" in redactor.whole(text), text
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        kept = redactor.whole(encode(before + raw + before))
        assert b"[secret s]" in kept and len(kept) <= len(encode(before + before)) + 16


def test_tools_that_break_lines_do_not_hide_it() -> None:
    value = "".join(random.Random(7).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=300))
    redactor = Redactor({"s": value})
    for command in (["base64"], ["base64", "-w", "64"], ["xxd", "-p"], ["od", "-An", "-v", "-tx1", "-w10000"]):
        try:
            text = subprocess.run(command, input=value.encode(), capture_output=True, check=True).stdout
        except FileNotFoundError:
            continue
        rest = redactor.whole(text).replace(b"[secret s]", b"").split()
        assert sum(map(len, rest)) <= 8, (command, rest)


def test_a_text_that_was_broken_to_fit_a_terminal_is_found() -> None:
    redactor = Redactor({"s": "postgres://wuji:battery-staple@db/wuji"})
    for layout in ("\n", "\n  | ", "\r\n\t", "\n  │ ", "  "):
        written = f"Error: {layout.join(['postgres://', 'wuji:battery-', 'staple@db/', 'wuji'])} is wrong\n"
        assert redactor.text(written) == "Error: [secret s] is wrong\n"
        cut = len(written) // 2
        assert (
            streamed(redactor, [written[:cut].encode(), written[cut:].encode()]).decode()
            == "Error: [secret s] is wrong\n"
        )


COLOURS = [b"\x1b[0m", b"\x1b[1;31m", b"\x1b[38;2;10;200;30m", b"\x1b[K", b"\x1b[?25l", b""]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_colours_inside_of_a_value_do_not_hide_it_however_it_is_cut(data: st.DataObject) -> None:
    redactor = Redactor({"s": "correct-horse battery"})
    written = b"a line, "
    for char in "correct-horse battery":
        written += data.draw(st.sampled_from(COLOURS)) + char.encode()
    written += b" and more\x1b[0m\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(written)), max_size=6)))
    pieces = [written[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(written)], strict=True)]
    kept = streamed(redactor, pieces)
    assert b"[secret s] and more\x1b[0m\n" in kept and kept.startswith(b"a line, ") and b"horse" not in kept
    assert not any(char in kept.partition(b"[secret")[0][8:] for char in b"correthsbaty")


def test_a_code_of_a_terminal_is_not_held_back_and_is_kept_as_it_is() -> None:
    redactor = Redactor({"s": "correct-horse"})
    line = b"\x1b[32mok\x1b[0m: \x1b]8;;http://h/\x1b\\link\x1b]8;;\x1b\\ \x1b[1mc"
    assert redactor.part(line + b"\n") == (line[:-1], len(line) - 1)
    assert redactor.part(line + b"at\n") == (line + b"at\n", len(line) + 3)
    assert redactor.part(b"done \x1b[3") == (b"done \x1b[3", 8)


def test_many_secrets_cost_little_more_than_one() -> None:
    """Not a time: how many places are looked at closer, of a log without secrets."""
    chance = random.Random(5)
    many = Redactor({f"s{number}": f"Pw{number}-{chance.getrandbits(64):x}-'q" for number in range(100)})
    line = b"2026-11-23 09:12:31 task 7: created server web-1 at 10.0.0.1, waiting for ssh to answer\n"
    assert list(many._index._candidates(line * 500)) == []


def test_what_may_go_on_in_the_next_line_is_held_back_until_it_is_quiet() -> None:
    redactor = Redactor({"s": "correct-horse"})
    assert redactor.part(b"a line corr\n") == (b"a line ", 7)
    assert redactor.part(b"a line corr\n", quiet=True) == (b"a line corr\n", 12)
    assert redactor.part(b"a line corr", quiet=True) == (b"a line ", 7)


def test_half_a_secret_at_the_end_of_a_stream_is_taken_out() -> None:
    redactor = Redactor({"s": "correct-horse", "t": "correct-horse-battery"})
    assert redactor.end(b"a correct-hor") == b"a [secret s]"
    assert redactor.end(b"a correct-horse") == b"a [secret s]"
    assert redactor.end(b"a correct-horse-battery") == b"a [secret t]"
    assert redactor.end(b"a corr") == b"a corr"
    assert redactor.end(b"a correct-hor\n") == b"a correct-hor\n"
    assert redactor.end(b"") == b""


def test_a_line_that_ends_like_no_secret_is_not_held_back() -> None:
    redactor = Redactor({"s": "correct-horse"})
    assert redactor.part(b"a line\n") == (b"a line\n", 7)
    assert redactor.part(b"a line c") == (b"a line ", 7)
    assert redactor.part(b"a line correct-hors") == (b"a line ", 7)
    assert redactor.part(b"a line correct-horse") == (b"a line [secret s]", 20)
    assert redactor.part(b"a line correct-horX") == (b"a line correct-horX", 19)


def test_plain_data_is_redacted_in_keys_texts_and_numbers() -> None:
    redactor = Redactor({"s": "correct-horse", "n": "123456789"})
    given_: Any = {"a correct-horse": ["x correct-horse", {"n": 5123456789, "t": True, "z": None}], "f": 1.5}
    clean = {"a [secret s]": ["x [secret s]", {"n": "5[secret n]", "t": True, "z": None}], "f": 1.5}
    assert redactor.value(given_) == clean
    assert json.loads(redactor.document(json.dumps(given_).encode())) == clean
    assert json.loads(redactor.document(rb'{"a": "\u0063orrect-horse"}')) == {"a": "[secret s]"}
    untouched = b'{"b" :  1, "b": NaN}'
    assert redactor.document(untouched) == untouched
    assert redactor.document(b"no json, correct-horse") == b"no json, [secret s]"


def test_encodings_of_an_ordinary_password_are_few() -> None:
    assert len(encodings("correct-horse-battery")) <= 100
