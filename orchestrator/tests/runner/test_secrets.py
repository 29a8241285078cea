"""Attempts with secrets: what they are handed, what is kept of what they write, what is left when somebody is shot."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from provisioning_orchestrator.ports import Alive, AttemptReported, Exited, NeverStarted, Vanished

from .host import Host, alive, an_id, number_in, run, shim_of, until
from .vault import (
    ALL_LINES,
    LINES,
    PARAMS,
    VALUE,
    VALUES,
    WRITES,
    Vault,
    assert_clean,
    events_in,
    filters_of,
    replaced,
    told,
)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path)


@pytest.fixture
def host(tmp_path: Path, vault: Vault) -> Host:
    host = Host(tmp_path / "host")
    host.settings["secrets_command"] = (str(vault.program),)
    host.settings["secrets_timeout_s"] = 20.0
    return host


def test_the_values_are_behind_a_descriptor_and_the_reference_stays_in_the_input(host: Host, vault: Vault) -> None:
    sums = host.path / "sums"
    operation = host.operation(
        "reads",
        f"""cat > /dev/null; cat "$PROVISIONING_SECRETS" | sha256sum > '{sums}'; cat <&3 | sha256sum >> '{sums}'
env | grep -c correct-horse >> '{sums}'""",
    )
    verdict = run(host.run(host.spec(operation, input=told())))
    assert verdict.exit_code == 1  # of grep, which found nothing
    import hashlib

    first, second, count = sums.read_text().splitlines()
    expected = hashlib.sha256(json.dumps(VALUES, ensure_ascii=False).encode() + b"\n").hexdigest()
    assert (first.split()[0], second.split()[0], count) == (expected, expected, "0")
    assert json.loads(vault.asked.read_text()) == ["db", "team/token"]
    assert b'"secret://db"' in host.file(an_id(1)).read_bytes()
    assert_clean(host)


def test_what_it_writes_is_redacted_wherever_it_writes_it(host: Host) -> None:
    operation = host.operation(
        "tells.py",
        """
import base64, json, os, sys
values = json.load(open(os.environ["PROVISIONING_SECRETS"]))
db = values["db"]
print("raw", db, "hex", db.encode().hex(), base64.b64encode(db.encode()).decode(), json.dumps(db))
for char in db:
    sys.stderr.write(char)
    sys.stderr.flush()
sys.stderr.write("\\nlast line without an end " + values["team/token"])
with open(os.environ["PROVISIONING_EVENTS"], "a") as events:
    for number in range(3):
        events.write(json.dumps({"type": "progress", "message": f"{number} {db}", db: [db.upper(), {"a": db}]}) + "\\n")
path = os.environ["PROVISIONING_RESULT"]
with open(path + ".part", "w") as file:
    json.dump({"result": {"db": db, "n": 7}, "resources": [{"kind": "x", "id": values["team/token"]}]}, file)
os.rename(path + ".part", path)
""",
    )

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await dispatch.start(host.spec(operation, input=told()))
            verdict = await listener.end_of(an_id(1))
            assert isinstance(verdict, Exited) and verdict.exit_code == 0 and verdict.result is not None
            assert json.loads(verdict.result) == {
                "result": {"db": "[secret db]", "n": 7},
                "resources": [{"kind": "x", "id": "[secret team/token]"}],
            }
            told_ = [fact for fact in listener.facts if isinstance(fact, AttemptReported)]
            records = [record for fact in told_ for record in fact.records]
            assert [record["message"] for record in records] == [f"{number} [secret db]" for number in range(3)]

    run(body())
    log = host.log(an_id(1)).decode()
    assert log.count("[secret db]") == 5 and log.endswith("last line without an end [secret team/token]")
    assert_clean(host)


def test_an_attempt_without_secrets_asks_nobody_and_writes_its_log_itself(host: Host, vault: Vault) -> None:
    operation = host.operation(
        "plain", 'readlink /proc/self/fd/1; echo "${PROVISIONING_SECRETS-none}"; echo "$PROVISIONING_RESULT"'
    )
    run(
        host.run(
            host.spec(operation, input=told({"text": "not secret://db", "back": "\\\\"}, results={"a": "secret://db"}))
        )
    )
    state = host.file(an_id(1))
    assert host.log(an_id(1)).decode().splitlines() == [f"{state}.log", "none", f"{state}.result"]
    assert not vault.asked.exists()


def test_the_log_is_live(host: Host) -> None:
    go = host.path / "go"
    operation = host.operation("waits", f"echo 'first line c'; while [ ! -e '{go}' ]; do sleep 0.02; done; echo second")

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await dispatch.start(host.spec(operation, input=told()))
            await until(lambda: host.file(an_id(1), ".log").exists() and host.log(an_id(1)) == b"first line c\n")
            go.touch()
            await listener.end_of(an_id(1))
            assert host.log(an_id(1)) == b"first line c\nsecond\n"

    run(body())


KEEPS = """
import json, os, sys, time
from pathlib import Path
own = Path(os.environ["PROVISIONING_PRIVATE"])
assert own.stat().st_mode & 0o777 == 0o700 and not list(own.iterdir())
(own / "deep").mkdir()
(own / "deep" / "pgpass").write_bytes(Path(os.environ["PROVISIONING_SECRETS"]).read_bytes())
print(own, flush=True)
Path(sys.argv[0] + ".half").write_text(f"{os.getpid()}\\n")
while not Path(sys.argv[0] + ".go").exists():
    time.sleep(0.01)
