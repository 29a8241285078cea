from __future__ import annotations

import pytest

from provisioning_core.errors import UsageError
from provisioning_core.render.text import clean, clean_lines, fit, pad, plural, width
from provisioning_core.render.times import ago, between, duration, instant, parse_duration


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("plain é 🦀", "plain é 🦀"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPpayload\x1b\\after", "after"),
        ("\x9b31mred", "red"),
        ("a\nb\tc", "a\\x0ab\\x09c"),
        ("unfinished \x1b[", "unfinished \\x1b["),
        ("bell\x07", "bell\\x07"),
        ("nul\x00", "nul\\x00"),
        ("abc\u202edcba", "abc\\u202edcba"),
        ("lone \udc80", "lone \\udc80"),
        ("\x1bc reset", " reset"),
    ],
)
def test_no_control_character_of_others_reaches_a_terminal(hostile: str, shown: str) -> None:
    assert clean(hostile) == shown


def test_newlines_and_tabs_of_a_log_stay_and_carriage_returns_do_not_overwrite() -> None:
    assert clean_lines("a\tb\r\nsecret\rpublic\n") == "a\tb\nsecret\\x0dpublic\n"


def test_a_text_is_cut_by_columns_not_by_characters() -> None:
    assert (width("é"), width("漢字"), width("e\u0301")) == (1, 4, 1)
    assert fit("漢字漢字", 5) == "漢字…"
    assert fit("abcdef", 4) == "abc…"
    assert fit("abc", 3) == "abc"
    assert fit("abcdef", 2, "...") == ".."
    assert fit("abc", 0) == ""
    assert pad("漢", 4) == "漢  "


def test_counts_are_grammatical() -> None:
    assert [plural(count, "task") for count in (0, 1, 2)] == ["0 tasks", "1 task", "2 tasks"]


def test_instants_are_read_in_every_form_that_the_feed_may_use() -> None:
    seconds = 1_764_000_000.25
    assert instant("2025-11-24T16:00:00.250000Z") == seconds
    assert instant("2025-11-24T17:00:00.250000+01:00") == seconds
    assert instant(seconds) == seconds
    assert instant(int(seconds * 1e6)) == seconds
    assert instant(None) is instant("soon") is instant(True) is None


def test_durations_are_short_and_monotone() -> None:
    shown = [duration(s) for s in (-1, 0.34, 9.94, 9.96, 41.4, 59.7, 72, 7505, 273_600)]
    assert shown == ["0.0s", "0.3s", "9.9s", "10s", "41s", "1m00s", "1m12s", "2h05m", "3d04h"]
    assert between(10, 22.5) == "12s"
    assert between(None, 3) == ""
    assert between(10, None, now=13) == "3.0s"
    assert ago(100.0, now=100.2) == "now"
    assert ago(100.0, now=104.2) == "4s ago"


def test_a_duration_is_understood_as_people_write_it() -> None:
    assert [parse_duration(t) for t in ("90", "90s", "10m", "1h30m", "0.5s", " 2D ")] == [
        90,
        90,
        600,
        5400,
        0.5,
        172800,
    ]


@pytest.mark.parametrize("text", ["", "0", "m", "10x", "1.2.3s", "-5s", "10m 3", "²s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a duration"):
        parse_duration(text)
