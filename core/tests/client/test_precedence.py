"""One precedence for every setting: flags > environment > workspace > user > built-in; and what a workspace may say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provisioning_core.errors import UsageError
from provisioning_core.settings import NAMES, SAFE, Setting, Settings
from provisioning_core.workspace import load_workspace

VALUES = {
    "url": ["http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3", "http://127.0.0.1:4"],
    "output": ["json", "yaml", "wide", "name"],
    "progress": ["tty", "plain", "json", "quiet"],
    "color": ["always", "never", "auto", "always"],
    "kcl_time_s": ["1", "2", "3", "4"],
    "kcl_memory_mb": ["128", "129", "130", "131"],
}


def places(tmp_path: Path, name: str, where: set[str]) -> tuple[Settings, dict[str, Setting | None]]:
    """Settings in which the setting is said in these places; and what each place would make of it."""
    values = VALUES.get(name) or [str(tmp_path / f"value-{number}") for number in range(4)]
    by_place = dict(zip(("flag", "environment", "workspace", "user"), values, strict=True))
    flags = {name: by_place["flag"]} if "flag" in where else {}
    environ = {"HOME": str(tmp_path / "home"), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    if "environment" in where:
        environ[f"PROVISIONING_{name.upper()}"] = by_place["environment"]
    workspace = tmp_path / "workspace"
    workspace.mkdir(exist_ok=True)
    if "workspace" in where:
        text = f"name: x\nprovider: local\nsettings: {{{name}: {by_place['workspace']}}}\n"
        (workspace / "provisioning.yaml").write_text(text)
    config = tmp_path / "config" / "provisioning" / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(f"{name} = {json.dumps(by_place['user'])}\n" if "user" in where else "")
    origins = {
        "flag": "--" + name.replace("_", "-"),
        "environment": f"PROVISIONING_{name.upper()}",
        "workspace": str(workspace / "provisioning.yaml"),
        "user": str(config),
    }
    said = {place: Setting(value, origins[place]) for place, value in by_place.items()}
    if name == "workspace":  # there the workspace says itself that it is it
        said["workspace"] = Setting(str(workspace), "provisioning.yaml")
    elif name not in SAFE:
        said["workspace"] = None  # type: ignore[assignment]
    return Settings(flags, environ, workspace), said  # type: ignore[return-value]


@pytest.mark.parametrize("name", NAMES)
def test_each_setting_comes_from_the_first_place_that_says_it(tmp_path: Path, name: str) -> None:
    built_in = places(tmp_path, name, set())[0].by_name(name)
    assert built_in is None or built_in.origin == "default"
    order = ("flag", "environment", "workspace", "user")
    for bits in range(1, 16):
        where = {place for number, place in enumerate(order) if bits & 1 << number}
        for each in tmp_path.rglob("provisioning.yaml"):
            each.unlink()
        settings, said = places(tmp_path, name, where)
        expected = next((said[place] for place in order if place in where and said[place]), built_in)
        assert settings.by_name(name) == expected, where


def test_what_a_workspace_may_say_is_how_things_look_only(tmp_path: Path) -> None:
    assert set(SAFE) == {"output", "progress", "color"}
    text = "name: x\nprovider: local\nsettings: {url: 'http://evil', token_file: /t, data_dir: /d, library: /l}\n"
    (tmp_path / "provisioning.yaml").write_text(text)
    settings = Settings({}, {"HOME": "/nowhere"}, tmp_path)
    for name in ("url", "token_file", "data_dir"):
        setting = settings.by_name(name)
        assert setting is not None
        assert setting.origin == "default"
    assert settings.library() is None


@pytest.mark.parametrize("text", ["settings: [", "settings: 3", "- settings", "settings: {output: 3}", "\xff settings"])
def test_a_workspaces_file_that_is_bad_keeps_nobody_from_asking_why(tmp_path: Path, text: str) -> None:
    (tmp_path / "provisioning.yaml").write_bytes(text.encode("latin-1"))
    assert Settings({}, {"HOME": "/nowhere"}, tmp_path).output() == Setting("table", "default")


def test_a_value_of_the_workspace_that_is_no_choice_is_told_by_who_reads_the_file(tmp_path: Path) -> None:
    (tmp_path / "provisioning.yaml").write_text("name: x\nprovidr: local\nsettings: {output: jason}\n")
    assert Settings({}, {"HOME": "/nowhere"}, tmp_path).output() == Setting("table", "default")
    with pytest.raises(UsageError, match=r"2:1  providr: (.|\n)*3:20  settings\.output: 'jason' is not accepted"):
        load_workspace(tmp_path, {})


def test_without_one_upwards_the_active_workspace_is_used_and_only_then(tmp_path: Path) -> None:
    file = tmp_path / "config" / "provisioning" / "workspaces.json"
    file.parent.mkdir(parents=True)
    active = tmp_path / "active"
    file.write_text(json.dumps({"active": "a", "workspaces": [{"name": "a", "path": str(active)}]}))
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    here = tmp_path / "here"
    here.mkdir()
    assert Settings({}, environ, here).workspace() == Setting(str(active), f"active in {file}")
    (file.parent / "config.toml").write_text('workspace = "mine"\n')
    mine = Setting(str(file.parent / "mine"), str(file.parent / "config.toml"))
    assert Settings({}, environ, here).workspace() == mine
    (here / "provisioning.yaml").touch()
    assert Settings({}, environ, here).workspace() == Setting(str(here), "provisioning.yaml")
    assert Settings({"workspace": "w"}, environ, here).workspace() == Setting(str(here / "w"), "--workspace")


def test_the_looks_are_those_of_the_workspace_that_is_used(tmp_path: Path) -> None:
    (tmp_path / "provisioning.yaml").write_text("name: x\nprovider: local\nsettings: {output: wide}\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "provisioning.yaml").write_text("name: y\nprovider: local\nsettings: {output: json}\n")
    assert Settings({}, {}, tmp_path).output().value == "wide"
    assert Settings({"workspace": str(elsewhere)}, {}, tmp_path).output().value == "json"
    assert Settings({}, {"PROVISIONING_WORKSPACE": str(elsewhere)}, tmp_path).output().value == "json"