"""


@pytest.mark.parametrize("who", ["nobody", "operation", "shim", "shim and filter", "daemon and shim and filter"])
def test_files_with_secrets_have_a_place_in_memory_that_is_gone_whoever_is_shot(host: Host, who: str) -> None:
    operation = host.operation("keeps.py", KEEPS)
    half, go = (host.library / "test" / f"keeps.py.{word}" for word in ("half", "go"))

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await dispatch.start(host.spec(operation, input=told()))
            await until(number_in(half))
            await until(lambda: host.log(an_id(1)).endswith(b"\n"))
            place = Path(host.log(an_id(1)).decode().strip())
            assert (place / "deep" / "pgpass").exists() and not place.is_relative_to(host.path)
            shim = shim_of(host, an_id(1))
            if "daemon" in who:
                await dispatch.close()
            if "filter" in who:
                os.kill(shim, signal.SIGSTOP)
                os.kill(filters_of(shim)[0], signal.SIGKILL)
            if "shim" in who:
                os.kill(shim, signal.SIGKILL)
            elif who == "operation":
                os.kill(int(half.read_text()), signal.SIGKILL)
            else:
                go.touch()
            if "daemon" not in who:
                await listener.end_of(an_id(1))
        if "daemon" in who:
            async with host.opened() as (dispatch, listener):
                verdict = (await dispatch.reconcile([an_id(1)]))[an_id(1)]
                # What was killed may hold the lock for a moment more: then its end is told when it comes.
                assert isinstance(await listener.end_of(an_id(1)) if isinstance(verdict, Alive) else verdict, Vanished)

    run(body())
    assert_clean(host)


UNAVAILABLE = [
    ("no such", {"answer": {"db": VALUE}}, "secret://team/token: there is no such secret", False),
    ("short", {"answer": {"db": "short", "team/token": "x" * 20}}, "has 5 bytes", False),
    ("blanks", {"answer": {"db": VALUE, "team/token": "a b c d e f"}}, "without blanks and bars", False),
    ("exit code", {"does": "exit 3"}, "exit code 3", True),
    ("no answer", {"does": "echo nothing"}, "no answer that can be read", True),
    ("silent", {"does": "exec sleep 600"}, "gave no answer within 0.3 s", True),
    ("huge", {"does": "exec yes"}, "gave more than", False),
    ("bad name", {"params": {"a": "secret://../x"}}, "is no reference", False),
    ("many", {"params": [f"secret://n{number}" for number in range(300)]}, "at most 256", False),
    ("no command", {"command": ()}, "resolves no secrets", False),
    ("no program", {"command": ("/nonexistent/program",)}, "exit code 127", False),
]


@pytest.mark.parametrize(("_name", "setting", "words", "retryable"), UNAVAILABLE, ids=[row[0] for row in UNAVAILABLE])
def test_a_secret_that_cannot_be_had_fails_the_attempt_and_nothing_runs(
    host: Host, vault: Vault, _name: str, setting: dict[str, Any], words: str, retryable: bool
) -> None:
    ran = host.path / "ran"
    operation = host.operation("runs", f"touch '{ran}'")
    if "answer" in setting:
        vault.answers(setting["answer"])
    if "does" in setting:
        vault.does(setting["does"])
    settings: dict[str, Any] = {"secrets_command": setting["command"]} if "command" in setting else {}
    if _name == "silent":
        settings["secrets_timeout_s"] = 0.3
    verdict = run(host.run(host.spec(operation, input=told(setting.get("params", PARAMS))), **settings))
    assert isinstance(verdict, Exited) and verdict.exit_code == 1 and verdict.result is not None
    error = json.loads(verdict.result)["error"]
    assert error["code"] == "secret_unavailable" and words in error["message"] and error["retryable"] is retryable
    assert words in host.log(an_id(1)).decode() and not ran.exists()
    assert_clean(host)


def test_the_failures_of_a_resolver_are_told_in_its_words(host: Host, vault: Vault) -> None:
    vault.answers({"team/token": "x" * 20}, db={"message": "the keyring is locked", "retryable": True})
    verdict = run(host.run(host.spec(host.operation("runs", "exit 0"), input=told())))
    error = json.loads(verdict.result)["error"]
    assert error == {"code": "secret_unavailable", "message": "secret://db: the keyring is locked", "retryable": True}


@pytest.mark.parametrize("resolving", [True, False])
def test_a_cancel_comes_through_while_secrets_are_asked_for_and_later(
    host: Host, vault: Vault, resolving: bool
) -> None:
    pid = host.path / "pid"
    if resolving:
        vault.does(f"echo $$ > '{pid}'; exec sleep 600")
        operation = host.operation("runs", "exit 0")
    else:
        operation = host.operation("runs", f"echo $$ > '{pid}'; exec sleep 600")

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await dispatch.start(host.spec(operation, input=told()))
            await until(number_in(pid))
            await dispatch.cancel(an_id(1), 1.0)
            verdict = await listener.end_of(an_id(1))
            assert isinstance(verdict, Exited) and verdict.cancelled and verdict.signal == signal.SIGTERM

    run(body())
    assert not alive(int(pid.read_text()))
    assert_clean(host)


def test_a_resolver_dies_with_its_shim_and_the_attempt_never_started(host: Host, vault: Vault) -> None:
    pid, parent = host.path / "pid", host.path / "parent"
    vault.does(f"echo $PPID > '{parent}'; echo $$ > '{pid}'; exec sleep 600")
    ran = host.path / "ran"
    operation = host.operation("runs", f"touch '{ran}'")

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await dispatch.start(host.spec(operation, input=told()))
            await until(number_in(pid))
            os.kill(int(parent.read_text()), signal.SIGKILL)
            assert isinstance(await listener.end_of(an_id(1)), NeverStarted)
            await until(lambda: not alive(int(pid.read_text())))

    run(body())
    assert not ran.exists()
    assert_clean(host)


def test_a_shot_filter_is_replaced_and_no_line_is_lost(host: Host) -> None:
    operation = host.operation("writes.py", WRITES)
    half, go = (host.library / "test" / f"writes.py.{word}" for word in ("half", "go"))

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await dispatch.start(host.spec(operation, input=told()))
            await until(number_in(half))
            for _ in range(2):
                shim = shim_of(host, an_id(1))
                (shot,) = filters_of(shim)
                os.kill(shot, signal.SIGKILL)
                await until(replaced(shim, shot))
            go.touch()
            verdict = await listener.end_of(an_id(1))
            assert isinstance(verdict, Exited) and verdict.exit_code == 0
            assert json.loads(verdict.result or b"") == {"result": "[secret db]"}

    run(body())
    lines = host.log(an_id(1)).decode().splitlines()
    assert list(dict.fromkeys(lines)) == ALL_LINES
    assert events_in(host) == [f"{number} [secret db]" for number in range(LINES)]
    assert_clean(host)


@pytest.mark.parametrize("who", ["shim", "helper", "daemon", "daemon and helper"])
def test_whoever_is_shot_no_line_is_lost_and_no_secret_is_kept(host: Host, who: str) -> None:
    operation = host.operation("writes.py", WRITES)
    half, go = (host.library / "test" / f"writes.py.{word}" for word in ("half", "go"))

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await dispatch.start(host.spec(operation, input=told()))
            await until(number_in(half))
            helper = dispatch.helper_pid()
            assert helper is not None
            if "helper" in who:
                os.kill(helper, signal.SIGKILL)
            if who == "shim":
                os.kill(shim_of(host, an_id(1)), signal.SIGKILL)
                assert isinstance(await listener.end_of(an_id(1)), Vanished)
                return
            if who == "helper":
                go.touch()
                assert (await listener.end_of(an_id(1))).exit_code == 0
                return
        go.touch()
        async with host.opened() as (dispatch, listener):
            verdict = (await dispatch.reconcile([an_id(1)]))[an_id(1)]
            if not isinstance(verdict, Exited):
                verdict = await listener.end_of(an_id(1))
            assert isinstance(verdict, Exited) and verdict.exit_code == 0

    run(body())
    written = LINES // 2 + 1 if who == "shim" else LINES
    assert host.log(an_id(1)).decode().splitlines() == ALL_LINES[:written]
    assert events_in(host) == [f"{number} [secret db]" for number in range(written)]
    assert not alive(int(half.read_text()))
    assert_clean(host)


def test_half_a_secret_outlives_the_filter_that_was_shot_while_it_held_it_back(host: Host) -> None:
    half, go = host.path / "half", host.path / "go"
    operation = host.operation(
        "halves.py",
        f"""
