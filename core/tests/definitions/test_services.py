"""Taskservs, checks and clusters: the names that they share, what they are on, and in which order they come."""

from __future__ import annotations

from typing import Any

import pytest

from provisioning_core.infra import Check, Infra, Taskserv, load_infra
from provisioning_core.workspace import load_workspace
from provisioning_core.yamlfile import DefinitionErrors

SERVERS = "servers: [{name: web, count: 2, plan: 1cpu-1gb}, {name: db, plan: 1cpu-1gb}]\n"


def load(workspace: Any, text: str) -> Infra:
    workspace.define("x", SERVERS + text)
    return load_infra(load_workspace(workspace.path), "x")


def faults(workspace: Any, text: str) -> list[str]:
    with pytest.raises(DefinitionErrors) as caught:
        load(workspace, text)
    return [line.removeprefix("infra/x.yaml:") for line in str(caught.value).splitlines()]


def test_everything_is_read(workspace: Any) -> None:
    infra = load(
        workspace,
        """\
taskservs:
  - {name: nginx, on: [web], params: {workers: 2, deep: [1, {a: null}]}, version: "1.27", needs: [data, ssh]}
  - {name: second, taskserv: nginx, on: [web-1, web, db], policy: {timeout_s: 5}}
checks:
  - {name: ssh, on: [web, db], tcp: 22}
  - {name: site, on: [web], from: [db], http: ":8080/health?x=1", deadline_s: 90, interval_s: 0.5, needs: [nginx]}
clusters:
  - name: data
    roles: [{name: primary, servers: [db]}, {name: rest, servers: [web-2]}]
    taskservs: [{name: pg, taskserv: postgresql, on: [primary], needs: [alive]}]
    checks: [{name: alive, on: [primary, web-2], from: [rest], command: "pg_isready -h x"}]
    needs: [ssh]
    policy: {timeout_s: 9}
""",
    )
    assert infra.taskservs[0] == Taskserv(
        "nginx", "nginx", ("web-1", "web-2"), {"workers": 2, "deep": [1, {"a": None}]}, "1.27", ("data", "ssh")
    )
    assert (infra.taskservs[1].taskserv, infra.taskservs[1].servers) == ("nginx", ("web-1", "web-2", "db"))
    assert infra.taskservs[1].policy.timeout_s == 5
    assert infra.checks[1] == Check(
        "site", ("web-1", "web-2"), ("db",), http=":8080/health?x=1", deadline_s=90, interval_s=0.5, needs=("nginx",)
    )
    cluster = infra.cluster("data")
    assert cluster.roles == {"primary": ("db",), "rest": ("web-2",)}
    assert (cluster.servers, cluster.needs, cluster.policy.timeout_s) == (("db", "web-2"), ("ssh",), 9)
    assert cluster.taskservs[0] == Taskserv("pg", "postgresql", ("db",), needs=("alive",))
    assert cluster.checks[0] == Check("alive", ("db", "web-2"), ("web-2",), command="pg_isready -h x")
    assert [(owner.name if owner else None, each.name) for owner, each in infra.all_taskservs()] == [
        (None, "nginx"), (None, "second"), ("data", "pg"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "taskservs: [{name: t, on: [wbe]}]",
            "taskservs[0].on[0]: no server 'wbe'; defined: web, web-1, web-2, db. Did ",
        ),
        ("taskservs: [{name: t, on: []}]", "taskservs[0].on: the list is empty; at least 1 is expected"),
        ("taskservs: [{name: t, on: web}]", "taskservs[0].on: expected a list, got the text 'web'"),
        ("taskservs: [{name: t}]", "taskservs[0]: the field 'on' is missing"),
        ("taskservs: [{name: t, on: [db], version: 1.20}]", "expected text (put it in quotes), got the number '1.20'"),
        ("taskservs: [{name: t, on: [db], needs: [u]}]", "taskservs[0].needs[0]: nothing is called 'u' in this infra"),
        ("taskservs: [{name: pg-1, on: [db]}, {name: u, on: [db], needs: [pg-2]}]", "Did you mean 'pg-1'?"),
        ("taskservs: [{name: t, on: [db], params: [1]}]", "params: expected a mapping, got a list"),
        ("taskservs: [{name: t, on: [db], params: {a: !x y}}]", "the tagged 'y' is no plain value; leave the tag out"),
        ("checks: [{name: t, on: [db]}]", "checks[0]: nothing is asked; accepted: exactly one of tcp, http, command"),
        ("checks: [{name: t, on: [db], tcp: 1, http: ':1/'}]", "checks[0]: tcp and http are asked at once; accepted: "),
        ("checks: [{name: t, on: [db], http: /health}]", "accepted: a port and a path, like :8080/health"),
        ("checks: [{name: t, on: [db], http: ':99999/'}]", "has a port above 65535"),
        ("checks: [{name: t, on: [db], tcp: 22, deadline_s: 0}]", "expected a number above 0, at most 86400, got 0"),
        ('checks: [{name: t, on: [db], command: "a\\nb"}]', "accepted: one line of shell"),
        ("clusters: [{name: c}]", "clusters[0]: the field 'roles' is missing"),
        ("clusters: [{name: c, roles: [{name: r, servers: [x]}]}]", "no server 'x'; defined: web, web-1, web-2, db."),
        (
            "clusters: [{name: c, roles: [{name: r, servers: [db]}, {name: r, servers: [web]}]}]",
            "the role 'r' is already defined in line 2",
        ),
        (
            "clusters: [{name: c, roles: [{name: r, servers: [web-1]}], taskservs: [{name: t, on: [web]}]}]",
            "no role or server of this cluster 'web'; defined: r, web-1.",
        ),
        (
            "clusters: [{name: c, roles: [{name: db, servers: [web, db]}]}]",
            "clusters[0].roles: 'db' is a role here and the name of other servers; give the role another name",
        ),
        (
            "clusters: [{name: c, roles: [{name: r, servers: [web]}]}, {name: d, roles: [{name: s, servers: [web-2]}]}"
            "]",
            "clusters[1].roles: a server can be in one cluster only; these are in another: web-2 (in c)",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(workspace: Any, text: str, told: str) -> None:
    found = faults(workspace, text)
    assert len(found) == 1, found
    assert told in found[0]


def test_taskservs_checks_and_clusters_share_one_namespace_on_all_levels(workspace: Any) -> None:
    text = """\
taskservs: [{name: a, on: [db]}, {name: a, on: [web]}]
checks: [{name: a, on: [db], tcp: 1}]
clusters:
  - {name: a, roles: [{name: r, servers: [db]}]}
  - name: c
    roles: [{name: r, servers: [web]}]
    taskservs: [{name: c, on: [r]}, {name: b, on: [r]}]
  - {name: b, roles: [{name: r, servers: [db]}]}
"""
    assert [line.split(": ", 1)[1] for line in faults(workspace, text)] == [
        "the taskserv 'a' is already defined in line 2",
        "'a' is already the name of a taskserv in line 2",
        "'a' is already the name of a taskserv in line 2",
        "'c' is already the name of a cluster in line 6",
        "'b' is already the name of a cluster in line 9",
    ]


def test_needs_stay_on_their_level(workspace: Any) -> None:
    text = """\
taskservs: [{name: top, on: [db], needs: [inner]}]
clusters:
  - name: c
    roles: [{name: r, servers: [db]}]
    taskservs: [{name: inner, on: [r], needs: [top]}, {name: other, on: [r], needs: [inner, c]}]
"""
    assert [line.split(": ", 1)[1] for line in faults(workspace, text)] == [
        "'inner' is in the cluster c; need the cluster itself",
        "'top' is not in this cluster; let the cluster need it",
        "'c' is not in this cluster; let the cluster need it",
    ]


def test_circles_are_named_in_full_on_both_levels_each_once(workspace: Any) -> None:
    text = """\
taskservs:
  - {name: a, on: [db], needs: [b]}
  - {name: self, on: [db], needs: [self]}
checks:
  - {name: b, on: [db], tcp: 1, needs: [c]}
clusters:
  - name: c
    needs: [a]
    roles: [{name: r, servers: [db]}]
    taskservs:
      - {name: x, on: [r], needs: [y]}
      - {name: y, on: [r], needs: [x]}
"""
    assert faults(workspace, text) == [
        "4:35  taskservs[1].needs: a circle: self → self; take one of them out",
        "9:12  clusters[0].needs: a circle: a → b → c → a; take one of them out",
        "13:35  clusters[0].taskservs[1].needs: a circle: x → y → x; take one of them out",
    ]


def test_a_long_chain_of_needs_is_an_ordinary_definition(workspace: Any) -> None:
    chain = [f"  - {{name: t{n}, on: [db], needs: [t{n + 1}]}}" for n in range(900)]
    infra = load(workspace, "taskservs:\n" + "\n".join(chain) + "\n  - {name: t900, on: [db]}")
    assert infra.taskservs[0].needs == ("t1",)
    found = faults(workspace, "taskservs:\n" + "\n".join(chain) + "\n  - {name: t900, on: [db], needs: [t0]}")
    assert len(found) == 1
    assert "t899 → t900 → t0" in found[0]


def test_one_that_is_bad_is_still_there_for_the_others(workspace: Any) -> None:
    """No second complaint about what another one needs or is on."""
    text = """\
taskservs:
  - {name: bad, on: [db], version: 1}
  - {name: good, on: [db], needs: [bad]}
clusters:
  - {name: c, needs: [bad]}
"""
    assert len(faults(workspace, text)) == 2


def test_items_of_no_sound_template_are_not_asked_for_more(workspace: Any) -> None:
    found = faults(workspace, "taskservs: [{name: t, template: gone}]\nchecks: [{name: c, template: gone}]")
    assert len(found) == 2
    assert all("no template 'gone'; none is defined in this file." in line for line in found)
