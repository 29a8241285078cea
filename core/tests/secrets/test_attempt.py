"""Direct mode hands secrets to operations, and keeps nothing of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.attempt import Where, run_attempt
from provisioning_core.library import Interpreters, Operation
from provisioning_core.outcome import Outcome
from provisioning_core.secrets import SecretUnavailable, resolve_param
from provisioning_core.secrets.stores import SECRETS, FileStore

VALUE = "correct-horse/battery 'staple'"


@pytest.fixture(autouse=True)
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    (tmp_path / "memory").mkdir()
    monkeypatch.setattr("provisioning_core.secrets.private._MEMORY", tmp_path / "memory")
    FileStore(tmp_path / "config" / "provisioning" / "secrets.toml").set(SECRETS, "db", VALUE)


def attempt(path: Path, name: str, code: str, params: Any) -> tuple[Outcome, str, list[dict[str, Any]], Path]:
    file = path / name
    file.write_text(code)
    file.chmod(0o755)
    directory = path / f"attempt-{name}"
    events: list[dict[str, Any]] = []
    told = {"workflow_id": "direct_1", "task_id": "root", "attempt": 1, "key": None, "intent": "i", "operation": "t/x"}
    where = Where(directory, path, Interpreters(), 30.0)
    outcome, log = run_attempt(Operation("t/x", file), told | {"params": params, "results": {}}, where, events.append)
    return outcome, log, events, directory


PYTHON = """
import sys
from provisioning_core.operation import Result, Task, run

def main(task: Task) -> Result:
    value = task.secret(task.params["password"])
    print(value, value.reveal(), value.reveal().encode().hex())
    task.progress(f"with {value.reveal()}")
    if task.params.get("fail"):
        raise ValueError(f"bad password {value.reveal()}")
    return Result({"password": value.reveal(), "given": task.params["password"]})

if __name__ == "__main__":
    run(main)
"""
SHELL = """#!/bin/sh
cat "$PROVISIONING_SECRETS"
password=$(sed 's/.*"db": "//; s/"}$//' "$PROVISIONING_SECRETS")
printf '{"type": "progress", "message": "%s"}\\n' "$password" >> "$PROVISIONING_EVENTS"
printf '{"status": "error", "error": {"code": "no", "message": "%s"}}' "$password" > "$PROVISIONING_RESULT"
exit 1
"""


def assert_nothing_kept(*things: Any, directory: Path) -> None:
    for thing in things:
        assert VALUE not in str(thing) and VALUE.encode().hex() not in str(thing) and "horse" not in str(thing)
    for file in directory.rglob("*"):
        if file.is_file():
            assert b"horse" not in file.read_bytes() and VALUE.encode().hex().encode() not in file.read_bytes()
    assert list((directory.parent / "memory").rglob("*")) == [directory.parent / f"memory/provisioning-{os.geteuid()}"]


def test_an_operation_in_python_gets_it_and_nothing_of_it_is_kept(tmp_path: Path) -> None:
    outcome, log, events, directory = attempt(tmp_path, "x.py", PYTHON, {"password": "secret://db"})
    assert outcome.failure is None
    assert outcome.result == {"password": "[secret db]", "given": "secret://db"}
    assert log.splitlines() == ["[secret db] [secret db] [secret db]", "with [secret db]"]
    assert [event["message"] for event in events] == ["with [secret db]"]
    assert (directory / "log").read_text().splitlines() == log.splitlines()
    assert_nothing_kept(outcome, log, events, directory=directory)


def test_what_it_raises_is_redacted_too(tmp_path: Path) -> None:
    outcome, log, events, directory = attempt(tmp_path, "x.py", PYTHON, {"password": "secret://db", "fail": True})
    assert outcome.failure is not None and outcome.failure.message == "ValueError: bad password [secret db]"
    assert "Traceback" in log
    assert_nothing_kept(outcome, log, events, directory=directory)


def test_a_shell_script_reads_the_descriptor(tmp_path: Path) -> None:
    outcome, log, events, directory = attempt(tmp_path, "x", SHELL, {"password": "secret://db"})
    assert outcome.failure is not None and outcome.failure.message == "[secret db]"
    assert log == '{"db": "[secret db]"}' and events == [{"type": "progress", "message": "[secret db]"}]
    assert_nothing_kept(outcome, log, events, directory=directory)


def test_without_references_everything_is_as_it_was(tmp_path: Path) -> None:
    code = '#!/bin/sh\nreadlink /proc/self/fd/1; echo "${PROVISIONING_SECRETS-none}"\n'
    _, log, _, directory = attempt(tmp_path, "x", code, {"password": "no secret://db"})
    assert log.splitlines() == [str(directory / "log"), "none"]


def test_a_reference_without_a_value_fails_the_attempt_before_it_runs(tmp_path: Path) -> None:
    code = f"#!/bin/sh\ntouch {tmp_path}/ran\n"
    outcome, _, _, _ = attempt(tmp_path, "x", code, {"a": ["secret://none"], "b": "secret://db"})
    failure = outcome.failure
    assert failure is not None and failure.code == "secret_unavailable" and not failure.retryable
    assert "secret://none: there is no such secret" in failure.message and "secret set none" in failure.message
    assert not (tmp_path / "ran").exists()


def test_what_a_killed_attempt_left_in_memory_goes_with_the_next(tmp_path: Path) -> None:
    code = """