import json, os, time
from pathlib import Path
db = json.load(open(os.environ["PROVISIONING_SECRETS"]))["db"]
os.write(1, ("before " + db[:12]).encode())
Path({str(half)!r}).write_text("1\\n")
while not Path({str(go)!r}).exists():
    time.sleep(0.01)
os.write(1, (db[12:] + " after\\n").encode())
""",
    )

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await dispatch.start(host.spec(operation, input=told()))
            await until(number_in(half))
            await until(lambda: host.log(an_id(1)) == b"before ")
            shim = shim_of(host, an_id(1))
            (shot,) = filters_of(shim)
            os.kill(shot, signal.SIGKILL)
            await until(replaced(shim, shot))
            go.touch()
            await listener.end_of(an_id(1))

    run(body())
    assert host.log(an_id(1)) == b"before [secret db] after\n"
    assert_clean(host)


def test_half_a_secret_of_a_killed_operation_is_not_kept(host: Host) -> None:
    operation = host.operation("dies", 'printf "before %s" "$(cut -c9-20 "$PROVISIONING_SECRETS")"; kill -9 $$')
    verdict = run(host.run(host.spec(operation, input=told())))
    assert isinstance(verdict, Exited) and verdict.signal == signal.SIGKILL
    assert host.log(an_id(1)) == b"before [secret db]"


def test_where_shim_and_filter_are_shot_nothing_unredacted_is_left(host: Host) -> None:
    operation = host.operation("writes.py", WRITES)
    half = host.library / "test" / "writes.py.half"

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await dispatch.start(host.spec(operation, input=told()))
            await until(number_in(half))
            shim = shim_of(host, an_id(1))
            os.kill(shim, signal.SIGSTOP)
            (shot,) = filters_of(shim)
            os.kill(shot, signal.SIGKILL)
            os.kill(shim, signal.SIGKILL)
            assert isinstance(await listener.end_of(an_id(1)), Vanished)

    run(body())
    assert_clean(host)


def test_what_is_handed_over_goes_on_writing_and_is_filtered(host: Host) -> None:
    operation = host.operation(
        "leaves.py",
        """
