"""The process of an executable provider: what it is given, what it may do, and that nothing of it is left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.errors import AuthError, ProviderError
from provisioning_core.provider import Wish
from provisioning_core.providers.executable import ExecutableProvider, call

Make = Callable[..., ExecutableProvider]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """An executable of this text, in sh or what its first line says."""

    def write(text: str, suffix: str = "", **settings: Any) -> ExecutableProvider:
        file = tmp_path / f"cloud{suffix}"
        file.write_text(text if text.startswith("#!") or suffix else f"#!/bin/sh\n{text}")
        file.chmod(0o700)
        return ExecutableProvider("cloud", file, tmp_path, settings)

    return write


def gone(pid: int) -> bool:
    """A zombie is gone: it only waits for its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold in time"
        time.sleep(0.02)


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def refused(provider: ExecutableProvider) -> ProviderError:
    with pytest.raises(ProviderError) as refusal:
        provider.list("server")
    return refusal.value


def test_data_goes_to_standard_input_and_never_to_argv_or_the_environment(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_TOKEN", "not for it")
    monkeypatch.setenv("PROVISIONING_RESULT", "/not/for/it")
    monkeypatch.setenv("PROVISIONING_ATTEMPT", "mark")
    provider = make('echo "$@" >argv; cat >stdin; env >environ; pwd >cwd; echo \'{"resource": null}\'', region="x")
    assert provider.find("server", key="ws/$(id)/\n") is None
    assert (tmp_path / "argv").read_text() == "find\n"
    told = (tmp_path / "stdin").read_text()
    assert told.count("\n") == 1 and told.endswith("\n")
    assert json.loads(told) == {"settings": {"region": "x"}, "kind": "server", "intent": None, "key": "ws/$(id)/\n"}
    environ = (tmp_path / "environ").read_text()
    assert f"PROVISIONING_WORKSPACE={tmp_path}\n" in environ and "PROVISIONING_ATTEMPT=mark\n" in environ
    assert "SOME_TOKEN" not in environ and "PROVISIONING_RESULT" not in environ
    assert (tmp_path / "cwd").read_text() == f"{tmp_path}\n"


def test_a_request_of_any_size_is_read_when_it_likes(make: Make) -> None:
    """It says more than a pipe holds before it reads a request that is larger than a pipe."""
    lines = 'for i in $(seq 900); do printf \'{"announce": %s}\\n\' "$one"; done'
    one = json.dumps(dict.fromkeys(("id", "key", "intent", "infra", "name"), "x" * 200) | _STATE)
    provider = make(f"one='{one}'\n{lines}\nwc -c >size; echo '{{\"created\": true, \"resource\": '\"$one\"'}}'")
    announced: list[str] = []
    made = provider.create(_wish(user_data="y" * 1_000_000), announce=lambda resource: announced.append(resource.id))
    assert made.created and len(announced) == 900
    assert int((provider.file.parent / "size").read_text()) > 1_000_000


_STATE = {"kind": "server", "state": "started"}


def _wish(**spec: Any) -> Wish:
    return Wish("server", "k", "i", "w", "n", spec)


def test_its_words_go_to_the_log(make: Make, capfd: pytest.CaptureFixture[str]) -> None:
    make('echo "asking the cloud" >&2; echo \'{"resources": []}\'').list("server")
    assert capfd.readouterr() == ("", "asking the cloud\n")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("sleep 1000", "deadline"),
        ("while :; do echo; done", "deadline"),
        ("yes '{\"announce\": 1}'", "bad_answer"),
        ("tr '\\0' x </dev/zero", "bad_answer"),
        ("yes | tr -d '\\n'", "bad_answer"),
        ("kill -9 $$", "no_answer"),
        ("exit 7", "no_answer"),
        ("no-such-command", "not_runnable"),
        ("#!/no/such/interpreter\n", "not_runnable"),
        ("printf '\\377\\376\\n'", "bad_answer"),
        ("printf '[%.0s' $(seq 100000); echo", "bad_answer"),
    ],
)
def test_hostile_output_is_a_clear_error_and_leaves_no_process(
    make: Make, tmp_path: Path, text: str, code: str
) -> None:
    deadline_s = 1 if code == "deadline" else 60  # what it says counts also where the machine is slow to run it
    provider = make(text if text.startswith("#!") else f"echo $$ >pid; {text}", deadline_s=deadline_s)
    error = refused(provider)
    assert error.code == code, error.message
    assert "provider cloud: `list`: " in error.message and len(error.message) < 500
    assert error.retryable is (code in ("deadline", "no_answer"))
    if (tmp_path / "pid").exists():
        assert gone(int((tmp_path / "pid").read_text()))


def test_what_it_leaves_running_is_killed_and_does_not_hold_the_answer_up(make: Make, tmp_path: Path) -> None:
    provider = make("sleep 1000 & echo $! >child; echo '{\"resources\": []}'")
    assert provider.list("server") == []
    child = int((tmp_path / "child").read_text())
    eventually(lambda: gone(child))  # a killed grandchild ends when the kernel gets to it


