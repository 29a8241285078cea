"""`provisioning workspace` and `provisioning config` as programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.schema import schema_text


@pytest.fixture
def config(tmp_path: Path, program: Any) -> Path:
    """The user's configuration directory."""
    program.environ["XDG_CONFIG_HOME"] = str(tmp_path / "config")
    return tmp_path / "config" / "provisioning"


def test_a_new_workspace_validates_and_plans_and_is_used_from_everywhere(
    program: Any, tmp_path: Path, config: Path
) -> None:
    done = program("workspace", "init", str(tmp_path / "mine"))
    assert (done.returncode, done.stdout) == (0, "")
    assert "workspace mine" in done.stderr
    program.workspace = tmp_path / "home"  # no workspace upwards from there
    info = json.loads(program("workspace", "info", "-o", "json").stdout)
    assert (info["name"], info["infras"]) == ("mine", ["wuji"])
    assert info["origin"] == f"active in {config / 'workspaces.json'}"
    assert program("workspace", "validate").returncode == 0
    planned = program("server", "create", "wuji", "--check", "--exit-code")
    assert planned.returncode == 10, planned.stderr
    again = program("workspace", "init", str(tmp_path / "mine"))
    assert again.returncode == 5
    assert "is a workspace already" in again.stderr


def test_switching_is_by_name_or_registers_a_directory(program: Any, tmp_path: Path, config: Path) -> None:
    for name in ("one", "two"):
        assert program("workspace", "init", str(tmp_path / name), "--template", "empty").returncode == 0
    assert program("workspace", "list", "-o", "name").stdout == "one\ntwo\n"
    assert "active" in program("workspace", "list").stdout.splitlines()[1]
    switched = program("workspace", "switch", "two")
    assert switched.returncode == 0
    assert "here another one is used" in switched.stderr, "the one that we stand in wins"
    assert program("workspace", "switch", ".").returncode == 0
    items = json.loads(program("workspace", "list", "-o", "json").stdout)["items"]
    assert [(item["name"], item["active"]) for item in items] == [("one", False), ("two", False), ("tests", True)]
    done = program("workspace", "switch", "tow")
    assert done.returncode == 3
    assert "Did you mean 'two'?" in done.stderr
    (tmp_path / "one" / "provisioning.yaml").write_text("name: one\n")
    assert program("workspace", "switch", "one").returncode == 2, "what cannot be used does not become the active one"


def test_a_taken_name_leaves_nothing_behind(program: Any, tmp_path: Path, config: Path) -> None:
    assert program("workspace", "init", str(tmp_path / "a" / ".." / "x")).returncode == 0
    (tmp_path / "deep").mkdir()
    done = program("workspace", "init", str(tmp_path / "deep" / "x"))
    assert done.returncode == 5
    assert "say --name" in done.stderr
    assert list((tmp_path / "deep").iterdir()) == []
    assert program("workspace", "init", str(tmp_path / "deep" / "x"), "--name", "y").returncode == 0


def test_validating_tells_every_problem_with_its_place(program: Any) -> None:
    assert program("workspace", "validate").returncode == 0
    (program.workspace / "infra" / "x.yaml").write_text("servers:\n  - {name: A}\n  - {plan: 1cpu-1gb}\n")
    done = program("workspace", "validate", "-o", "json")
    assert done.returncode == 2
    document = json.loads(done.stdout)
    assert document["valid"] is False
    assert [(each["file"], each["line"], each["column"], each["field"]) for each in document["problems"]] == [
        ("infra/x.yaml", 2, 5, "servers[0]"),
        ("infra/x.yaml", 2, 12, "servers[0].name"),
        ("infra/x.yaml", 3, 5, "servers[1]"),
    ]
    assert "infra/x.yaml:3:5  servers[1]: the field 'name' is missing" in program("workspace", "validate").stderr
    item = json.loads(program("infra", "validate", "x", "-o", "json").stdout)["items"][0]
    assert item["problems"] == document["problems"]


def test_validating_looks_at_taskservs_that_no_definition_declares(program: Any) -> None:
    declared = "servers: [{name: a, plan: 1cpu-1gb}]\ntaskservs: [{name: three, on: [a]}]\n"
    (program.workspace / "infra" / "x.yaml").write_text(declared)
    for folder in ("taskservs/one", "taskservs/three", "infra/x/taskservs/two"):
        (program.workspace / folder).mkdir(parents=True)
        (program.workspace / folder / "taskserv.yaml").write_text("name: other\nparameters: {port: {type: int}}\n")
    done = program("workspace", "validate", "-o", "json")
    assert done.returncode == 2
    problems = json.loads(done.stdout)["problems"]
    found = [(each["file"], each["field"]) for each in problems]
    assert ("taskservs/one/taskserv.yaml", "parameters.port.type") in found
    assert ("infra/x/taskservs/two/taskserv.yaml", "parameters.port.type") in found
    told = [str(each) for each in problems]
    assert len(told) == len(set(told)), "each is said once, those of the declared one too"