import json, os, subprocess, sys
db = json.load(open(os.environ["PROVISIONING_SECRETS"]))["db"]
code = (
    "import sys, time, pathlib\\nwhile not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.02)\\n"
    "print('late', sys.stdin.read())"
)
command = [sys.executable, "-c", code, sys.argv[0] + ".go"]
child = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
child.stdin.write(db.encode()); child.stdin.close()
start = open(f"/proc/{child.pid}/stat").read().rpartition(")")[2].split()[19]
open(os.environ["PROVISIONING_LEAVE"], "a").write(f"{child.pid} {start}\\n")
print("early", flush=True)
""",
    )

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            await dispatch.start(host.spec(operation, input=told()))
            verdict = await listener.end_of(an_id(1))
            assert isinstance(verdict, Exited) and verdict.exit_code == 0
            assert host.log(an_id(1)) == b"early\n"
            (host.library / "test" / "leaves.py.go").touch()
            await until(lambda: host.log(an_id(1)) == b"early\nlate [secret db]\n")

    run(body())
    assert_clean(host)


def test_much_output_passes_and_a_large_result_stays_too_large(host: Host) -> None:
    operation = host.operation(
        "much.py",
        """
import json, os, sys
db = json.load(open(os.environ["PROVISIONING_SECRETS"]))["db"]
line = ("x" * 90 + db + "\\n").encode()
for _ in range(200):
    sys.stdout.buffer.write(line * 200)
sys.stdout.flush()
open(os.environ["PROVISIONING_RESULT"], "w").write(json.dumps({"result": db * 300_000}))
""",
    )
    verdict = run(host.run(host.spec(operation, input=told())))
    assert verdict.exit_code == 0 and verdict.result is None and verdict.result_oversized
    log = host.log(an_id(1))
    assert log == (b"x" * 90 + b"[secret db]\n") * 40_000
    assert_clean(host)
