"""`provisioning infra`, `cluster`, and what else `server` can do: by a provider of files, and by a replayed daemon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.testing.ledger_provider import LedgerProvider
from provisioning_core.testing.replay import Asked, Replay

ID = "wf_01kb7q3m8x0002"
CHANGED = """\
networks:
  - {name: wuji-net, cidr: 10.77.0.0/24}
servers:
  - {name: web, count: 2, plan: 2cpu-4gb, network: wuji-net}
  - {name: db-1, plan: 1cpu-1gb}
clusters:
  - {name: front, roles: [{name: all, servers: [web]}]}
"""


@pytest.fixture
def made(program: Any, workspace: Path) -> Any:
    assert program("infra", "create", "wuji").returncode == 0
    return program


def define(workspace: Path, text: str) -> None:
    (workspace / "infra" / "wuji.yaml").write_text(text)


def plans(workspace: Path) -> dict[str, str]:
    servers = LedgerProvider(workspace).list("server", infra="wuji")
    return {one.name: f"{one.attributes['spec']['plan']} {one.attributes['spec']['image']}" for one in servers}


def test_a_plan_reads_like_a_diff_and_tells_by_its_exit_code(made: Any, workspace: Path) -> None:
    done = made("infra", "plan", "wuji", "--exit-code")
    assert (done.returncode, done.stdout) == (0, "")
    assert "3 there already." in done.stderr
    define(workspace, CHANGED.replace("name: web, ", "name: web, image: debian-12, labels: {a: b}, "))
    done = made("infra", "plan", "wuji", "--exit-code")
    assert done.returncode == 10
    assert done.stdout.splitlines() == [
        "-/+ server web-1  plan: 1cpu-1gb -> 2cpu-4gb (restart), image: debian-13 -> debian-12 (replace), "
        "labels.a: none -> b",
        "-/+ server web-2  plan: 1cpu-1gb -> 2cpu-4gb (restart), image: debian-13 -> debian-12 (replace), "
        "labels.a: none -> b",
        "+ server db-1",
    ]
    assert "1 to create, 2 to replace, 1 there already." in done.stderr
    define(workspace, "servers: [{name: db-1, plan: 1cpu-1gb}]\n")
    assert made("infra", "plan").stdout == "+ server db-1\n- server web-1\n- server web-2\n- network wuji-net\n"
    document = json.loads(made("infra", "plan", "wuji", "--json").stdout)
    assert (document["kind"], document["version"], document["infra"]) == ("Plan", 1, "wuji")
    assert made("infra", "plan", "-o", "name").stdout == "db-1\nweb-1\nweb-2\nwuji-net\n"


def test_a_kept_plan_is_applied_exactly_and_refused_when_it_is_stale(made: Any, workspace: Path) -> None:
    define(workspace, CHANGED)
    assert "provisioning infra apply p.json" in made("infra", "plan", "wuji", "--out", "p.json").stderr
    define(workspace, CHANGED.replace("2cpu-4gb", "8cpu-16gb"))
    done = made("infra", "apply", "p.json")
    assert done.returncode == 0, done.stderr
    assert plans(workspace) == {
        "web-1": "2cpu-4gb debian-13", "web-2": "2cpu-4gb debian-13", "db-1": "1cpu-1gb debian-13",
    }  # fmt: skip
    assert made("infra", "apply", "p.json").returncode == 0, "what is done is found done"
    assert made("infra", "create", "wuji").returncode == 0
    stale = made("infra", "apply", "p.json")
    assert stale.returncode == 1
    assert "plan_stale" in stale.stderr
    assert "plan is '8cpu-16gb', not '2cpu-4gb'" in stale.stderr
    assert made("infra", "apply", "none.json").returncode == 2


def test_a_plan_of_another_workspace_is_refused_before_it_is_shown(made: Any, workspace: Path) -> None:
    define(workspace, CHANGED)
    made("infra", "plan", "wuji", "--out", "p.json")
    theirs = json.loads((workspace / "p.json").read_text()) | {"workspace": "theirs"}
    (workspace / "p.json").write_text(json.dumps(theirs))
    for flags in ((), ("--check",)):
        done = made("infra", "apply", "p.json", *flags)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("error: the plan p.json is for the workspace 'theirs', this is ")


def test_a_create_changes_and_names_what_it_leaves(made: Any, workspace: Path) -> None:
    define(workspace, CHANGED.replace("db-1, plan: 1cpu-1gb", "db-1, plan: 1cpu-1gb, image: debian-12"))
    assert made("infra", "create", "wuji").returncode == 0
    define(workspace, CHANGED.replace("web, count: 2", "web, count: 1"))
    done = made("infra", "create", "wuji")
    assert done.returncode == 0, done.stderr
    assert "delete server web-2" in done.stderr
    assert "replace server db-1  image: debian-12 -> debian-13 (replace)" in done.stderr
    assert "provisioning infra create wuji --confirm=wuji" in done.stderr
    assert sorted(plans(workspace)) == ["db-1", "web-1", "web-2"]
    assert made("infra", "create", "wuji", "--confirm=wuij").returncode == 2
    assert made("infra", "create", "wuji", "--confirm=wuji").returncode == 0
    assert plans(workspace) == {"db-1": "1cpu-1gb debian-13", "web-1": "2cpu-4gb debian-13"}
    again = made("infra", "create", "wuji", "--confirm=wuji")
    assert "Nothing to do: 2 servers, 1 network of wuji there already." in again.stderr


def test_yes_alone_takes_nothing_neither_by_a_create_nor_by_a_plan(made: Any, workspace: Path) -> None:
    before = plans(workspace)
    define(workspace, CHANGED.replace("web, count: 2, plan: 2cpu-4gb", "web, count: 1, plan: 1cpu-1gb"))
    made("infra", "plan", "wuji", "--out", "p.json")
    for flags in ((), ("--yes",)):
        done = made("infra", "apply", "p.json", *flags)
        assert done.returncode == 2
        assert "replacing or deleting web-2 has to be confirmed by name" in done.stderr
        assert "provisioning infra apply p.json --confirm=wuji" in done.stderr
        assert plans(workspace) == before, "not even the rest of it: a plan is applied whole"
    assert made("infra", "create", "wuji", "--yes").returncode == 0
    assert {*before} <= {*plans(workspace)}
    assert made("infra", "apply", "p.json", "--confirm=wuji").returncode == 0
    assert sorted(plans(workspace)) == ["db-1", "web-1"]


def test_on_a_terminal_the_name_is_typed_back_before_anything_is_taken(made: Any, workspace: Path) -> None:
    define(workspace, CHANGED.replace("web, count: 2", "web, count: 1"))
    for typed, code, left in (
        ("no", 1, {"web-1": "1cpu-1gb", "web-2": "1cpu-1gb"}),
        ("y", 0, {"web-1": "2cpu-4gb", "web-2": "1cpu-1gb", "db-1": "1cpu-1gb"}),
        ("wuji", 0, {"web-1": "2cpu-4gb", "db-1": "1cpu-1gb"}),
    ):
        terminal = made.on_terminal("infra", "create", "wuji")
        terminal.until("anything else for nothing:")
        terminal.type(f"{typed}\n")
        assert terminal.end() == code, terminal.screen
        assert {name: words.split()[0] for name, words in plans(workspace).items()} == left


def test_create_is_one_request_to_the_orchestrator(program: Any, replay: Replay, workspace: Path) -> None:
    def submit(asked: Asked) -> str:
        replay.add_workflow(ID, "infra/create wuji", [{"id": "create", "operation": "infra/create"}])
        return ID

    replay.on_submit = submit
    done = program("infra", "create", "wuji", "--orchestrated", "--no-wait", "--confirm=wuji")
    assert (done.returncode, done.stdout) == (0, f"{ID}\n")
    (asked,) = (asked for asked in replay.asked if asked.method == "POST")
    assert asked.path == "/workflows/infra/create"
    assert asked.body == {"infra": "wuji", "params": {"allow": ["delete", "replace"]}}


def test_a_changed_server_is_changed_by_the_plan_that_was_shown(made: Any, replay: Replay, workspace: Path) -> None:
    def submit(asked: Asked) -> str:
        replay.add_workflow(ID, "infra/apply wuji", [{"id": "apply", "operation": "infra/apply"}])
        return ID

    replay.on_submit = submit
    define(workspace, CHANGED)
    done = made("server", "create", "wuji", "web-1", "--orchestrated", "--no-wait")
    assert done.returncode == 0, done.stderr
    (asked,) = (asked for asked in replay.asked if asked.method == "POST")
    assert asked.path == "/workflows/infra/apply"
    changes = asked.body["params"]["plan"]["changes"]
    assert [(each["action"], each["name"]) for each in changes] == [("exists", "wuji-net"), ("update", "web-1")]


def test_all_of_it_is_deleted_also_when_its_file_is_gone(made: Any, workspace: Path) -> None:
    (workspace / "infra" / "wuji.yaml").unlink()
    assert made("infra", "delete", "wuji").returncode == 2
    assert made("infra", "delete", "wuji", "--confirm=wuji").returncode == 0
    assert plans(workspace) == {}
    assert made("infra", "inventory", "-o", "name").stdout == ""


def test_a_server_that_has_lost_its_labels_is_deleted_by_its_name_typed_back_only(made: Any, workspace: Path) -> None:
    ledger = LedgerProvider(workspace)
    ids = {one.name: one.id for one in ledger.list("server", infra="wuji")}
    with ledger._file.resources() as resources:
        resources[ids["web-1"]] |= {"key": "", "intent": "", "infra": ""}
    for flags in ((), ("--yes",)):
        done = made("infra", "delete", "wuji", *flags)
        assert done.returncode == 2
    assert f"web-1 ({ids['web-1']}) of wuji is there without our labels" in done.stderr
    assert "provisioning infra delete wuji --confirm=wuji" in done.stderr
    assert len(ledger._all("server")) == 2
    terminal = made.on_terminal("server", "delete", "wuji", "web-1")
    terminal.until("Type wuji to go on")
    terminal.type("wuji\n")
    assert terminal.end() == 0, terminal.screen
    assert [one.name for one in ledger._all("server")] == ["web-2"]
    assert made("infra", "delete", "wuji", "--yes").returncode == 0


def test_drift_is_shown_with_what_heals_it(made: Any, workspace: Path) -> None:
    assert made("infra", "drift", "--exit-code").returncode == 0
    ledger = LedgerProvider(workspace)
    first, second = ledger.list("server", infra="wuji")
    ledger.delete("server", first.id)
    ledger.power(second.id, "stop")
    done = made("infra", "drift", "wuji", "--exit-code")
    assert done.returncode == 10
    assert done.stdout.splitlines() == [
        "gone        server web-1  deleted behind our back",
        "stopped     server web-2  is there and does not run",
    ]
    assert "heal  provisioning infra create wuji\n" in done.stderr
    assert "heal  provisioning server start wuji/web-2\n" in done.stderr
    items = json.loads(made("infra", "drift", "--json").stdout)["items"]
    assert [(item["sort"], item["infra"]) for item in items] == [("gone", "wuji"), ("stopped", "wuji")]
    assert made("infra", "create", "wuji").returncode == 0
    assert made("infra", "drift", "--exit-code").returncode == 0, "healed"


def test_the_inventory_is_listed_and_rebuilt(made: Any, workspace: Path) -> None:
    before = made("infra", "inventory", "-o", "name").stdout
    assert before.splitlines() == [
        f"tests/wuji/{each}" for each in ("network/wuji-net", "server/web-1", "server/web-2")
    ]
    for file in (workspace / ".provisioning" / "inventory").rglob("*.json"):
        file.unlink()
    rebuilt = made("infra", "inventory", "rebuild", "wuji", "-o", "name")
    assert rebuilt.stdout == before
    assert "3 added, 0 forgotten" in rebuilt.stderr


def test_the_graph_shows_all_levels_in_every_form(program: Any, workspace: Path) -> None:
    define(workspace, CHANGED)
    text = program("infra", "graph", "wuji").stdout
    assert "└── cluster.front   clusters/create   after servers" in text
    assert "├── web-1   servers/create-one" in text
    dot = program("infra", "graph", "wuji", "-o", "dot").stdout
    assert dot.startswith('digraph "wuji" {')
    assert '"network.wuji-net" -> "servers";' in dot
    assert program("infra", "graph", "wuji", "-o", "mermaid").stdout.startswith("flowchart LR")
    items = {item["id"]: item for item in json.loads(program("infra", "graph", "wuji", "--json").stdout)["items"]}
    assert items["cluster.front/servers/web-1"]["parent"] == "cluster.front/servers"
    assert program("infra", "plan", "wuji", "-o", "dot").returncode == 2, "only a graph has these forms"


def test_clusters_are_made_listed_shown_and_deleted(program: Any, workspace: Path) -> None:
    define(workspace, CHANGED)
    assert program("cluster", "list", "-o", "name").stdout == "front\n"
    created = program("cluster", "create", "wuji", "front")
    assert created.returncode == 0
    assert "provisioning cluster delete wuji front\n" in created.stderr, "never more than was made"
    assert list(plans(workspace)) == ["web-1", "web-2"]
    document = json.loads(program("cl", "show", "wuji", "front", "--json").stdout)
    assert [(each["server"], each["state"]) for each in document["servers"]] == [
        ("web-1", "started"),
        ("web-2", "started"),
    ]
    assert program("cluster", "delete", "wuji", "front").returncode == 2
    assert program("cluster", "delete", "wuji", "front", "--yes").returncode == 0
    assert plans(workspace) == {}
    again = program("cluster", "delete", "wuji", "front", "--yes")
    assert "Nothing to do: no server of the cluster front of wuji exists." in again.stderr
    done = program("cluster", "show", "wuji", "fornt")
    assert (done.returncode, "Did you mean 'front'?" in done.stderr) == (3, True)


def test_a_server_that_is_gone_already_is_named_and_those_that_are_left_are_shown(made: Any) -> None:
    assert made("server", "delete", "wuji", "web-2", "--yes").returncode == 0
    again = made("server", "delete", "wuji", "web-2", "--yes")
    assert (again.returncode, "Nothing to do: of wuji there is no web-2." in again.stderr) == (0, True)
    assert made("server", "delete", "wuji", "web-2", "--yes", "-o", "name").stdout == "web-1\n"
    created = made("server", "create", "wuji", "web-2")
    assert "provisioning server delete wuji web-2\n" in created.stderr, "never more than was made"


def test_a_server_is_stopped_started_and_rebooted(made: Any) -> None:
    done = made("server", "stop", "web-1", "--check", "--exit-code")
    assert (done.returncode, done.stdout) == (10, "~ server web-1  started: to be stopped\n")
    assert "stopped" in made("server", "stop", "wuji/web-1", "--yes").stdout
    assert "Nothing to do" in made("server", "stop", "web-1").stderr
    assert "started" in made("server", "start", "web-1").stdout
    assert "rebooted" in made("server", "reboot", "web-1").stderr
    assert made("server", "start", "web-9").returncode == 3


def test_a_resize_wants_the_definition_to_say_it(made: Any, workspace: Path) -> None:
    done = made("server", "resize", "web-1", "--plan", "2cpu-4gb")
    assert done.returncode == 2
    assert "infra/wuji.yaml says `plan: 1cpu-1gb` of server web (of all 2 servers of the group web)" in done.stderr
    assert "change that line to `plan: 2cpu-4gb`" in done.stderr
    define(workspace, CHANGED)
    assert made("server", "resize", "web-1", "--plan", "2cpu-4gb").returncode == 0
    assert {name: words.split()[0] for name, words in plans(workspace).items()} == {
        "web-1": "2cpu-4gb",
        "web-2": "1cpu-1gb",
    }
    assert "Nothing to do" in made("server", "resize", "web-1", "--plan", "2cpu-4gb").stderr


def test_prices_are_those_of_the_providers_lists(program: Any, workspace: Path) -> None:
    document = json.loads(program("server", "price", "wuji", "--json").stdout)
    assert [(item["name"], item["price_hour"]) for item in document["items"]] == [("web-1", 0.006), ("web-2", 0.006)]
    assert document["totals"] == {"EUR": {"hour": 0.012, "month": 8.76}}
    (workspace / "provisioning.yaml").write_text("name: test\nprovider: local\n")
    done = program("server", "price", "wuji")
    assert done.returncode == 2
    assert "no prices are known of local" in done.stderr


def test_the_providers_of_a_mixed_infrastructure_are_shown(program: Any, workspace: Path) -> None:
    assert "PROVIDER" not in program("infra", "show", "wuji").stdout
    own = "provisioning_core.testing.ledger_provider:LedgerProvider"
    servers = f"[{{name: a, plan: 1cpu-1gb}}, {{name: b, plan: 1cpu-1gb, provider: '{own}'}}]"
    (workspace / "infra" / "wuji.yaml").write_text(f"provider: local\nservers: {servers}\n")
    lines = program("infra", "show", "wuji").stdout.splitlines()
    assert lines[0].startswith("infra wuji   provider local ")
    assert [line.split()[-1] for line in lines if line.startswith(("a ", "b "))] == ["local", own]


def test_an_import_shows_what_it_adopts_and_wants_a_definition(program: Any, workspace: Path) -> None:
    rules = [{"protocol": "tcp", "ports": [80, 80]}]
    id = LedgerProvider(workspace).make_unmanaged("server", "somebody's", {"plan": "2cpu-4gb", "firewall": rules})
    done = program("server", "import", "wuji/web-1", "--id", id, "--check", "--exit-code")
    assert done.returncode == 10
    assert "  firewall: tcp/80\n" in done.stderr
    assert f"Server {id} (somebody's, started) becomes wuji/web-1." in done.stderr
    assert "plan: 2cpu-4gb -> 1cpu-1gb (restart)" in done.stderr
    assert plans(workspace) == {}
    assert program("server", "import", "wuji/web-1", "--id", id).returncode == 0
    assert list(plans(workspace)) == ["web-1"]
    assert "Nothing to do" in program("server", "import", "wuji/web-1", "--id", id).stderr
    other = LedgerProvider(workspace).make_unmanaged("server", "another's", {"plan": "2cpu-4gb"})
    for arguments, code, words in (
        (("wuji/nope", "--id", other), 2, "is not defined in infra/wuji.yaml"),
        (("web-2", "--id", id), 2, "does not say of which infrastructure"),
        (("wuji/web-2", "--id", "nothing"), 3, "no server 'nothing' that is nobody's"),
        (("wuji/web-1", "--id", other), 5, f"server web-1 exists already: {id}"),
    ):
        done = program("server", "import", *arguments)
        assert (done.returncode, words in done.stderr) == (code, True), done.stderr


@pytest.mark.parametrize(
    ("alias", "word"), [("s", "server"), ("cl", "cluster"), ("i", "infra"), ("infras", "infra"), ("wf", "workflow"),
                        ("flow", "workflow"), ("orch", "orchestrator"), ("ws", "workspace"), ("t", "taskserv"),
                        ("task", "taskserv")]
)  # fmt: skip
def test_the_short_names_of_the_original_are_understood_in_both_orders(
    alias: str, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from provisioning_core.cli.program import provisioning

    texts = []
    for arguments in (["help", alias], [alias, "help"], [word, "--help"], [alias, "--help"], ["help", word]):
        provisioning.main(arguments, prog_name="provisioning", standalone_mode=False)
        texts.append(capsys.readouterr().out)
    assert len(set(texts)) == 1
    assert f"provisioning {word} " in texts[0]
    provisioning.main(["--help"], prog_name="provisioning", standalone_mode=False)
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith(f"  {word}, "))
    assert alias in line
