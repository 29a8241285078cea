"""Plans applied by real processes: killed at every point and repeated, met with a changed world, over clouds."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.clouds import Clouds
from provisioning_core.direct import DirectOutcome, run_direct
from provisioning_core.errors import ConflictError
from provisioning_core.inventory import Inventory
from provisioning_core.library import library_root
from provisioning_core.plan import Plan, plan_create, plan_infra
from provisioning_core.plan.document import plan_document
from provisioning_core.plan.drift import find_drift
from provisioning_core.testing.ledger_provider import LedgerProvider, SecondLedger
from provisioning_core.workspace import Workspace, load_workspace

from ..conftest import LedgerWorkspace

SECOND = "provisioning_core.testing.ledger_provider:SecondLedger"
BEFORE = """\
networks: [{name: net, cidr: 10.1.0.0/24}]
servers:
  - {name: a, plan: 1cpu-1gb, network: net, labels: {v: one}, storages: [{name: d, size_gb: 1}]}
  - {name: b, plan: 1cpu-1gb, network: net, image: debian-12}
  - {name: old, plan: 1cpu-1gb}
"""
AFTER = """\
networks: [{name: net, cidr: 10.1.0.0/24, labels: {team: x}}]
servers:
  - {name: a, plan: 2cpu-4gb, network: net, labels: {v: two}, storages: [{name: d, size_gb: 2}, {name: e, size_gb: 1}]}
  - {name: b, plan: 1cpu-1gb, network: net, image: debian-13}
  - {name: new, plan: 1cpu-1gb, network: net}
