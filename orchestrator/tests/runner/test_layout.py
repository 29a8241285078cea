"""The layout of the state file is the one that the contract writes down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provisioning_orchestrator.runner import statefile
from provisioning_orchestrator.runner.statefile import Torn

from .host import Host, an_id, run


def contract() -> dict[str, object]:
    for parent in Path(__file__).resolve().parents:
        file = parent / "contract" / "attempt.json"
        if file.exists():
            found: dict[str, object] = json.loads(file.read_text())
            return found
    pytest.skip("no contract/attempt.json above the tests: a wheel tested alone")


def test_regions_are_where_the_contract_says() -> None:
    state = contract()["state_file"]
    assert isinstance(state, dict) and contract()["layout"] == statefile.LAYOUT
    ours = {name: getattr(statefile, name.upper()) for name in ("header", "claim", "outcome", "hole", "cancel", "note")}
    assert {
        name: (region["offset"], region["bytes"]) for name, region in state["regions"].items() if name in ours
    } == ours
    assert state["regions"]["input"]["offset"] == statefile.REGIONS_END
    ends = [0, *(offset + size for offset, size in ours.values())]
    assert [offset for offset, _ in ours.values()] == ends[:-1], "regions overlap or leave a gap"


def test_a_real_state_file_has_the_fields_that_the_contract_names(tmp_path: Path) -> None:
    host = Host(tmp_path)
    run(host.run(host.spec(host.operation("ends", "exit 3"), input=b'{"a":1}')))
    content = host.file(an_id(1)).read_bytes()
    state = contract()["state_file"]
    assert isinstance(state, dict)
    for name in ("header", "claim", "outcome"):
        named = {key for keys in state["fields"][name] for key in keys.split(", ")}
        found = set(statefile.fields_of(content, getattr(statefile, name.upper())))
        assert found <= named | {"layout"}, name
    assert content[statefile.REGIONS_END :] == b'{"a":1}'
    assert statefile.layout_of(content) == 1


def test_a_region_is_empty_whole_or_torn_at_every_length() -> None:
    whole = statefile.record(statefile.OUTCOME, {"kind": "exited", "code": 7})
    length = len(whole.rstrip(b"\0"))
    at = bytes(statefile.OUTCOME[0])
    for cut in range(length + 1):
        content = at + whole[:cut]
        if cut == 0:
            assert statefile.fields_of(content, statefile.OUTCOME) == {}
        elif cut < length:
            with pytest.raises(Torn):
                statefile.fields_of(content, statefile.OUTCOME)
        else:
            assert statefile.fields_of(content, statefile.OUTCOME) == {"kind": "exited", "code": "7"}


def test_one_wrong_byte_is_torn() -> None:
    whole = statefile.record(statefile.OUTCOME, {"kind": "exited", "code": 7})
    at = bytes(statefile.OUTCOME[0])
    for index in range(len(whole.rstrip(b"\0"))):
        wrong = whole[:index] + bytes([whole[index] ^ 1]) + whole[index + 1 :]
        with pytest.raises(Torn):
            statefile.fields_of(at + wrong, statefile.OUTCOME)


@pytest.mark.parametrize("text", ["plain", "with spaces = and\nlines", "é 🚀 %41", "", "x" * 5000])
def test_free_text_fits_into_a_record_and_comes_back(text: str) -> None:
    encoded = statefile.free_text(text)
    record = statefile.record(statefile.NOTE, {"why": encoded})
    back = statefile.readable(statefile.fields_of(bytes(statefile.NOTE[0]) + record, statefile.NOTE)["why"])
    assert back == text if len(text) < 100 else text.startswith(back) and len(back) > 100


def test_a_record_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        statefile.record(statefile.HOLE, {"hole": "x" * 100})
