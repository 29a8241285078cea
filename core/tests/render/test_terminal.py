from __future__ import annotations

import io
import json

from provisioning_core.render.documents import collection, render
from provisioning_core.render.table import table
from provisioning_core.render.terminal import ASCII, UNICODE, Terminal


class Tty(io.TextIOWrapper):
    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding)

    def isatty(self) -> bool:
        return True


def _tty(encoding: str = "utf-8", color: str = "auto", **environ: str) -> Terminal:
    return Terminal(Tty(encoding), color, {"TERM": "xterm-256color", **environ})


def test_colour_is_for_terminals_only_unless_somebody_says_otherwise() -> None:
    assert _tty().color
    assert not Terminal(io.StringIO(), "auto", {"TERM": "xterm"}).color
    assert Terminal(io.StringIO(), "auto", {"FORCE_COLOR": "1"}).color
    assert Terminal(io.StringIO(), "always", {"NO_COLOR": "1"}).color
    assert not _tty(NO_COLOR="1").color
    assert not _tty(NO_COLOR="1", FORCE_COLOR="1").color
    assert _tty(NO_COLOR="").color
    assert not _tty(TERM="dumb").color
    assert not _tty(color="never").color


def test_a_dumb_terminal_is_never_redrawn() -> None:
    assert _tty().live
    assert not _tty(TERM="dumb").live
    assert not Terminal(io.StringIO(), "auto", {"TERM": "xterm"}).live


def test_glyphs_are_ascii_where_the_encoding_or_the_user_wants_it() -> None:
    assert _tty().glyphs == UNICODE
    assert _tty("latin-1").glyphs == ASCII
    assert _tty(PROVISIONING_ASCII="1").glyphs == ASCII
    assert all(text.isascii() for glyph in ASCII for text in (glyph if isinstance(glyph, tuple) else (glyph,)))


def test_what_a_stream_cannot_encode_is_written_as_an_escape() -> None:
    stream = Tty("ascii")
    Terminal(stream, "auto", {"TERM": "xterm"}).say("é \udc80")
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    assert buffer.getvalue() == b"\\xe9 \\udc80\n"


def test_a_table_is_aligned_leaves_empty_columns_out_and_holds_one_line_a_row() -> None:
    plain = Terminal(io.StringIO(), "auto", {})
    text = table(("NAME", "NOTE", "STATE"), [("漢", "", "started"), ("a\nb", "", "stopped")], plain)
    assert text.splitlines() == ["NAME    STATE", "漢      started", "a\\x0ab  stopped"]


def test_a_table_on_a_terminal_is_cut_and_never_wraps() -> None:
    lines = table(("NAME",), [("x" * 500,)], _tty(NO_COLOR="1")).splitlines()
    assert lines[1] == "x" * 79 + "…"


def test_the_widest_columns_of_a_table_give_way_so_that_every_column_is_seen() -> None:
    head, row = ("ID", "NAME", "STATUS", "TOOK"), ("wf_" + "x" * 60, "servers/create wuji", "succeeded", "1.1s")
    first, second = table(head, [row], _tty(NO_COLOR="1")).splitlines()
    assert len(second) == 80
    assert second.endswith("…  servers/create wuji  succeeded  1.1s")
    assert first.split() == list(head)


def test_json_holds_nothing_that_a_terminal_acts_on_and_still_says_the_same() -> None:
    item = {"name": "a\x1b[31m\x9b\u202e\udc80é"}
    text = render(collection("Thing", [item]), "json", "name")
    assert "\x1b" not in text
    assert "\x9b" not in text
    assert "\u202e" not in text
    assert json.loads(text)["items"] == [item]


def test_every_form_of_a_list() -> None:
    document = collection("Thing", [{"name": "a"}, {"name": "b"}])
    assert render(document, "name", "name") == "a\nb"
    assert render(document, "yaml", "name").startswith("apiVersion: provisioning/v1\nkind: Thing\nitems:\n- name: a")
    assert [json.loads(line) for line in render(document, "jsonl", "name").splitlines()] == [
        {"type": "version", "ui": "1.0"},
        {"name": "a"},
        {"name": "b"},
    ]