"""


def run(workspace: Any, operation: str, **params: Any) -> DirectOutcome:
    return run_direct([library_root()], operation, params, workspace=workspace.path)


def done(workspace: Any, operation: str, **params: Any) -> DirectOutcome:
    outcome = run(workspace, operation, **params)
    assert outcome.status == "succeeded", failures(outcome)
    return outcome


def failures(outcome: DirectOutcome) -> dict[str, tuple[str, str]]:
    """By task, the code and the message."""
    return {
        task.id.partition(".")[2] or task.id: (task.outcome.failure.code, task.outcome.failure.message)
        for task in outcome.tasks
        if task.outcome.failure is not None
    }


def loaded(workspace: Any) -> Workspace:
    return load_workspace(workspace.path)


def planned(workspace: Any) -> Plan:
    return plan_infra(loaded(workspace), "x")


def world(workspace: Any) -> dict[str, tuple[Any, ...]]:
    """What exists, told by what matters of it."""
    ledger = LedgerProvider(workspace.path)
    return {
        one.name: (one.state, one.attributes["spec"], one.attributes["labels"])
        for kind in ("network", "server")
        for one in ledger.list(kind, infra="x")
    }


def created(workspace: Any) -> list[str]:
    """The names of all servers that were ever made, in order."""
    history = json.loads((workspace.path / ".ledger" / "ledger.json").read_text())["history"]
    return [one["key"].rpartition("/")[2] for one in history if (one["event"], one["kind"]) == ("created", "server")]


@pytest.fixture
def changed(workspace: Any) -> Any:
    """Made as BEFORE says, defined as AFTER says."""
    workspace.define("x", BEFORE)
    done(workspace, "infra/create", infra="x")
    workspace.define("x", AFTER)
    return workspace


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, ...]]:
    """How the world is where AFTER was made without any trouble."""
    other = LedgerWorkspace(tmp_path_factory.mktemp("other") / "workspace")
    other.define("x", AFTER)
    done(other, "infra/create", infra="x")
    return world(other)


POINTS = [
    ("update", "begin", "a"),
    ("update", "stopped", "a"),
    ("update", "changed", "a"),
    ("update", "end", "a"),
    ("update", "begin", "net"),
    ("update", "end", "net"),
    ("delete", "begin", "b"),
    ("delete", "end", "b"),
    ("create", "begin", "b"),
    ("create", "made", "b"),
    ("create", "announced", "b"),
    ("create", "end", "b"),
    ("create", "made", "new"),
    ("delete", "begin", "old"),
    ("delete", "end", "old"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("verb", "point", "name"), POINTS)
def test_a_plan_killed_at_any_point_and_applied_again_ends_as_planned(
    changed: Any, wanted: Any, verb: str, point: str, name: str
) -> None:
    document = plan_document(planned(changed))
    changed.plant({"verb": verb, "at": point, "do": "kill", "name": name})
    killed = run(changed, "infra/apply", plan=document)
    assert killed.status == "failed"
    assert "signal" in {code for code, _ in failures(killed).values()}
    done(changed, "infra/apply", plan=document)
    assert world(changed) == wanted
    assert planned(changed).nothing_to_do
    assert sorted(created(changed)) == ["a", "b", "b", "new", "old"], "made once, and the replaced one once more"
    assert not list((changed.path / ".provisioning" / "begun").glob("*")), "no mark stays"
    assert find_drift(Clouds(loaded(changed)), "x") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "point", "name"), [("update", "changed", "a"), ("delete", "end", "b"), ("create", "made", "b")]
)
def test_a_create_killed_in_the_middle_goes_on_as_what_is_left_to_do(
    changed: Any, wanted: Any, verb: str, point: str, name: str
) -> None:
    changed.plant({"verb": verb, "at": point, "do": "kill", "name": name})
    assert run(changed, "infra/create", infra="x", allow=["replace", "delete"]).status == "failed"
    done(changed, "infra/create", infra="x", allow=["replace", "delete"])
    assert world(changed) == wanted
    assert sorted(created(changed)) == ["a", "b", "b", "new", "old"]
    outcome = done(changed, "infra/create", infra="x", allow=["replace", "delete"])
    assert outcome.tasks[0].outcome.result == {"infra": "x", "changes": {}, "left": []}, (
        "running it again changes nothing"
    )


def test_a_create_changes_what_it_may_and_names_what_it_leaves(changed: Any) -> None:
    outcome = done(changed, "infra/create", infra="x")
    result = outcome.tasks[0].outcome.result
    assert result["changes"] == {"create": 1, "update": 2}
    assert [(each["action"], each["name"]) for each in result["left"]] == [("replace", "b"), ("delete", "old")]
    assert world(changed)["a"][1]["plan"] == "2cpu-4gb"
    assert world(changed)["b"][1]["image"] == "debian-12"
    assert set(world(changed)) == {"net", "a", "b", "old", "new"}
    assert [(each.action, each.name) for each in planned(changed).to_do] == [("replace", "b"), ("delete", "old")]


def alter(workspace: Any, name: str, **spec: Any) -> None:
    """Somebody does something by hand."""
    file = workspace.path / ".ledger" / "ledger.json"
    document = json.loads(file.read_text())
    for one in document["resources"].values():
        if one["name"] == name:
            one["attributes"]["spec"] |= spec
    file.write_text(json.dumps(document))


def remake(workspace: Any, name: str) -> None:
    """Somebody deletes it, and has it made again."""
    ledger = LedgerProvider(workspace.path)
    (found,) = (one for one in ledger.list("server", infra="x") if one.name == name)
    ledger.delete("server", found.id)
    done(workspace, "servers/create-one", infra="x", name=name, spec={"plan": "8cpu-16gb"})


@pytest.mark.parametrize(
    ("happens", "task", "words"),
    [
        (lambda w: alter(w, "a", disk_gb=99), "a", "disk_gb is 99, not 10"),
        (lambda w: alter(w, "a", plan="8cpu-16gb"), "a", "plan is '8cpu-16gb', not '2cpu-4gb'"),
        (lambda w: alter(w, "b", disk_gb=99), "replace.b", "changed since: disk_gb"),
        (lambda w: alter(w, "old", plan="2cpu-4gb"), "old", "changed since: plan"),
        (lambda w: remake(w, "a"), "a", "planned was server-"),
        (lambda w: remake(w, "old"), "old", "planned was server-"),
        (
            lambda w: done(w, "servers/create-one", infra="x", name="new", spec={"plan": "8cpu-16gb"}),
            "new",
            "plan is '8cpu-16gb', not '1cpu-1gb'",
        ),
    ],
)
def test_what_the_world_has_changed_since_is_refused_and_nothing_unplanned_is_done(
    changed: Any, happens: Any, task: str, words: str
) -> None:
    document = plan_document(planned(changed))
    happens(changed)
    before = world(changed)
    outcome = run(changed, "infra/apply", plan=document)
    (stale,) = failures(outcome).items()
    assert (stale[0], stale[1][0]) == (task, "plan_stale")
    assert words in stale[1][1]
    name = task.removeprefix("replace.")
    assert f"server {name}: " in stale[1][1]
    assert world(changed)[name] == before[name]


def test_a_server_that_is_gone_since_is_refused_for_an_update_and_good_for_a_delete(changed: Any) -> None:
    document = plan_document(planned(changed))
    ledger = LedgerProvider(changed.path)
    for server in ledger.list("server", infra="x"):
        if server.name in ("a", "old"):
            ledger.delete("server", server.id)
    outcome = run(changed, "infra/apply", plan=document)
    assert {id: code for id, (code, _) in failures(outcome).items()} == {"a": "plan_stale"}
    assert "is gone" in failures(outcome)["a"][1]


SITE = "servers: [{name: s, plan: 1cpu-1gb}]\ntaskservs: [{name: web, taskserv: site, on: [s]}]\n"


def test_a_taskserv_is_installed_with_the_files_that_were_planned_or_not_at_all(workspace: Any) -> None:
    workspace.taskservs("site")
    workspace.define("x", SITE)
    plan = plan_document(planned(workspace))
    before = failures(run(workspace, "infra/apply", plan=plan))
    assert before["taskserv.web.s"][0] != "plan_stale", "nothing was edited, and this server cannot be entered"
    (workspace.path / "taskservs" / "site" / "install.sh").write_text("#!/bin/sh\n: other\n")
    code, message = failures(run(workspace, "infra/apply", plan=plan))["taskserv.web.s"]
    assert code == "plan_stale"
    assert (
        "taskserv web on s: its files, those beside taskservs/site/taskserv.yaml, are not those of the plan" in message
    )


def test_a_folder_that_comes_before_the_planned_one_is_not_taken_instead(workspace: Any) -> None:
    workspace.taskservs("site")
    workspace.define("x", SITE)
    plan = plan_document(planned(workspace))
    own = workspace.path / "infra" / "x" / "taskservs" / "site"
    own.mkdir(parents=True)
    (own / "taskserv.yaml").write_text("name: site\nversion: '2'\n")
    (own / "install.sh").write_text("#!/bin/sh\n")
    code, message = failures(run(workspace, "infra/apply", plan=plan))["taskserv.web.s"]
    assert (code, "infra/x/taskservs/site/taskserv.yaml" in message) == ("plan_stale", True)


def test_a_taskserv_is_removed_with_the_files_that_were_planned_or_not_at_all(workspace: Any) -> None:
    workspace.taskservs("site")
    workspace.define("x", "servers: [{name: s, plan: 1cpu-1gb}]")
    done(workspace, "infra/create", infra="x")
    inventory = Inventory(loaded(workspace))
    (server,) = inventory.all("x", "server")
    known = {"taskserv": "site", "server": "s", "version": "1", "params": {}}
    inventory.record(replace(server, key="test-ws/x/taskserv/web.s", kind="taskserv", name="web.s", attributes=known))
    plan = plan_document(planned(workspace))
    (workspace.path / "taskservs" / "site" / "install.sh").write_text("#!/bin/sh\n: other\n")
    assert failures(run(workspace, "infra/apply", plan=plan))["remove.web.s"][0] == "plan_stale"


def test_what_files_said_when_it_was_planned_is_made_or_refused(workspace: Any) -> None:
    """Keys and checks are in the plan itself; user data, which may hold secrets, is only told by its digest."""
    keys, data = workspace.path / "key.pub", workspace.path / "data"
    blob = base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(32)).decode()
    keys.write_text(f"ssh-ed25519 {blob} planned\n")
    data.write_text("planned")
    text = "servers:\n  - {name: k, plan: 1cpu-1gb, ssh_keys: [{file: key.pub}]}\n"
    text += "checks: [{name: up, on: [k], command: planned, deadline_s: 0.1}]\n"
    workspace.define("x", text)
    plan = plan_document(planned(workspace))
    keys.write_text(keys.read_text().replace("planned", "edited"))
    workspace.define("x", text.replace("command: planned", "command: edited"))
    outcome = run(workspace, "infra/apply", plan=plan)
    assert [key.split()[-1] for key in world(workspace)["k"][1]["ssh_keys"]] == ["planned"]
    (check,) = [task for task in outcome.tasks if task.id.endswith("check.up")]
    assert check.doc["params"]["command"] == "planned"
    workspace.define(
        "x",
        text + "  \n".join(["", ""])
        if False
        else text.replace("name: k,", "name: d, user_data: {file: data},").replace("[k]", "[d]"),
    )
    plan = plan_document(planned(workspace))
    data.write_text("edited")
    code, message = failures(run(workspace, "infra/apply", plan=plan))["root"]
    assert (code, "its user_data has been changed" in message) == ("plan_stale", True)


@pytest.mark.parametrize("edited", ["added", "changed", "taken away"])
def test_a_plan_is_done_by_the_operations_that_were_there(workspace: Any, edited: str) -> None:
    own = workspace.path / "library" / "servers" / "create-one.py"
    own.parent.mkdir(parents=True)
    if edited != "added":
        own.write_text("one")
    workspace.define("x", "servers: [{name: a, plan: 1cpu-1gb}]")
    plan = plan_document(planned(workspace))
    own.write_text("other") if edited != "taken away" else own.unlink()
    code, message = failures(run(workspace, "infra/apply", plan=plan))["root"]
    assert (code, message.partition(" since")[0]) == (
        "plan_stale",
        f"operation servers/create-one: the workspace's own one has been {edited}",
    )
    assert workspace.made("test-ws/x/server/a") == 0
    done(workspace, "infra/apply", plan=plan_document(planned(workspace)))
    assert created(workspace) == ["a"]


def test_a_plan_of_another_workspace_or_infra_is_refused(changed: Any) -> None:
    document = plan_document(planned(changed))
    for change, code in (({"workspace": "other"}, "other_workspace"), ({"changes": 1}, "bad_plan")):
        assert [each for each, _ in failures(run(changed, "infra/apply", plan=document | change)).values()] == [code]
    assert "bad_params" in str(failures(run(changed, "infra/apply", plan=document, infra="y")))
    assert planned(changed).count("update") == 2


# --- several providers ---------------------------------------------------------------------------------------------

MIXED = f"""\
servers:
  - {{name: here, plan: 1cpu-1gb}}
  - {{name: there, plan: 1cpu-1gb, provider: "{SECOND}"}}
