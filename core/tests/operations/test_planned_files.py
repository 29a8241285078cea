"""Plans applied after the files that they were made of were edited: done as planned, or refused."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest

from provisioning_core.inventory import Inventory
from provisioning_core.plan.document import plan_document

from .directly import created, done, failures, loaded, planned, run, world

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
    workspace.define("x", text.replace("name: k,", "name: d, user_data: {file: data},").replace("[k]", "[d]"))
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
