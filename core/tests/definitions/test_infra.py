"""Infrastructure definitions: what is read, and what is refused, all at once, each at its place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provisioning_core.errors import NotFoundError, UsageError
from provisioning_core.infra import Infra, load_infra
from provisioning_core.workspace import load_workspace
from provisioning_core.yamlfile import DefinitionErrors

CHECKOUT = Path(__file__).parents[3]


def load(workspace: Any, text: str) -> Infra:
    workspace.define("x", text)
    return load_infra(load_workspace(workspace.path), "x")


def faults(workspace: Any, text: str) -> list[str]:
    with pytest.raises(DefinitionErrors) as caught:
        load(workspace, text)
    return str(caught.value).splitlines()


def test_the_example_is_good() -> None:
    infra = load_infra(load_workspace(CHECKOUT / "examples" / "wuji"), "wuji")
    assert len(infra.servers) >= 3
    assert infra.networks_of(infra.servers) == infra.networks


def test_everything_that_can_be_said_is_read(workspace: Any) -> None:
    infra = load(
        workspace,
        """
        networks:
          - {name: net, cidr: 192.168.7.0/24, labels: {team: a}}
          - {name: idle, cidr: 10.0.0.0/8}
        servers:
          - {name: web, count: 2, network: net, plan: 2cpu-4gb, zone: de-fra1, labels: {role: Web.1}}
          - name: no
            plan: 1cpu-1gb
        """,
    )
    assert [server.name for server in infra.servers] == ["web-1", "web-2", "no"]
    assert infra.servers[0].spec() == {
        "plan": "2cpu-4gb", "cpus": 2, "memory_gb": 4, "network": "net", "zone": "de-fra1",
    }  # fmt: skip
    assert infra.servers[0].labels == {"role": "Web.1"}
    assert infra.servers[2].spec() == {"plan": "1cpu-1gb", "cpus": 1, "memory_gb": 1}
    assert [network.name for network in infra.networks_of(infra.servers)] == ["net"]
    assert infra.networks[0].spec() == {"cidr": "192.168.7.0/24"}


def test_all_faults_of_a_file_come_at_once_each_at_its_place(workspace: Any) -> None:
    text = """\
networks:
  - name: wuji-net
    cidr: 10.77.0.1/24
  - {name: other, cidr: 10.78.0.0/16}
  - {name: inner, cidr: 10.78.1.0/24}
  - {name: other, cidr: 8.8.8.0/24}
servers:
  - name: web-1
    network: wuji-nte
    plan: 2 cpu 4 gb
  - name: 012
    plan: 12:30:45
    plan: 1cpu-1gb
    labls: {}
  - name: Web-1
    plan:
    count: 0
    labels: {Role: web, key: x, n: 1}
  - 3
  - {name: web-1, plan: 1cpu-1gb}