"""


@pytest.fixture
def mixed(workspace: Any) -> Any:
    file = workspace.path / "provisioning.yaml"
    file.write_text(f"{file.read_text()}providers: {{'{SECOND}': {{}}}}\n")
    workspace.define("x", MIXED)
    done(workspace, "infra/create", infra="x")
    return workspace


def names(workspace: Any) -> tuple[list[str], list[str]]:
    first, second = LedgerProvider(workspace.path), SecondLedger(workspace.path)
    return [one.name for one in first.list("server")], [one.name for one in second.list("server")]


def test_each_server_is_made_at_its_own_provider_and_listed_with_the_others(mixed: Any) -> None:
    assert names(mixed) == (["here"], ["there"])
    assert planned(mixed).nothing_to_do
    listed = done(mixed, "servers/list").tasks[0].outcome.result
    assert [(one["name"], one.get("provider")) for one in listed] == [("here", None), ("there", SECOND)]
    create_one = {
        task.doc["params"]["name"]: task.doc["params"] for task in done(mixed, "servers/create", infra="x").tasks[1:]
    }
    assert "provider" not in create_one["here"]
    assert create_one["there"]["provider"] == SECOND


def test_all_of_it_is_deleted_at_all_providers_also_without_a_file(mixed: Any) -> None:
    (mixed.path / "infra" / "x.yaml").unlink()
    done(mixed, "infra/delete", infra="x")
    assert names(mixed) == ([], [])
    assert Inventory(loaded(mixed)).all() == []


def test_a_server_that_moves_is_never_made_twice(mixed: Any) -> None:
    mixed.define(
        "x", MIXED.replace("{name: here, plan: 1cpu-1gb}", f'{{name: here, plan: 1cpu-1gb, provider: "{SECOND}"}}')
    )
    (change,) = planned(mixed).to_do
    assert (change.action, change.fields[0].path, change.old_provider) == (
        "replace",
        "provider",
        loaded(mixed).provider,
    )
    for operation in ("servers/create", "infra/create"):
        done(mixed, operation, infra="x")
        assert names(mixed) == (["here"], ["there"]), f"{operation} leaves it where it is"
    done(mixed, "infra/apply", plan=plan_document(planned(mixed)))
    assert names(mixed) == ([], ["here", "there"])
    assert planned(mixed).nothing_to_do


# --- drift ---------------------------------------------------------------------------------------------------------


def test_drift_tells_what_was_done_behind_our_back_and_what_heals_it(workspace: Any) -> None:
    workspace.define("x", BEFORE)
    done(workspace, "infra/create", infra="x")
    clouds = Clouds(loaded(workspace))
    assert find_drift(clouds, "x") == []
    ledger = LedgerProvider(workspace.path)
    by_name = {one.name: one for one in ledger.list("server", infra="x")}
    ledger.delete("server", by_name["b"].id)
    ledger.power(by_name["old"].id, "stop")
    alter(workspace, "a", plan="8cpu-16gb")
    done(workspace, "servers/create-one", infra="x", name="stray", spec={"plan": "1cpu-1gb"})
    clouds.inventory.forget("test-ws/x/server/stray")
    clouds.inventory.forget("test-ws/x/network/net")
    found = {each.name: each for each in find_drift(clouds, "x")}
    assert {name: each.sort for name, each in found.items()} == {
        "net": "unrecorded", "a": "changed", "b": "gone", "old": "stopped", "stray": "unmanaged",
    }  # fmt: skip
    ((path, before, after),) = [(each.path, each.before, each.after) for each in found["a"].fields]
    assert (path, before, after) == ("plan", "1cpu-1gb", "8cpu-16gb")
    assert found["b"].heals == "provisioning infra create x"
    assert found["old"].heals == "provisioning server start x/old"
    done(workspace, "infra/create", infra="x", allow=["delete"])
    left = find_drift(Clouds(loaded(workspace)), "x")
    assert left == [], "what heals it was done, and all is well"


def test_what_is_as_it_is_defined_is_no_drift_also_where_an_update_was_killed_before_it_was_written_down(
    workspace: Any,
) -> None:
    workspace.define("x", BEFORE)
    done(workspace, "infra/create", infra="x")
    workspace.define("x", BEFORE.replace("{name: a, plan: 1cpu-1gb", "{name: a, plan: 2cpu-4gb"))
    workspace.plant({"verb": "update", "at": "end", "do": "kill", "name": "a"})
    assert run(workspace, "infra/create", infra="x").status == "failed"
    done(workspace, "infra/create", infra="x")
    assert planned(workspace).nothing_to_do
    assert find_drift(Clouds(loaded(workspace)), "x") == [], "there is nothing that could heal it"
    alter(workspace, "a", plan="8cpu-16gb")
    (found,) = find_drift(Clouds(loaded(workspace)), "x")
    assert (found.sort, found.name, [each.path for each in found.fields]) == ("changed", "a", ["plan"])


def test_what_has_lost_its_labels_is_not_made_a_second_time(workspace: Any) -> None:
    workspace.define("x", BEFORE)
    done(workspace, "infra/create", infra="x")
    here = loaded(workspace)
    (entry,) = [each for each in Clouds(here).inventory.all("x", "server") if each.name == "a"]
    with LedgerProvider(workspace.path)._file.resources() as resources:
        resources[entry.id] |= {"key": "", "intent": "", "infra": ""}
    (found,) = find_drift(Clouds(here), "x")
    assert (found.sort, found.name, found.id) == ("unlabelled", "a", entry.id)
    assert found.heals == f"provisioning server import x/a --id {entry.id}"
    with pytest.raises(ConflictError, match=re.escape(f"server a ({entry.id})")) as caught:
        plan_infra(here, "x")
    assert caught.value.code == "disowned"
    with pytest.raises(ConflictError):
        plan_create(here, "x", ["a"])
    assert run(workspace, "infra/create", infra="x").status == "failed"
    assert sorted(one.name for one in LedgerProvider(workspace.path)._all("server")) == ["a", "b", "old"]
    done(workspace, "servers/adopt", infra="x", name="a", id=entry.id, spec={"plan": "1cpu-1gb"})
    assert "create" not in {change.action for change in plan_infra(here, "x").to_do}


@pytest.fixture
def unlabelled(workspace: Any) -> Any:
    """The infrastructure x, whose server a and network net have lost their labels."""
    workspace.define("x", BEFORE)
    done(workspace, "infra/create", infra="x")
    with LedgerProvider(workspace.path)._file.resources() as resources:
        for one in resources.values():
            if one["name"] in ("a", "net"):
                one |= {"key": "", "intent": "", "infra": ""}
    return workspace


def left(workspace: Any) -> list[str]:
    """All that exists, whoever's it is."""
    ledger = LedgerProvider(workspace.path)
    return sorted(one.name for kind in ("network", "server") for one in ledger._all(kind))


