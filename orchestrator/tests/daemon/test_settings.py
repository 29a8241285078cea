"""One frozen value from the command line, the environment and the defaults; wrong ones are named."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from provisioning_orchestrator.settings import BadSettings, Limits, Settings, read_settings


def test_defaults_need_nothing(tmp_path: Path) -> None:
    found = read_settings({}, {"HOME": "/home/somebody"})
    assert found == Settings(Path("/home/somebody/.local/state/provisioning/orchestrator"))
    assert (found.port, found.slots, found.auth, found.limits) == (9090, 10, "token", Limits())
    state = read_settings({}, {"XDG_STATE_HOME": str(tmp_path), "HOME": "/x"})
    assert state.data_dir == tmp_path / "provisioning" / "orchestrator"


def test_the_command_line_wins_over_the_environment_over_the_defaults(tmp_path: Path) -> None:
    environ = {
        "HOME": "/x",
        "PROVISIONING_ORCHESTRATOR_PORT": "1234",
        "PROVISIONING_ORCHESTRATOR_SLOTS": "3",
        "PROVISIONING_ORCHESTRATOR_LIBRARIES": f"{tmp_path}:{tmp_path}",
        "PROVISIONING_ORCHESTRATOR_BODY_BYTES_MAX": "1000",
        "PROVISIONING_ORCHESTRATOR_HEAD_TIMEOUT_S": "2.5",
        "PROVISIONING_ORCHESTRATOR_SYNC_ATTEMPTS": "yes",
        "PROVISIONING_ORCHESTRATOR_GRACE_S": "",
        "PROVISIONING_TOKEN_FILE": "not ours",
    }
    found = read_settings({"port": 99, "slots": None}, environ)
    assert (found.port, found.slots, found.libraries, found.sync_attempts) == (99, 3, (tmp_path, tmp_path), True)
    assert (found.limits.body_bytes_max, found.limits.head_timeout_s, found.grace_s) == (1000, 2.5, 10.0)


def test_a_program_keeps_the_name_it_was_given(tmp_path: Path) -> None:
    link = tmp_path / "python"
    link.symlink_to(sys.executable)
    assert read_settings({"python": str(link)}, {"HOME": "/x"}).python == link


@pytest.mark.parametrize(
    ("given", "environ", "says"),
    [
        ({"port": 70_000}, {}, "port is 70000; 0 (any free one) to 65535"),
        ({"slots": 0}, {}, "slots is 0; 1 or more"),
        ({"loans_max": -1}, {}, "loans_max is -1; 0 or more"),
        ({}, {"CHILDREN_MAX": "0"}, "children_max is 0; 1 or more"),
        ({"libraries": ["/nowhere"]}, {}, "library '/nowhere' is no directory"),
        ({"workspace": "/nowhere"}, {}, "workspace '/nowhere' is no directory"),
        ({"nu": "/nowhere"}, {}, "--nu '/nowhere' is no program"),
        ({}, {"PORT": "http"}, "port is 'http'; a whole number"),
        ({}, {"AUTH": "off"}, "auth is 'off'; one of token, none"),
        ({}, {"SYNC_ATTEMPTS": "perhaps"}, "true or false"),
        ({}, {"BODY_BYTE_MAX": "5"}, "did you mean PROVISIONING_ORCHESTRATOR_BODY_BYTES_MAX?"),
        ({}, {"BODY_BYTES_MAX": "-1"}, "above 0"),
        ({}, {"PING_S": "nan"}, "above 0"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_expected(given: Any, environ: dict[str, str], says: str) -> None:
    prefixed = {f"PROVISIONING_ORCHESTRATOR_{name}": value for name, value in environ.items()}
    with pytest.raises(BadSettings) as refused:
        read_settings(given, {"HOME": "/x"} | prefixed)
    assert says in str(refused.value)
