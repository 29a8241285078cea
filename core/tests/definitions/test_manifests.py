"""What a definition declares of taskservs is checked by their manifests when it is read, each fault at its place."""

from __future__ import annotations

from typing import Any

import pytest

from provisioning_core.infra import load_infra
from provisioning_core.inspection import inspect_workspace
from provisioning_core.plan import plan_create, plan_infra
from provisioning_core.workspace import load_workspace
from provisioning_core.yamlfile import DefinitionErrors

SERVERS = "servers: [{name: web, count: 2, plan: 1cpu-1gb}, {name: db, plan: 1cpu-1gb}]\n"
SHOP = """\
name: shop
version: "2"
versions: '[12]'
needs: [redis]
parameters:
  token: {type: text, secret: true, required: true}
  sites: {type: list, items: {type: record, fields: {host: {type: text, required: true}}}}
"""


def define(workspace: Any, text: str, shop: str = SHOP) -> None:
    folder = workspace.path / "taskservs" / "shop"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "taskserv.yaml").write_text(shop)
    (folder / "install.sh").write_text("#!/bin/sh\n")
    workspace.define("x", SERVERS + text)


def faults(workspace: Any, text: str, shop: str = SHOP) -> list[str]:
    define(workspace, text, shop)
    with pytest.raises(DefinitionErrors) as caught:
        load_infra(load_workspace(workspace.path), "x", manifests=True)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("taskservs: [{name: ngnix, on: [web]}]", ["2:20  taskservs[0].name: no taskserv 'ngnix'; there are: "]),
        (
            "taskservs: [{name: a, taskserv: rediss, on: [web]}]",
            ["2:33  taskservs[0].taskserv: no taskserv 'rediss'; "],
        ),
        (
            "taskservs: [{name: nginx, on: [web], params: {port: 70000, prot: 1}}]",
            [
                "2:53  taskservs[0].params.port: 70000 is not accepted; accepted: a whole number from 1 to 65535",
                "2:60  taskservs[0].params.prot: there is no parameter 'prot'; there are: ",
            ],
        ),
        (
            "taskservs: [{name: redis, on: [db]}, {name: shop, on: [db], version: '3', params: {token: secret://t}}]",
            ["2:70  taskservs[1].version: '3' is none of shop; accepted: [12]"],
        ),
        (
            "taskservs:\n"
            "  - {name: redis, on: [db]}\n"
            "  - {name: shop, on: [web, db], params: {token: plain, sites: [{host: a}, {hots: b}]}}\n",
            [
                "4:22  taskservs[1].on: needs redis on the same server; none is declared for web-1, web-2",
                "4:49  taskservs[1].params.token: is a secret: a definition holds secret://NAME",
                "4:75  taskservs[1].params.sites[1]: host: is required; accepted: text",
                "4:76  taskservs[1].params.sites[1].hots: there is no parameter 'hots'; there are: host. Did you",
            ],
        ),
        (
            "taskservs: [{name: redis, on: [db]}, {name: shop, on: [db]}]",
            ["2:38  taskservs[1]: params.token: is required; accepted: text"],
        ),
        (
            "taskservs: [{name: redis, on: [web]}, {name: other, taskserv: redis, on: [web-2, db]}]",
            ["2:46  taskservs[1].name: is redis on web-2, which redis is there already"],
        ),
        (
            "templates: {t: {kind: taskserv, body: {params: {prot: 1}}}}\n"
            "clusters: [{name: c, roles: [{name: r, servers: [db]}], "
            "taskservs: [{name: redis, template: t, on: [r]}]}]",
            ["2:49  clusters[0].taskservs[0].params.prot: there is no parameter 'prot'"],
        ),
    ],
)
def test_each_fault_is_told_where_it_was_written(workspace: Any, text: str, expected: list[str]) -> None:
    found = faults(workspace, text)
    assert len(found) == len(expected), found
    for line, start in zip(found, expected, strict=True):
        assert line.startswith(f"infra/x.yaml:{start}"), found


CIRCLES = {
    "taskservs: [{name: redis, on: [db], needs: [shop]}, {name: shop, on: [db], params: {token: secret://t}}]": (
        "2:53  taskservs[1]: its manifest needs redis on the same server, in a circle: redis → shop → redis"
    ),
    "taskservs: [{name: redis, on: [db], needs: [k]}]\n"
    "clusters: [{name: k, roles: [{name: r, servers: [db]}], "
    "taskservs: [{name: shop, on: [r], params: {token: secret://t}}]}]": (
        "3:69  clusters[0].taskservs[0]: its manifest needs redis on the same server, in a circle: redis → k → redis"
    ),
}


@pytest.mark.parametrize(("text", "expected"), CIRCLES.items())
def test_a_circle_that_a_manifest_closes_is_told(workspace: Any, text: str, expected: str) -> None:
    assert faults(workspace, text) == [f"infra/x.yaml:{expected}"]


def test_a_circle_of_the_definition_is_told_once(workspace: Any) -> None:
    servers = "on: [db], params: {token: secret://t}"
    text = f"taskservs: [{{name: redis, on: [db], needs: [a]}}, {{name: a, taskserv: shop, {servers}, needs: [redis]}}]"
    (fault,) = faults(workspace, text)
    assert "a circle: redis → a → redis" in fault


def test_faults_of_the_definition_and_of_its_manifests_come_at_once(workspace: Any) -> None:
    found = faults(workspace, "taskservs: [{name: nginx, on: [wbe], params: {prot: 1}}]")
    assert [line.split(": ")[0] for line in found] == [
        "infra/x.yaml:2:32  taskservs[0].on[0]",
        "infra/x.yaml:2:47  taskservs[0].params.prot",
    ]


def test_what_is_wrong_in_the_file_already_has_no_second_complaint(workspace: Any) -> None:
    found = faults(workspace, "taskservs: [{name: nginx, on: [web], params: 7}, {name: a, taskserv: 8, on: [web]}]")
    assert len(found) == 2, found


def test_a_manifest_that_is_not_good_is_told_with_its_own_place(workspace: Any) -> None:
    text = "taskservs: [{name: shop, on: [db]}, {name: nginx, on: [db], params: {prot: 1}}]"
    found = faults(workspace, text, "name: shop\nversion: '1'\nsupprots: [root]\n")
    assert found[0].startswith("infra/x.yaml:2:70  taskservs[1].params.prot")
    assert found[1].startswith("taskservs/shop/taskserv.yaml:3:1  supprots: unknown field 'supprots'")


def test_plan_and_validate_refuse_it_and_a_look_or_a_delete_does_not(workspace: Any) -> None:
    define(workspace, "taskservs: [{name: ngnix, on: [web]}]")
    loaded = load_workspace(workspace.path)
    with pytest.raises(DefinitionErrors, match="Did you mean 'nginx'"):
        plan_infra(loaded, "x")
    (problem,) = inspect_workspace(workspace.path).problems
    assert (problem.file, problem.line, problem.column) == ("infra/x.yaml", 2, 20)
    assert load_infra(loaded, "x").taskservs
    assert plan_create(loaded, "x", ["db"]).to_do