@pytest.mark.parametrize("operation", ["servers/create", "servers/create-one"])
def test_no_operation_makes_a_second_one_of_what_has_lost_its_labels(unlabelled: Any, operation: str) -> None:
    """Also asked for over HTTP, where no plan was made."""
    one = {"name": "a", "spec": {"plan": "1cpu-1gb"}}
    more = {"servers": ["a"], "networks": False} if operation == "servers/create" else one
    found = failures(run(unlabelled, operation, infra="x", **more))
    ((code, message),) = found.values()
    assert (code, message.startswith("without our labels, but there: server a (")) == ("disowned", True)
    assert left(unlabelled) == ["a", "b", "net", "old"]


def test_a_delete_names_what_has_lost_its_labels_and_leaves_nothing_unnamed(unlabelled: Any) -> None:
    ids = {one.name: one.id for kind in ("network", "server") for one in LedgerProvider(unlabelled.path)._all(kind)}
    for operation, more in (
        ("servers/delete", {}),
        ("servers/delete", {"unlabelled": [ids["a"]]}),
        ("servers/delete-one", {"name": "a"}),
        ("servers/delete-one", {"name": "a", "id": ids["b"]}),
    ):
        outcome = run(unlabelled, operation, infra="x", **more)
        ((code, message),) = failures(outcome).values()
        assert (code, "a delete by labels would leave it running" in message) == ("disowned", True)
        assert left(unlabelled) == ["a", "b", "net", "old"]
        assert len(Inventory(loaded(unlabelled)).all("x")) == 4, "nothing was forgotten"
    done(unlabelled, "servers/delete", infra="x", unlabelled=[ids["a"], ids["net"]])
    assert (left(unlabelled), Inventory(loaded(unlabelled)).all("x")) == ([], [])