def test_the_schemas_are_printed_as_they_are(program: Any) -> None:
    assert program("infra", "schema").stdout == schema_text("infra")
    assert program("workspace", "schema").stdout == schema_text("workspace")


def test_config_shows_every_setting_with_its_origin(program: Any, tmp_path: Path, config: Path) -> None:
    config.mkdir(parents=True)
    (config / "config.toml").write_text(
        'token_file = "/t"\nprogress = "plain"\n[providers.upcloud]\nurl = "https://mine.example"\ntoken = "abc"\n'
    )
    file = program.workspace / "provisioning.yaml"
    file.write_text(file.read_text() + "settings: {progress: quiet, color: never}\nproviders: {upcloud: {zone: z}}\n")
    done = program("config", "show", "-o", "json", "--url", "http://127.0.0.1:5")
    found = {item["name"]: (item["value"], item["origin"]) for item in json.loads(done.stdout)["items"]}
    assert found["url"] == ("http://127.0.0.1:5", "--url")
    assert found["data_dir"] == (str(tmp_path / "data"), "PROVISIONING_DATA_DIR")
    assert found["token_file"] == ("/t", str(config / "config.toml"))
    assert found["workspace"] == (str(program.workspace), "provisioning.yaml")
    assert found["progress"] == ("quiet", str(file))
    assert found["color"] == ("never", str(file))
    assert found["output"] == ("json", "--output")
    assert found["providers.upcloud.zone"] == ("z", str(file))
    assert found["providers.upcloud.url"] == ("https://mine.example", str(config / "config.toml"))
    assert found["providers.upcloud.token"] == ("(not shown)", str(config / "config.toml"))
    assert "abc" not in done.stdout + program("config", "show", "--origin").stdout
    table = program("config", "show", "--origin", PROVISIONING_COLOR="never").stdout
    assert "SETTING" in table and "ORIGIN" in table
    assert "ORIGIN" not in program("config", "show").stdout


def test_config_path_is_a_file_to_edit(program: Any, config: Path) -> None:
    assert program("config", "path", "-o", "name").stdout == f"{config / 'config.toml'}\n"
    items = json.loads(program("config", "path", "-o", "json").stdout)["items"]
    assert [(item["name"], item["exists"]) for item in items] == [
        ("user", False), ("workspaces", False), ("workspace", True),
    ]  # fmt: skip


def test_a_workspaces_own_operations_come_before_the_shipped_ones(program: Any) -> None:
    library = program.workspace / "library"
    (library / "servers").mkdir(parents=True)
    (library / "servers" / "create.py").write_text("print('mine')\nraise SystemExit(3)\n")
    found = program("config", "show", "-o", "json").stdout
    value = next(item["value"] for item in json.loads(found)["items"] if item["name"] == "library")
    assert value.split(":")[0] == str(library)
    done = program("server", "create", "wuji")
    assert done.returncode == 1
    assert "mine" in done.stdout + done.stderr


def test_a_broken_list_of_workspaces_disturbs_nobody_inside_of_one(program: Any, config: Path) -> None:
    config.mkdir(parents=True)
    (config / "workspaces.json").write_text("{")
    assert program("infra", "list").returncode == 0
    assert program("workspace", "list").returncode == 2


def test_built_in_taskservs_are_listed_and_shown_outside_of_a_workspace(program: Any, tmp_path: Path) -> None:
    program.workspace = tmp_path / "elsewhere"
    program.workspace.mkdir()
    done = program("taskserv", "list")
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[1:3]] == ["hardening", "k3s"]
    assert "Here is no workspace: these are built in." in done.stderr
    shown = program("taskserv", "show", "nginx")
    assert (shown.returncode, shown.stdout.splitlines()[1].startswith("from built-in")) == (0, True)
    assert "Did you mean 'nginx'" in program("taskserv", "show", "ngnix").stderr
    for command in (["taskserv", "list", "wuji"], ["taskserv", "show", "nginx", "--infra", "wuji"]):
        assert program(*command).returncode == 3
    assert program("taskserv", "list", "--workspace", "nowhere").returncode == 3