def test_one_that_has_answered_and_does_not_end_is_killed_and_its_answer_counts(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(call, "END_S", 0.2)
    assert make("echo $$ >pid; echo '{\"resources\": []}'; exec sleep 1000").list("server") == []
    assert make("echo $$ >pid; echo '{\"resources\": []}'; exec >&-; exec sleep 1000").list("server") == []
    assert gone(int((tmp_path / "pid").read_text()))
    assert "did not end: killed" in capsys.readouterr().err


def test_an_error_of_whoever_listens_ends_it_too(make: Make, tmp_path: Path) -> None:
    one = json.dumps(dict.fromkeys(("id", "key", "intent", "infra", "name"), "x") | _STATE)
    provider = make(f"echo $$ >pid; echo '{{\"announce\": {one}}}'; exec sleep 1000")

    def listen(_: object) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        provider.create(_wish(), announce=listen)
    assert gone(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("number", ["KILL", "TERM", "INT"])
def test_it_ends_with_its_caller_however_that_ends(make: Make, tmp_path: Path, number: str) -> None:
    make("sleep 1000 & echo $! >child; echo $$ >pid.part; mv pid.part pid; exec sleep 1000")
    ask = "import sys; from pathlib import Path; from provisioning_core.providers.executable import ExecutableProvider"
    ask += "; ExecutableProvider('cloud', Path(sys.argv[1]) / 'cloud', Path(sys.argv[1])).list('server')"
    caller = subprocess.Popen([sys.executable, "-c", ask, str(tmp_path)], stderr=subprocess.DEVNULL)
    eventually(lambda: (tmp_path / "pid").exists())
    os.kill(caller.pid, getattr(__import__("signal"), f"SIG{number}"))
    caller.wait()
    for name in ("pid", "child"):
        eventually(lambda name=name: gone(int((tmp_path / name).read_text())))  # type: ignore[misc]


def test_no_file_of_ours_stays_open_or_behind(make: Make) -> None:
    provider = make("echo '{\"resources\": []}'")
    provider.list("server")
    before = open_files()
    for _ in range(3):
        provider.list("server")
    assert open_files() == before


def test_each_spec_is_normalized_once(make: Make, tmp_path: Path) -> None:
    can = '{"capabilities": {"kinds": ["server"], "normalize": true}}'
    provider = make(f"echo $1 >>calls; [ $1 = normalize ] && echo '{{\"spec\": {{\"a\": [1]}}}}' || echo '{can}'")
    for _ in range(3):
        given = provider.normalize("server", {"plan": "x"})
        given["a"].append(2)
    assert provider.normalize("server", {"plan": "x"}) == {"a": [1]}
    assert (tmp_path / "calls").read_text() == "capabilities\nnormalize\n"


@pytest.mark.parametrize(
    "said",
    [
        {"kinds": []},
        {"kinds": ["machine"]},
        {"kinds": ["server"], "flags": ["fly"]},
        {"kinds": ["server"], "flags": "update"},
        {"kinds": ["server"], "effects": {"server": {"plan": "later"}}},
        {"kinds": ["server"], "effects": ["server"]},
        {},
    ],
)
def test_capabilities_that_there_are_not_are_refused(make: Make, said: dict[str, Any]) -> None:
    provider = make(f"echo '{json.dumps({'capabilities': said})}'")
    with pytest.raises(ProviderError, match="capabilities") as refusal:
        _ = provider.capabilities
    assert refusal.value.code == "bad_answer"


def test_one_that_knows_no_capabilities_has_five_verbs_and_is_asked_for_no_more(make: Make) -> None:
    provider = make(
        'echo "{\\"error\\": {\\"code\\": \\"unknown_verb\\", \\"message\\": \\"no $1\\", \\"retryable\\": false}}"'
    )
    assert provider.capabilities.kinds == ("network", "server") and not provider.capabilities.flags
    assert provider.normalize("server", {"plan": "x"}) == {"plan": "x"}
    with pytest.raises(ProviderError) as refusal:
        provider.zones()
    assert refusal.value.code == "unsupported"


def test_text_that_no_other_language_has_never_reaches_it(make: Make) -> None:
    provider = make("touch called")
    assert provider.find("server", key="\ud800") is None
    assert provider.get("server", "\udfff") is None
    assert provider.delete("server", "\ud800") is False
    with pytest.raises(ProviderError) as refusal:
        provider.create(Wish("server", "k", "i", "w", "\ud800"))
    assert not refusal.value.retryable
    assert not (provider.file.parent / "called").exists()


def test_credentials_are_looked_up_where_it_asks_for_them_and_go_to_standard_input(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = [{"name": "token", "variables": ["CLOUD_TOKEN"]}]
    needed = {"error": {"code": "credentials_needed", "message": "a token, please", "fields": fields}}
    provider = make(f"cat >>asked; grep -q s3cret asked && echo '{{\"resources\": []}}' || echo '{json.dumps(needed)}'")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nothing"))
    with pytest.raises(AuthError, match="CLOUD_TOKEN"):
        provider.list("server")
    monkeypatch.setenv("CLOUD_TOKEN", "s3cret")
    (tmp_path / "asked").unlink()
    assert provider.list("server") == [] == provider.list("network")
    asked = [json.loads(line).get("credentials") for line in (tmp_path / "asked").read_text().splitlines()]
    assert asked == [None, {"token": "s3cret"}, {"token": "s3cret"}]


def test_a_file_that_may_not_be_run_says_how_to_change_that(make: Make) -> None:
    provider = make("true")
    provider.file.chmod(0o600)
    error = refused(provider)
    assert (error.code, error.hint) == ("not_runnable", f"chmod +x {provider.file}")


def test_without_a_nushell_one_in_nushell_says_so(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = make("", suffix=".nu")
    monkeypatch.setenv("PATH", "/nowhere")
    error = refused(provider)
    assert error.code == "not_runnable" and "no `nu` on PATH" in error.message