@pytest.mark.parametrize(
    ("verb", "point"), [("adopt", "begin"), ("adopt", "end"), ("delete", "begin"), ("delete", "end")]
)
def test_a_delete_of_what_has_lost_its_labels_goes_on_after_a_kill(unlabelled: Any, verb: str, point: str) -> None:
    (id,) = [one.id for one in LedgerProvider(unlabelled.path)._all("server") if one.name == "a"]
    unlabelled.plant({"verb": verb, "at": point, "do": "kill", "name": "a"})
    assert run(unlabelled, "servers/delete-one", infra="x", name="a", id=id).status == "failed"
    done(unlabelled, "servers/delete-one", infra="x", name="a", id=id)
    assert left(unlabelled) == ["b", "net", "old"]
    assert "a" not in {each.name for each in Inventory(loaded(unlabelled)).all("x")}


def test_a_create_does_not_forget_what_is_defined_no_more_and_has_lost_its_labels(unlabelled: Any) -> None:
    unlabelled.define("x", "servers: [{name: old, plan: 1cpu-1gb}]")
    done(unlabelled, "infra/create", infra="x", allow=["replace", "delete"])
    found = {each.name: each.sort for each in find_drift(Clouds(loaded(unlabelled)), "x")}
    assert found == {"a": "unlabelled", "net": "unlabelled"}


