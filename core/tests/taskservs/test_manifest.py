"""Manifests: every fault at once, with its place; parameters: what they accept, and what is said otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provisioning_core.errors import NotFoundError
from provisioning_core.taskservs import all_taskservs, find_taskserv, read_manifest
from provisioning_core.taskservs.folders import builtin_root
from provisioning_core.taskservs.manifest import filled
from provisioning_core.workspace import Workspace
from provisioning_core.yamlfile import DefinitionErrors

GOOD = """\
name: greeter
version: "1"
supports: [root]
parameters:
  port: {type: integer, default: 80, min: 1, max: 65535}
  level: {type: text, choices: [low, high], default: low}
  token: {type: text, secret: true, min: 8}
  users: {type: map, pattern: '[a-z]+', values: {type: text, secret: true}, default: {}}
  sites: {type: list, items: {type: record, fields: {host: {type: text, required: true}, tls: {type: boolean}}}}
health: {http: ":${port}/"}
"""


def folder(root: Path, manifest: str, name: str = "greeter") -> Path:
    path = root / name
    path.mkdir(parents=True, exist_ok=True)
    (path / "taskserv.yaml").write_text(manifest)
    (path / "install.sh").write_text("#!/bin/sh\n")
    return path


def faults(root: Path, manifest: str) -> list[str]:
    with pytest.raises(DefinitionErrors) as caught:
        read_manifest(folder(root, manifest), "taskserv.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_a_good_manifest_is_read(tmp_path: Path) -> None:
    manifest = read_manifest(folder(tmp_path, GOOD))
    assert (manifest.name, manifest.version, manifest.form) == ("greeter", "1", "shell")
    assert [each.name for each in manifest.parameters] == ["port", "level", "token", "users", "sites"]
    assert manifest.completed({"port": 8080}) == {
        "port": 8080,
        "level": "low",
        "token": None,
        "users": {},
        "sites": None,
    }


def test_all_faults_of_a_manifest_are_named_at_once_with_their_places(tmp_path: Path) -> None:
    said = faults(
        tmp_path,
        "name: other\n"
        "versoin: 1\n"
        "supports: [roott]\n"
        "parameters:\n"
        "  Port: {type: integer}\n"
        "  size: {type: integr}\n"
        "  many: {type: list}\n"
        "  level: {type: text, choices: [a], default: b}\n"
        "  width: {type: integer, secret: true}\n"
        "health: {tcp: '${prot}', http: ':80/'}\n",
    )
    assert [fault.split("  ")[0] for fault in said] == [
        "taskserv.yaml:1:1",
        "taskserv.yaml:1:7",
        "taskserv.yaml:2:1",
        "taskserv.yaml:3:12",
        "taskserv.yaml:5:3",
        "taskserv.yaml:6:16",
        "taskserv.yaml:7:9",
        "taskserv.yaml:8:46",
        "taskserv.yaml:9:34",
        "taskserv.yaml:10:9",
    ]
    words = "\n".join(said)
    for part in ("'version' is missing", "did you mean 'version'", "did you mean 'root'", "did you mean 'integer'"):
        assert part in words.lower(), part
    assert "the name is 'other', but the folder is 'greeter'" in words
    assert "accepted: a" in words and "exactly one of tcp, http, command" in words


@pytest.mark.parametrize(
    ("health", "part"),
    [
        ("{tcp: '${prot}'}", "there is no parameter 'prot'. Did you mean 'port'?"),
        ("{tcp: eighty}", "'eighty' is no port"),
        ("{http: /index}", "a port and a path"),
        ("{tcp: 80, deadline_s: 0}", "expected seconds above 0"),
        ("{}", "nothing is asked"),
    ],
)
def test_a_health_check_that_cannot_be_asked_is_refused(tmp_path: Path, health: str, part: str) -> None:
    manifest = f"name: greeter\nversion: '1'\nparameters: {{port: {{type: integer}}}}\nhealth: {health}\n"
    assert part in "\n".join(faults(tmp_path, manifest))


def test_exactly_one_implementation_is_expected(tmp_path: Path) -> None:
    path = folder(tmp_path, GOOD)
    (path / "install.py").write_text("")
    with pytest.raises(DefinitionErrors, match=r"install\.py and install\.sh; exactly one"):
        read_manifest(path)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"port": 0}, ["port: 0 is not accepted; accepted: a whole number from 1 to 65535"]),
        ({"port": True}, ["port: True is not accepted; accepted: a whole number from 1 to 65535"]),
        ({"prot": 1}, ["prot: there is no parameter 'prot'; there are: port, level, token, users, sites. "]),
        ({"level": "hihg"}, ["level: 'hihg' is not accepted; accepted: low, high. Did you mean 'high'?"]),
        ({"token": "plain-password"}, ["token: is a secret: a definition holds secret://NAME"]),
        ({"token": "secret://a b"}, ["token: 'secret://a b' is no reference to a secret"]),
        ({"users": {"Ann": "x"}}, ["users.Ann: the name 'Ann' is not accepted", "users.Ann: is a secret"]),
        ({"sites": [{"hots": "a"}]}, ["sites[0].hots: there is no parameter 'hots'", "sites[0].host: is required"]),
        ({"port": "x", "level": 1}, ["port: 'x' is not accepted", "level: 1 is not accepted"]),
    ],
)
def test_all_faults_of_params_are_named_with_what_would_be_accepted(
    tmp_path: Path, params: dict[str, Any], said: list[str]
) -> None:
    found = [str(fault).removeprefix("params.") for fault in read_manifest(folder(tmp_path, GOOD)).faults(params)]
    assert len(found) == len(said)
    assert all(fault.startswith(part) for fault, part in zip(found, said, strict=True)), found


def test_a_secret_is_never_in_a_fault(tmp_path: Path) -> None:
    manifest = read_manifest(folder(tmp_path, GOOD))
    params = {"token": "correct horse battery", "users": {"ann": "staple staple"}}
    words = "\n".join(map(str, manifest.faults(params)))
    assert "horse" not in words and "staple" not in words


def test_what_secrets_refer_to_stands_in_their_places_wherever_they_are(tmp_path: Path) -> None:
    manifest = read_manifest(folder(tmp_path, GOOD))
    complete = manifest.completed({"token": "secret://a", "users": {"ann": "secret://b"}})
    revealed = manifest.revealed(complete, lambda reference: f"value of {reference}")
    assert revealed["token"] == "value of secret://a"
    assert revealed["users"] == {"ann": "value of secret://b"}
    assert [each.name for each in manifest.parameters if each.holds_secrets] == ["token", "users"]


def test_a_health_check_is_filled_with_parameters() -> None:
    assert filled(":${port}/x", {"port": 8080}) == ":8080/x"


def test_the_infras_own_comes_before_the_workspaces_and_the_built_in_one(workspace: Workspace) -> None:
    manifest = GOOD.replace("greeter", "nginx")
    assert find_taskserv(workspace, "wuji", "nginx").layer == "built-in"
    folder(workspace.path / "taskservs", manifest, "nginx")
    assert find_taskserv(workspace, "wuji", "nginx").layer == "workspace"
    folder(workspace.path / "infra" / "wuji" / "taskservs", manifest, "nginx")
    found = find_taskserv(workspace, "wuji", "nginx")
    assert (found.layer, found.hidden) == ("infra", ("workspace", "built-in"))
    assert find_taskserv(workspace, "other", "nginx").layer == "workspace"


def test_an_unknown_taskserv_is_named_with_the_nearest_one(workspace: Workspace) -> None:
    with pytest.raises(NotFoundError, match=r"no taskserv 'ngnix'\. Did you mean 'nginx'\?"):
        find_taskserv(workspace, None, "ngnix")


def test_the_digest_is_of_what_installing_may_read(workspace: Workspace) -> None:
    path = folder(workspace.path / "taskservs", GOOD)
    before = find_taskserv(workspace, None, "greeter").digest
    (path / "README.md").write_text("more words")
    assert find_taskserv(workspace, None, "greeter").digest == before
    (path / "install.sh").write_text("#!/bin/sh\ntrue\n")
    assert find_taskserv(workspace, None, "greeter").digest != before


@pytest.mark.parametrize("name", sorted(path.name for path in builtin_root().iterdir()))
def test_each_built_in_taskserv_has_a_good_manifest_and_a_page_with_its_parameters(
    name: str, workspace: Workspace
) -> None:
    found = {each.name: each for each in all_taskservs(workspace)}[name]
    page = (found.folder / "README.md").read_text("utf-8")
    assert [each.name for each in found.manifest.parameters if f"`{each.name}`" not in page] == []