sevrers: []
"""
    expected = [
        ("3:11", "networks[0].cidr", "Did you mean '10.77.0.0/24'?"),
        ("5:25", "networks[2].cidr", "overlaps 10.78.0.0/16 of network other"),
        ("6:12", "networks[3].name", "'other' is already defined in line 4"),
        ("6:25", "networks[3].cidr", "private networks"),
        ("9:14", "servers[0].network", "Did you mean 'wuji-net'?"),
        ("10:11", "servers[0].plan", "Did you mean '2cpu-4gb'?"),
        ("11:11", "servers[1].name", "put it in quotes"),
        ("12:11", "servers[1].plan", "'12:30:45' is not a plan"),
        ("13:5", "servers[1].plan", "already given in line 12"),
        ("14:5", "servers[1].labls", "Did you mean 'labels'?"),
        ("15:5", "servers[2]", "'plan' is missing"),
        ("15:11", "servers[2].name", "a-z, 0-9 and -"),
        ("17:12", "servers[2].count", "from 1 to 1000, got 0"),
        ("18:14", "servers[2].labels.Role", "the name 'Role'"),
        ("18:25", "servers[2].labels.key", "'key' is set by the provider"),
        ("18:36", "servers[2].labels.n", "the number '1'"),
        ("19:5", "servers[3]", "expected a mapping, got the number '3'"),
        ("20:12", "servers[4].name", "'web-1' is already defined in line 8"),
        ("21:1", "sevrers", "Did you mean 'servers'?"),
    ]
    found = faults(workspace, text)
    assert len(found) == len(expected), "\n".join(found)
    for line, (where, field, what) in zip(found, expected, strict=True):
        assert line.startswith(f"infra/x.yaml:{where}  {field}: "), line
        assert what in line


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-a",
        "a-",
        "A",
        "a_b",
        "a.b",
        "a" * 64,
        "a b",
        r"a\nid",
        r"\e[31m",
        "é",
        "🦀",
        "../x",
        "a/b",
        r"\0",
        "--help",
    ],
)
def test_a_server_name_that_is_no_dns_label_is_refused(workspace: Any, name: str) -> None:
    found = faults(workspace, f'servers: [{{name: "{name}", plan: 1cpu-1gb}}]')
    assert len(found) == 1
    assert "infra/x.yaml:1:18  servers[0].name:" in found[0]
    assert found[0].isprintable()


def test_counted_names_may_not_meet_others_nor_grow_too_long(workspace: Any) -> None:
    found = faults(
        workspace,
        f"servers:\n- {{name: web, count: 2, plan: 1cpu-1gb}}\n- {{name: web-2, plan: 1cpu-1gb}}\n"
        f"- {{name: {'w' * 62}, count: 2, plan: 1cpu-1gb}}",
    )
    assert "'web-2' is already defined in line 2" in found[0]
    assert "longer than 63 characters with its number" in found[1]


def test_too_many_servers_are_refused(workspace: Any) -> None:
    servers = "".join(f"- {{name: s{n}, count: 1000, plan: 1cpu-1gb}}\n" for n in range(6))
    assert "more than 5000 servers" in faults(workspace, "servers:\n" + servers)[0]


@pytest.mark.parametrize("text", ["", "[]", "servers:", "servers: {}", "servers: x", "null", "- a"])
def test_what_has_no_servers_is_refused(workspace: Any, text: str) -> None:
    assert faults(workspace, text)


def test_an_empty_list_of_servers_is_an_empty_infrastructure(workspace: Any) -> None:
    assert load(workspace, "servers: []").servers == ()


def test_an_unknown_infrastructure_is_answered_with_the_nearest(workspace: Any) -> None:
    with pytest.raises(NotFoundError) as caught:
        load_infra(load_workspace(workspace.path), "wjui")
    assert caught.value.hint == "there are: wuji. Did you mean 'wuji'?"
    with pytest.raises(NotFoundError) as caught:  # said in brackets where it is told, so without a full stop
        load_infra(load_workspace(workspace.path), "other")
    assert caught.value.hint == "there are: wuji"


@pytest.mark.parametrize("name", ["../wuji", "", "a/b", "wuji\n", "WUJI", ".", "wuji\0", "x" * 300])
def test_what_is_no_name_never_reaches_the_file_system(workspace: Any, name: str) -> None:
    with pytest.raises(UsageError, match="is not the name of an infrastructure"):
        load_infra(load_workspace(workspace.path), name)


def test_selecting_servers_keeps_the_files_order_and_names_all_that_are_missing(workspace: Any) -> None:
    infra = load_infra(load_workspace(workspace.path), "wuji")
    assert [server.name for server in infra.select(["db-1", "web-1"])] == ["web-1", "db-1"]
    assert len(infra.select(None)) == 4
    with pytest.raises(NotFoundError) as caught:
        infra.select(["db-l", "web-2", "zzz"])
    assert caught.value.message == "infrastructure wuji: no server 'db-l'. Did you mean 'db-1'?; no server 'zzz'"


value = st.recursive(
    st.sampled_from(
        ["web", "1cpu-1gb", "10.0.0.0/24", "~", "7", "true", "'x'", "net", "!!x y", "-1", "99999999999999999999"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(
            st.tuples(st.sampled_from(["name", "cidr", "plan", "network", "labels", "count", "zone", "x"]), inner),
            max_size=4,
        ).map(lambda items: "{" + ", ".join(f"{name}: {item}" for name, item in items) + "}")
    ),
    max_leaves=12,
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(networks=value, servers=value)
def test_no_definition_ends_in_a_traceback(workspace: Any, networks: str, servers: str) -> None:
    try:
        infra = load(workspace, f"networks: {networks}\nservers: {servers}\n")
    except DefinitionErrors as error:
        assert error.problems  # noqa: PT017 - whether it is raised at all is the data's choice
    else:
        assert isinstance(infra, Infra)


def test_reading_a_large_definition_imports_no_sdk(workspace: Any) -> None:
    servers = "".join(f"- {{name: s{n}, provider: upcloud, plan: 1cpu-1gb, labels: {{n: n{n}}}}}\n" for n in range(200))
    clusters = "".join(
        f"- {{name: c{n}, roles: [{{name: r, servers: [s{n}]}}], taskservs: [{{name: t{n}, on: [r]}}]}}\n"
        for n in range(200)
    )
    workspace.define("x", f"servers:\n{servers}clusters:\n{clusters}")
    code = (
        "import sys; from pathlib import Path; from provisioning_core.infra import load_infra; "
        "from provisioning_core.workspace import load_workspace; "
        f"infra = load_infra(load_workspace(Path({str(workspace.path)!r})), 'x'); "
        "heavy = ('boto3', 'botocore', 'hcloud', 'upcloud_api', 'pyinfra', 'gevent', 'kcl_lib', 'asyncssh'); "
        "print(len(infra.servers), len(infra.clusters), [name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "200 200 []\n"