def test_what_has_lost_its_labels_is_made_anew_where_it_has_been_forgotten(workspace: Any) -> None:
    workspace.define("x", BEFORE)
    done(workspace, "infra/create", infra="x")
    inventory = Inventory(loaded(workspace))
    (entry,) = [each for each in inventory.all("x", "server") if each.name == "a"]
    with LedgerProvider(workspace.path)._file.resources() as resources:
        resources[entry.id] |= {"key": "", "intent": "", "infra": ""}
    inventory.forget(entry.key)
    assert [change.name for change in planned(workspace).to_do] == ["a"]


# --- power, adoption -----------------------------------------------------------------------------------------------


def test_power_changes_what_is_otherwise_and_says_so(workspace: Any) -> None:
    done(workspace, "servers/create", infra="wuji", servers=["lonely"])
    told = {"infra": "wuji", "name": "lonely"}
    seen = []
    for action in ("stop", "stop", "start", "start", "reboot"):
        result = done(workspace, "servers/power", action=action, **told).tasks[0].outcome.result
        seen.append((result["state"], result["changed"]))
    assert seen == [("stopped", True), ("stopped", False), ("started", True), ("started", False), ("started", True)]
    assert (
        failures(run(workspace, "servers/power", infra="wuji", name="web-1", action="stop"))["root"][0]
        == "unknown_server"
    )
    assert failures(run(workspace, "servers/power", action="crash", **told))["root"][0] == "bad_params"


