from __future__ import annotations

from pathlib import Path

import pytest

from provisioning_core.errors import UsageError
from provisioning_core.settings import URL_DEFAULT, Setting, Settings


def test_a_flag_wins_over_the_environment_over_the_file_over_the_default(tmp_path: Path) -> None:
    file = tmp_path / "config" / "provisioning" / "config.toml"
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "HOME": str(tmp_path)}
    assert Settings({}, environ, tmp_path).url() == Setting(URL_DEFAULT, "default")
    file.parent.mkdir(parents=True)
    file.write_text('url = "http://file:1"\n')
    assert Settings({}, environ, tmp_path).url() == Setting("http://file:1", str(file))
    environ["PROVISIONING_URL"] = "http://env:1/"
    assert Settings({}, environ, tmp_path).url() == Setting("http://env:1", "PROVISIONING_URL")
    assert Settings({"url": "http://flag:1"}, environ, tmp_path).url() == Setting("http://flag:1", "--url")


def test_the_token_is_where_the_daemon_keeps_it(tmp_path: Path) -> None:
    environ = {"HOME": "/home/x"}
    assert Settings({}, environ, tmp_path).token_file().value == (
        "/home/x/.local/state/provisioning/orchestrator/token"
    )
    environ["XDG_STATE_HOME"] = "/state"
    assert Settings({}, environ, tmp_path).token_file().value == "/state/provisioning/orchestrator/token"
    environ["PROVISIONING_DATA_DIR"] = "/data"
    assert Settings({}, environ, tmp_path).token_file() == Setting("/data/token", "PROVISIONING_DATA_DIR")
    environ["PROVISIONING_TOKEN_FILE"] = "/other"
    assert Settings({}, environ, tmp_path).token_file() == Setting("/other", "PROVISIONING_TOKEN_FILE")
    assert Settings({"data_dir": "/named"}, environ, tmp_path).token_file() == Setting("/named/token", "--data-dir")
    environ["XDG_STATE_HOME"] = "relative"
    assert str(Settings({}, environ, tmp_path).state_dir()) == "/home/x/.local/state/provisioning"


def test_the_workspace_is_found_upwards(tmp_path: Path) -> None:
    below = tmp_path / "infra" / "deep"
    below.mkdir(parents=True)
    assert Settings({}, {}, below).workspace() == Setting(str(below), "default")
    (tmp_path / "provisioning.yaml").write_text("name: x\n")
    assert Settings({}, {}, below).workspace() == Setting(str(tmp_path), "provisioning.yaml")
    assert Settings({"workspace": "there"}, {}, below).workspace() == Setting(str(below / "there"), "--workspace")


def test_a_file_of_a_project_cannot_say_where_the_token_is_sent(tmp_path: Path) -> None:
    (tmp_path / "provisioning.yaml").write_text("name: x\nurl: http://evil:1\n")
    (tmp_path / "config.toml").write_text('url = "http://evil:1"\n')
    assert Settings({}, {"HOME": "/nowhere"}, tmp_path).url() == Setting(URL_DEFAULT, "default")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("url = [", "is not TOML"),
        ("urll = 'x'", "unknown setting 'urll'"),
        ("url = 3", "text is expected"),
        ("output = 'xml'", "output"),
        (b"\xff\xfe", "cannot read"),
    ],
)
def test_a_bad_settings_file_is_named_with_what_is_wrong(tmp_path: Path, text: str | bytes, words: str) -> None:
    file = tmp_path / "provisioning" / "config.toml"
    file.parent.mkdir()
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError, match=words):
        Settings({}, {"XDG_CONFIG_HOME": str(tmp_path)}, tmp_path).output()


def test_a_value_that_is_none_of_the_choices_says_where_it_came_from() -> None:
    with pytest.raises(UsageError, match="from PROVISIONING_PROGRESS"):
        Settings({}, {"PROVISIONING_PROGRESS": "loud"}).progress()
