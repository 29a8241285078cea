"""A new workspace, and the list of workspaces: whole or not at all, whenever the process is killed."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.errors import ConflictError, NotFoundError, UsageError
from provisioning_core.infra import load_infra
from provisioning_core.inspection import inspect_workspace
from provisioning_core.workspace import load_workspace
from provisioning_core.workspaces.founding import found_workspace, layouts
from provisioning_core.workspaces.registry import Registry

TOUCHES = {
    "open", "os.mkdir", "os.rename", "os.link", "os.remove", "os.rmdir", "os.listdir", "os.scandir", "shutil.rmtree",
    "fcntl.flock", "os.chmod",
}  # fmt: skip


def killed_at(number: int, work: Callable[[], Any]) -> bool:
    """Do it in a process that is killed just before the file system is touched for that time; whether it was."""
    pid = os.fork()
    if pid == 0:
        seen = 0

        def hook(event: str, _arguments: object) -> None:
            nonlocal seen
            if event in TOUCHES:
                seen += 1
                if seen == number:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def tree(path: Path) -> dict[str, str]:
    return {str(each.relative_to(path)): each.read_text() for each in sorted(path.rglob("*")) if each.is_file()}


@pytest.mark.parametrize("layout", layouts())
def test_a_new_workspace_validates_and_plans_at_once(tmp_path: Path, layout: str) -> None:
    assert found_workspace(tmp_path / "My Servers!", layout, name=None) == "my-servers"
    loaded = load_workspace(tmp_path / "My Servers!")
    assert (loaded.name, loaded.provider) == ("my-servers", "local")
    assert inspect_workspace(loaded.path).problems == ()
    for name in loaded.infra_names():
        from provisioning_core.plan import create_tasks

        assert create_tasks(loaded, load_infra(loaded, name), None)
    assert (loaded.path / ".gitignore").read_text() == "/.provisioning/\n"
    assert (loaded.path / "infra").is_dir()
    assert [each.name for each in tmp_path.iterdir()] == ["My Servers!"]


def test_two_workspaces_of_one_name_never_find_each_others_servers(tmp_path: Path) -> None:
    for name in ("a", "b"):
        found_workspace(tmp_path / name, name="same")
    keys = {load_workspace(tmp_path / name).key("wuji", "server", "web-1") for name in ("a", "b")}
    assert len(keys) == 2


def test_into_an_existing_directory_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / ".gitignore").write_text("mine")
    with pytest.raises(ConflictError, match=r"has \.gitignore already, and nothing is overwritten"):
        found_workspace(tmp_path, name="x")
    assert tree(tmp_path) == {"README.md": "mine", ".gitignore": "mine"}
    (tmp_path / ".gitignore").unlink()
    found_workspace(tmp_path, name="x")
    assert load_workspace(tmp_path).name == "x"
    before = tree(tmp_path)
    with pytest.raises(ConflictError, match="is a workspace already"):
        found_workspace(tmp_path, name="y")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("what", ["file", "link"])
def test_what_is_no_directory_stays(tmp_path: Path, what: str) -> None:
    target = tmp_path / "target"
    target.write_text("mine") if what == "file" else target.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConflictError, match="is no directory"):
        found_workspace(target, name="x")
    assert [each.name for each in tmp_path.iterdir()] == ["target"]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"name": "A b"}, UsageError, "'A b' is not a name for a workspace"),
        ({"name": None}, UsageError, "'' is not a name for a workspace"),
        ({"name": "x", "layout": "wuji"}, NotFoundError, "Did you mean 'wuji-like'?"),
        ({"name": "x", "provider": "a\nb: c"}, UsageError, "is not the name of a provider"),
    ],
)
def test_what_cannot_be_a_workspace_is_refused(
    tmp_path: Path, arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words.replace("?", r"\?")):
        found_workspace(tmp_path / "___", **arguments)
    with pytest.raises(NotFoundError, match="there is no directory"):
        found_workspace(tmp_path / "a" / "b", name="x")
    assert list(tmp_path.iterdir()) == []


def test_killed_at_any_instant_a_new_directory_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    number, kills = 1, 0
    while True:
        place = tmp_path / str(number)
        place.mkdir()
        target = place / "ws"
        killed = killed_at(number, lambda target=target: found_workspace(target, name="ws"))  # type: ignore[misc]
        if target.exists():
            assert inspect_workspace(target).problems == ()
        else:
            found_workspace(target, name="ws")
            assert inspect_workspace(target).problems == ()
        assert [each.name for each in place.iterdir()] == ["ws"], "the next one takes away what a killed one left"
        kills += killed
        if not killed:
            break
        number += 1
    assert kills > 10


def test_killed_at_any_instant_an_existing_directory_is_no_workspace_before_it_is_a_whole_one(tmp_path: Path) -> None:
    number, kills = 1, 0
    while True:
        target = tmp_path / str(number)
        target.mkdir()
        (target / "mine").write_text("mine")
        killed = killed_at(number, lambda target=target: found_workspace(target, name="ws"))  # type: ignore[misc]
        if not (target / "provisioning.yaml").exists():
            found_workspace(target, name="ws")  # the same again goes on
        assert inspect_workspace(target).problems == ()
        assert set(tree(target)) == {"mine", "provisioning.yaml", ".gitignore", "infra/wuji.yaml"} | {
            name for name in tree(target) if name.endswith(".init") and killed
        }
        kills += killed
        if not killed:
            break
        number += 1
    assert kills > 10


# --- the registry ----------------------------------------------------------------------------------------------------


def test_workspaces_are_registered_once_and_one_is_active(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "deep" / "workspaces.json")
    assert registry.read().entries == ()
    assert registry.active() is None
    registry.register("a", tmp_path / "a", activate=True)
    registry.register("b", tmp_path / "b")
    registry.register("b", tmp_path / "b")
    assert [entry.name for entry in registry.read().entries] == ["a", "b"]
    assert registry.switch("b").path == tmp_path / "b"
    active = registry.active()
    assert active is not None
    assert active.name == "b"
    with pytest.raises(NotFoundError) as caught:
        registry.switch("aa")
    assert "registered: a, b. Did you mean 'a'?" in str(caught.value.hint)


def test_a_name_belongs_to_one_directory_as_long_as_that_is_there(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "workspaces.json")
    for name in ("one", "two"):
        found_workspace(tmp_path / name, name="same")
    registry.register("same", tmp_path / "one")
    with pytest.raises(ConflictError, match="the name 'same' is taken by the workspace"):
        registry.register("same", tmp_path / "two")
    (tmp_path / "one" / "provisioning.yaml").unlink()
    registry.register("same", tmp_path / "two")
    assert [entry.path.name for entry in registry.read().entries] == ["two"]


@pytest.mark.parametrize("text", ["", "[", "[]", "{}", '{"workspaces": [{"name": "a"}]}', "\xff"])
def test_a_list_that_is_none_is_named_with_what_to_do(tmp_path: Path, text: str) -> None:
    file = tmp_path / "workspaces.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match="is not a list of workspaces") as caught:
        Registry(file).read()
    assert "remove the file" in str(caught.value.hint)


def test_killed_at_any_instant_the_list_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    number = 1
    while True:
        file = tmp_path / str(number) / "workspaces.json"
        Registry(file).register("old", tmp_path / "old")
        register = lambda file=file: Registry(file).register("new", tmp_path / "new")  # noqa: E731
        killed = killed_at(number, register)
        assert [entry.name for entry in Registry(file).read().entries] in (["old"], ["old", "new"])
        Registry(file).register("new", tmp_path / "new")  # no lock stays
        assert len(json.loads(file.read_text())["workspaces"]) == 2
        if not killed:
            break
        number += 1
    assert number > 3


def test_many_at_once_lose_nobody(tmp_path: Path) -> None:
    file = tmp_path / "workspaces.json"
    pids = []
    for number in range(12):
        pid = os.fork()
        if pid == 0:
            try:
                Registry(file).register(f"w{number}", tmp_path / f"w{number}")
            except BaseException:
                os._exit(1)
            os._exit(0)
        pids.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0] * 12
    assert {entry.name for entry in Registry(file).read().entries} == {f"w{number}" for number in range(12)}


# --- a workspace as a whole ------------------------------------------------------------------------------------------


def test_inspecting_tells_everything_that_is_wrong_anywhere(workspace: Any) -> None:
    library = workspace.path / "library" / "own"
    library.mkdir(parents=True)
    (library / "good.py").touch()
    (library / "good.toml").write_text('repeatable = true\ntimeout_s = 9\n[retry]\nbackoff = "linear"\n[params]\n')
    (library / "bad.py").touch()
    (library / "bad.toml").write_text('repeatable = "yes"\nlocks = []\n[retry]\nbackof = "linear"\n')
    (library / "broken.py").touch()
    (library / "broken.toml").write_text("a = 1\nb = = 2\n")
    (library / "lonely.toml").touch()
    (library / "twice.py").touch()
    (library / "twice.nu").touch()
    workspace.define("x", "servers: [{name: a}]")
    workspace.define("y", "servers: [{name: a, provider: clowd, plan: 1cpu-1gb}]")
    done = inspect_workspace(workspace.path)
    assert (done.infras, done.operations) == (3, 4)
    told = [str(problem) for problem in done.problems]
    expected = [
        "infra/x.yaml:1:11  servers[0]: the field 'plan' is missing",
        "infra/y.yaml  provider: no provider named 'clowd'",
        "library/own/twice  operation 'own/twice' is in one library twice",
        "library/own/bad.toml  repeatable: expected true or false, got the text 'yes'",
        "library/own/bad.toml  locks: unknown field 'locks'; known: repeatable, timeout_s, retry, params.",
        "library/own/bad.toml  retry.backof: unknown field 'backof'",
        "library/own/broken.toml:2:5  not TOML: ",
        "library/own/lonely.toml  there is no operation 'own/lonely' beside it",
    ]
    assert len(told) == len(expected), told
    for line, start in zip(told, expected, strict=True):
        assert line.startswith(start), line


def test_inspecting_a_workspace_whose_file_is_bad_tells_that(workspace: Any) -> None:
    (workspace.path / "provisioning.yaml").write_text("name: x\n")
    done = inspect_workspace(workspace.path)
    assert done.workspace is None
    assert [str(problem) for problem in done.problems] == ["provisioning.yaml:1:1  the field 'provider' is missing"]


def test_shipped_sidecars_are_good(workspace: Any) -> None:
    from provisioning_core.inspection import library_problems
    from provisioning_core.library import library_root, nu_library_root

    for root in (library_root(), nu_library_root()):
        assert [str(problem) for problem in library_problems(root)] == []