def test_what_was_adopted_is_no_drift_for_being_defined_otherwise(workspace: Any) -> None:
    workspace.define("x", "servers: [{name: a, plan: 1cpu-1gb, labels: {v: one}}]")
    seen = {"plan": "2cpu-4gb", "firewall": [{"protocol": "tcp", "ports": [80, 80]}]}
    id = LedgerProvider(workspace.path).make_unmanaged("server", "somebody's", seen)
    spec = {"plan": "1cpu-1gb"}
    done(workspace, "servers/adopt", infra="x", name="a", id=id, spec=spec, labels={"v": "one"})
    (change,) = planned(workspace).to_do
    assert "plan" in [each.path for each in change.fields], "how it is defined is for the plan"
    assert find_drift(Clouds(loaded(workspace)), "x") == []
    alter(workspace, "a", plan="8cpu-16gb")
    (found,) = find_drift(Clouds(loaded(workspace)), "x")
    assert [(each.path, each.before, each.after) for each in found.fields] == [("plan", "2cpu-4gb", "8cpu-16gb")]
    done(workspace, "infra/create", infra="x")
    assert find_drift(Clouds(loaded(workspace)), "x") == []


@pytest.mark.parametrize("point", ["begin", "end"])
def test_an_adoption_killed_and_repeated_makes_it_ours_once(workspace: Any, point: str) -> None:
    id = LedgerProvider(workspace.path).make_unmanaged("server", "somebody's", {"plan": "2cpu-4gb"})
    params = {"infra": "wuji", "name": "lonely", "id": id, "spec": {"plan": "1cpu-1gb"}, "labels": {"a": "b"}}
    workspace.plant({"verb": "adopt", "at": point, "do": "kill"})
    assert run(workspace, "servers/adopt", **params).status == "failed"
    done(workspace, "servers/adopt", **params)
    found = LedgerProvider(workspace.path).find("server", key="test-ws/wuji/server/lonely")
    assert found is not None and found.id == id
    plan = plan_infra(loaded(workspace), "wuji")
    (change,) = (each for each in plan.changes if each.name == "lonely")
    assert ("plan", "2cpu-4gb", "1cpu-1gb") in [(each.path, each.before, each.after) for each in change.fields]
    other = LedgerProvider(workspace.path).make_unmanaged("server", "another", {"plan": "1cpu-1gb"})
    assert failures(run(workspace, "servers/adopt", **params | {"id": other}))["root"][0] == "adopted_elsewhere"


def test_a_page_of_servers_fits_into_a_result(workspace: Any) -> None:
    labels = ", ".join(f"l{n}: {'x' * 60}" for n in range(30))
    workspace.define("many", f"servers:\n  - {{name: s, count: 400, plan: 1cpu-1gb, labels: {{{labels}}}}}\n")
    ledger, workspace_ = LedgerProvider(workspace.path), loaded(workspace)
    from provisioning_core.infra import load_infra

    with ledger._file.resources() as resources:  # one after the other would write the file 400 times
        for server in load_infra(workspace_, "many").servers:
            key = workspace_.key("many", "server", server.name)
            attributes = {"labels": server.labels, "spec": server.spec()}
            one = {"kind": "server", "id": server.name, "key": key, "intent": "", "infra": "many", "name": server.name}
            resources[server.name] = one | {"state": "started", "attributes": attributes}
    first = done(workspace, "servers/list", infra="many").tasks[0].outcome
    assert first.partial
    assert 100 < len(first.result) < 400
    rest = done(workspace, "servers/list", infra="many", after=first.result[-1]["key"]).tasks[0].outcome
    assert not rest.partial
    assert len({one["name"] for one in first.result + rest.result}) == 400


def test_bad_files_of_the_inventory_stop_nobody(workspace: Any) -> None:
    done(workspace, "infra/create", infra="wuji")
    for file in Path(workspace.path, ".provisioning", "inventory").rglob("*.json"):
        file.write_text("{")
    done(workspace, "infra/create", infra="wuji")
    assert len(Inventory(loaded(workspace)).all()) == 5