import os, signal
from provisioning_core.secrets.handing import handed
with handed({"a": "secret://db"}) as given:
    (given.private / "result").write_text("raw")
    print(given.private, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    code = code.replace("with handed", f"private._MEMORY = Path({str(tmp_path / 'memory')!r})\nwith handed")
    code = "from pathlib import Path\nfrom provisioning_core.secrets import private\n" + code
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    left = Path(done.stdout.strip())
    assert (left / "result").read_text() == "raw" and left.stat().st_mode & 0o777 == 0o700
    assert (left / "own").stat().st_mode & 0o777 == 0o700
    attempt(tmp_path, "x", "#!/bin/sh\n", {"a": "secret://db"})
    assert not left.exists()


def test_an_operation_has_a_directory_in_memory_that_goes_with_it(tmp_path: Path) -> None:
    code = '#!/bin/sh\ncd "$PROVISIONING_PRIVATE" && pwd -P && cat "$PROVISIONING_SECRETS" > pgpass && ls -A\n'
    outcome, log, _, directory = attempt(tmp_path, "x", code, {"a": "secret://db"})
    place, found = log.splitlines()
    assert outcome.failure is None and found == "pgpass"
    assert Path(place).is_relative_to(tmp_path / "memory") and not Path(place).exists()
    assert_nothing_kept(log, directory=directory)


def test_directories_in_memory_are_not_taken_for_abandoned_while_they_are_made(tmp_path: Path) -> None:
    """Each process removes what others have left; a directory that is not locked yet looks just so."""
    code = f"""
from pathlib import Path
from provisioning_core.secrets import private
private._MEMORY = Path({str(tmp_path / "memory")!r})
for n in range(200):
    with private.private_directory() as directory:
        (directory / "file").write_text("x")
        assert (directory / "file").exists(), n
"""
    each = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) for _ in range(6)]
    assert [process.communicate()[1] for process in each] == [""] * 6
    assert list((tmp_path / "memory").rglob("*")) == [tmp_path / f"memory/provisioning-{os.geteuid()}"]


def test_resolve_param_gives_the_value_by_hand_and_leaves_other_text_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_param("secret://db") == VALUE
    assert resolve_param("see secret://db") == "see secret://db"
    monkeypatch.setenv("PROVISIONING_RESULT", "/nowhere")
    with pytest.raises(SecretUnavailable, match="was not handed to this operation"):
        resolve_param("secret://db")
