"""Where a provider of a name is found: installed plugins, the workspace's providers/, its settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioning_core.errors import UsageError
from provisioning_core.plugins import installed, load_provider, missing_extra, own_executables
from provisioning_core.providers.executable import ExecutableProvider
from provisioning_core.providers.local import LocalProvider


def place(workspace: Path, name: str, *, executable: bool = True) -> Path:
    file = workspace / "providers" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("#!/bin/sh\n")
    file.chmod(0o700 if executable else 0o600)
    return file


@pytest.mark.parametrize("name", ["cloud", "cloud.py", "cloud.nu"])
def test_a_file_in_providers_is_a_provider(tmp_path: Path, name: str) -> None:
    file = place(tmp_path, name)
    provider = load_provider("cloud", tmp_path, {"a": 1})
    assert isinstance(provider, ExecutableProvider)
    assert (provider.name, provider.file) == ("cloud", file)


def test_the_settings_may_say_where_it_is(tmp_path: Path) -> None:
    elsewhere = tmp_path / "tools" / "my cloud"
    elsewhere.parent.mkdir()
    elsewhere.touch(0o700)
    for path in ("tools/my cloud", str(elsewhere)):
        provider = load_provider("cloud", tmp_path, {"executable": path})
        assert isinstance(provider, ExecutableProvider) and provider.file == elsewhere
    with pytest.raises(UsageError, match="'tools/none', which is no file"):
        load_provider("cloud", tmp_path, {"executable": "tools/none"})


def test_an_installed_plugin_is_found_without_a_directory(tmp_path: Path) -> None:
    assert isinstance(load_provider("local", tmp_path), LocalProvider)


@pytest.mark.parametrize(("names", "asked"), [(("cloud.py", "cloud.nu"), "cloud"), (("local.py",), "local")])
def test_a_name_that_is_there_twice_is_an_error_that_names_both(
    tmp_path: Path, names: tuple[str, ...], asked: str
) -> None:
    for name in names:
        place(tmp_path, name)
    with pytest.raises(UsageError) as refusal:
        load_provider(asked, tmp_path)
    assert refusal.value.code == "ambiguous_provider"
    assert all(name in refusal.value.message for name in names)


def test_what_is_no_provider_is_left_alone(tmp_path: Path) -> None:
    place(tmp_path, "README", executable=False)
    place(tmp_path, "notes.txt")
    place(tmp_path, "Upper")
    place(tmp_path, "not-executable", executable=False)
    (tmp_path / "providers" / "tests").mkdir()
    outside = tmp_path / "outside.py"
    outside.touch()
    (tmp_path / "providers" / "escape.py").symlink_to(outside)
    assert own_executables(tmp_path) == {}


def test_an_unknown_name_is_answered_with_what_was_meant(tmp_path: Path) -> None:
    place(tmp_path, "mycloud.nu")
    with pytest.raises(UsageError) as refusal:
        load_provider("mycluod", tmp_path)
    assert "Did you mean 'mycloud'?" in refusal.value.message
    assert refusal.value.hint is not None and "local" in refusal.value.hint and "mycloud" in refusal.value.hint


def test_a_plugin_without_an_extra_misses_nothing() -> None:
    assert missing_extra(installed()["local"]) is None
