"""What is advised after a failure fits what has failed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.cli.advice import advice


@pytest.mark.parametrize("code", ["unknown_provider", "bad_definition", "quota_exceeded", "no_credentials"])
def test_what_a_person_has_to_mend_is_not_tried_again_as_it_is(code: str) -> None:
    advised = advice({code, "unreachable"}, "again")
    assert (advised.commands, advised.time_helps) == ((("then", "again"),), False)
    assert "Time does not mend that" in advised.words


@pytest.mark.parametrize("codes", [set(), {"unreachable"}, {"no_answer", "timeout"}, {"exit_code"}])
def test_what_passes_is_tried_again(codes: set[str]) -> None:
    advised = advice(codes, "again")
    assert (advised.commands, advised.time_helps) == ((("again", "again"),), True)
    assert "make" not in advised.words, "it may have been a delete"


def test_a_stale_plan_is_made_anew_by_who_has_made_it() -> None:
    assert advice({"plan_stale"}, "again", "plan").commands == (("plan", "plan"),)
    assert "make a new one" in advice({"plan_stale"}, "again", "plan").words
    assert advice({"plan_stale"}, "again").commands == (("again", "again"),)


def test_a_stale_plan_in_direct_mode_leads_to_a_new_plan(program: Any, workspace: Path) -> None:
    file = workspace / "wuji.plan"
    assert program("infra", "plan", "wuji", "--out", str(file)).returncode == 0
    assert program("server", "create", "wuji", "web-1").returncode == 0
    definition = workspace / "infra" / "wuji.yaml"
    definition.write_text(definition.read_text().replace("1cpu-1gb", "2cpu-2gb"))
    assert program("server", "create", "wuji", "web-1", "--yes").returncode == 0
    done = program("infra", "apply", str(file), "--yes")
    assert done.returncode == 1
    assert "plan_stale" in done.stderr
    assert f"provisioning infra plan wuji --out {file}" in done.stderr
    assert "infra apply" not in done.stderr.partition("What exists is kept.")[2]


def test_a_provider_that_nobody_knows_is_bad_usage(program: Any) -> None:
    done = program("provider", "check", "upclod")
    assert done.returncode == 2
    assert "no provider named 'upclod'. Did you mean 'upcloud'?" in done.stderr


def test_faults_of_a_workspaces_file_come_with_a_bad_setting_of_it(program: Any, workspace: Path) -> None:
    file = workspace / "provisioning.yaml"
    file.write_text(file.read_text() + "settings: {output: xml}\nprovidrs: {}\n")
    done = program("workspace", "validate")
    assert done.returncode == 2
    assert "settings.output: 'xml' is not accepted" in done.stderr and "unknown field 'providrs'" in done.stderr


def test_each_that_has_drifted_is_named_once(program: Any, workspace: Path) -> None:
    assert program("server", "create", "wuji").returncode == 0
    ledger = workspace / ".ledger" / "ledger.json"
    document = json.loads(ledger.read_text())
    for one in document["resources"].values():
        if one["name"] == "web-1":
            one["state"], one["attributes"]["labels"] = "stopped", {"role": "other"}
    ledger.write_text(json.dumps(document))
    told = program("infra", "drift", "wuji", "-o", "json")
    assert told.returncode == 0, told.stderr
    drifted = json.loads(told.stdout)["items"]
    assert [(each["name"], each["sort"]) for each in drifted] == [("web-1", "changed"), ("web-1", "stopped")]
    assert program("infra", "drift", "wuji", "-o", "name").stdout == "web-1\n"
