"""What an operation finds when it starts, and how its end is told."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import provisioning_orchestrator
from provisioning_orchestrator.ports import Exited
from provisioning_orchestrator.runner.files import RESULT_FILE_BYTES_MAX
from provisioning_orchestrator.testing.dispatch_suite import an_id

from .host import Host, run

# Signals 32 and 33, which the C library keeps to itself and ignores between its own fork and exec.
GLIBC_OWN = 3 << 31


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.mark.parametrize("code", [0, 1, 126, 127, 137, 255])
def test_exit_codes_are_kept_as_they_are(host: Host, code: int) -> None:
    verdict = run(host.run(host.spec(host.operation("ends", f"exit {code}"))))
    assert (verdict.exit_code, verdict.signal, verdict.refused) == (code, None, None)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGPIPE])
def test_death_by_signal_is_told_from_an_exit_code(host: Host, number: int) -> None:
    verdict = run(host.run(host.spec(host.operation("ends", f"kill -{int(number)} $$"))))
    assert (verdict.exit_code, verdict.signal) == (None, number)
    assert not verdict.cancelled and not verdict.timed_out


def test_the_input_is_one_line_and_then_the_end(host: Host) -> None:
    line = json.dumps({"params": {"name": "wü'ji\n$(x)", "big": "x" * 200_000}}).encode()
    operation = host.operation("copies", 'cat > "$PROVISIONING_RESULT"; readlink /proc/self/fd/0')
    verdict = run(host.run(host.spec(operation, input=line)))
    assert verdict.result == line + b"\n"
    assert str(host.data).encode() not in host.log(an_id(1))


def test_the_environment_is_the_allow_list_and_no_more(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SECRET", "PYTHONPATH", "LD_PRELOAD_", "BASH_ENV", "HTTPS_PROXY", "GIT_DIR"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("LC_TIME", "C")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nowhere")
    run(host.run(host.spec(host.operation("says", "#!/usr/bin/env -S sh\ncat /proc/$$/environ"))))
    found = {entry.split(b"=")[0].decode() for entry in host.log(an_id(1)).split(b"\0") if entry}
    ours = {"PROVISIONING_RESULT", "PROVISIONING_EVENTS", "PROVISIONING_LEAVE", "PROVISIONING_WORKSPACE"}
    assert ours | {"PROVISIONING_ATTEMPT", "PATH", "LC_TIME", "XDG_CONFIG_HOME"} <= found
    assert not found & {
        "SECRET",
        "PYTHONPATH",
        "LD_PRELOAD_",
        "BASH_ENV",
        "HTTPS_PROXY",
        "GIT_DIR",
        "PROVISIONING_CRASH",
    }


def test_a_python_operation_is_isolated_and_its_lines_are_in_the_log_at_once(host: Host) -> None:
    (host.library / "test" / "json.py").write_text("raise SystemExit('the library shadows the standard library')")
    operation = host.operation("isolated.py", "import json, os, sys\nprint('é', sys.flags.isolated)\nos._exit(3)\n")
    verdict = run(host.run(host.spec(operation)))
    assert verdict.exit_code == 3 and host.log(an_id(1)) == "é 1\n".encode()


def test_limits_and_signals_are_the_usual_ones_whatever_the_daemon_has(host: Host) -> None:
    code = """
import os, resource, signal
ignored = [s for s in signal.valid_signals() if signal.getsignal(s) is signal.SIG_IGN]
print(sorted(set(ignored) - {signal.SIGPIPE, signal.SIGXFSZ}), sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())))
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0] <= 1024, resource.getrlimit(resource.RLIMIT_CORE)[0])
print(oct(os.umask(0)), os.getpgid(0) == os.getpid(), os.getsid(0) != os.getpid())
fds = sorted(int(n) for n in os.listdir("/proc/self/fd"))[:4]
print(fds[:3], os.path.basename(os.readlink("/proc/self/fd/1")), os.listdir("."))
"""
    operation = host.operation("limits.py", code)
    driver = f"""
import asyncio, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN); signal.signal(signal.SIGHUP, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGUSR1, signal.SIGTERM}})
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
import host
h = host.Host(Path({str(host.path)!r}))
print(host.run(h.run(h.spec({operation!r}))).exit_code)
"""
    ended = subprocess.run([sys.executable, "-c", driver], capture_output=True, text=True, check=True)
    assert ended.stdout == "0\n"
    assert host.log(an_id(1)).decode().splitlines() == [
        "[] []",
        "True 0",
        "0o77 True True",
        "[0, 1, 2] 1.1.log []",
    ]


def test_no_descriptor_of_another_attempt_is_held(host: Host) -> None:
    operation = host.operation("looks", "ls -l /proc/$$/fd /proc/$PPID/fd; cat > /dev/null")

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            for number in range(1, 30):
                await dispatch.start(host.spec(operation, number))
            for number in range(1, 30):
                await listener.end_of(an_id(number))

    run(body())
    for number in range(1, 30):
        seen = host.log(an_id(number)).decode()
        assert f"{number}.1" in seen
        others = [f"/{other}.1" for other in range(1, 30) if other != number]
        assert not [line for line in seen.splitlines() if line.endswith(tuple(others))], seen


def test_an_inherited_ignored_sigchld_does_not_turn_a_failure_into_a_success(host: Host) -> None:
    verdict = run(host.run(host.spec(host.operation("fails", "exit 7"))))
    assert verdict.exit_code == 7


def test_a_closed_standard_output_changes_nothing(host: Host) -> None:
    verdict = run(host.run(host.spec(host.operation("closes", "echo before; exec >&- 2>&-; sleep 0.2; exit 5"))))
    assert verdict.exit_code == 5 and host.log(an_id(1)) == b"before\n"


def test_what_is_left_in_the_working_directory_is_kept_and_the_next_one_finds_it_empty(host: Host) -> None:
    leaves = host.operation("leaves", 'test -z "$(ls -A)" && echo data > left.txt; pwd')

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            for number in (1, 2, 3):
                await dispatch.start(host.spec(leaves, number))
                assert (await listener.end_of(an_id(number))).exit_code == 0

    run(body())
    for number in (1, 2, 3):
        assert (host.file(an_id(number), ".files") / "left.txt").read_text() == "data\n"


def test_an_empty_working_directory_serves_the_next_attempt_but_never_two_at_once(host: Host) -> None:
    operation = host.operation("says", 'pwd; read line; test -z "$SLOW" || sleep 1')

    async def body() -> None:
        for _ in range(2):  # Also the next daemon finds the directories of this one.
            async with host.opened() as (dispatch, listener):
                start = len(list((host.data / "attempts").glob("*/*.log")))
                for number in range(start + 1, start + 21):
                    await dispatch.start(host.spec(operation, number))
                    if number % 5 == 0:
                        for recent in range(number - 4, number + 1):
                            await listener.end_of(an_id(recent))

    run(body())
    assert len(list((host.data / "work").iterdir())) <= 5
    assert not list((host.data / "attempts").glob("*/*.files"))


def test_the_result_file_is_read_up_to_its_limit_and_the_raw_one_kept(host: Host) -> None:
    size = RESULT_FILE_BYTES_MAX
    fits = host.operation("fits", f'head -c {size} /dev/zero > "$PROVISIONING_RESULT"')
    large = host.operation("large", f'head -c {size + 1} /dev/zero > "$PROVISIONING_RESULT"')

    async def body() -> tuple[Exited, Exited]:
        async with host.opened() as (dispatch, listener):
            await dispatch.start(host.spec(fits, 1))
            await dispatch.start(host.spec(large, 2))
            return await listener.end_of(an_id(1)), await listener.end_of(an_id(2))

    one, two = run(body())
    assert one.result == bytes(size) and not one.result_oversized
    assert two.result is None and two.result_oversized
    assert host.file(an_id(2), ".result").stat().st_size == size + 1


@pytest.mark.parametrize("how", ["mkfifo", "ln -s /dev/zero", "mkdir"])
def test_a_result_that_is_no_file_is_unreadable_and_nothing_hangs(host: Host, how: str) -> None:
    verdict = run(host.run(host.spec(host.operation("odd", f'{how} "$PROVISIONING_RESULT"'))))
    assert verdict.exit_code == 0 and verdict.result == b""


def test_memory_shortage_would_end_the_operation_before_its_shim(host: Host) -> None:
    # The shim raises its own score for the operation to inherit, and takes it back at once: that is waited for.
    waits = "while [ $(cat /proc/self/oom_score_adj) = $(cat /proc/$PPID/oom_score_adj) ]; do :; done; "
    operation = host.operation("says", waits + "cat /proc/self/oom_score_adj /proc/$PPID/oom_score_adj")
    run(host.run(host.spec(operation)))
    ours, shims = map(int, host.log(an_id(1)).split())
    assert ours == min(1000, shims + 500)
    assert shims == int(Path("/proc/self/oom_score_adj").read_text())


@pytest.mark.skipif(os.getuid() != 0, reason="becoming another user needs root")
def test_it_all_works_without_privileges(host: Host) -> None:
    python = next((path for path in (sys.executable, "/usr/bin/python3") if for_everyone(path)), None)
    if python is None:
        pytest.skip("no Python 3.11 here that another user may run")
    waits = "while [ $(cat /proc/self/oom_score_adj) = $(cat /proc/$PPID/oom_score_adj) ]; do :; done; "
    operation = host.operation("says", waits + "id -u; cat /proc/self/oom_score_adj /proc/$PPID/oom_score_adj")
    package = Path(provisioning_orchestrator.__file__).parent
    shutil.copytree(package, host.path / "site" / package.name)
    shutil.copy(Path(__file__).parent / "host.py", host.path / "site")
    driver = f"""
import os, sys
os.setgid(65534); os.setuid(65534)
sys.path.insert(0, {str(host.path / "site")!r})
from pathlib import Path
import host
h = host.Host(Path({str(host.path)!r}))
print(host.run(h.run(h.spec({operation!r}))).exit_code)
"""
    subprocess.run(["chown", "-R", "65534:65534", host.path], check=True)
    for parent in host.path.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o111)
    ended = subprocess.run([python, "-c", driver], capture_output=True, text=True, check=False)
    assert ended.stdout == "0\n", ended.stderr
    uid, ours, shims = map(int, host.log(an_id(1)).split())
    assert uid == 65534 and ours == min(1000, shims + 500)


def for_everyone(python: str) -> bool:
    check = "import os, sys; os.setuid(65534); import tomllib, ctypes; sys.exit(sys.version_info < (3, 11))"
    try:
        return subprocess.run([python, "-c", check], capture_output=True, check=False, cwd="/").returncode == 0
    except OSError:
        return False


def test_no_signal_is_ignored_or_blocked_at_the_start(host: Host) -> None:
    operation = host.operation("says", "exec grep -E 'SigBlk|SigIgn' /proc/self/status")

    async def body() -> None:
        async with host.opened() as (dispatch, listener):
            for number in (1, 2):  # Also in an attempt that is not its shim's first.
                await dispatch.start(host.spec(operation, number))
                await listener.end_of(an_id(number))

    run(body())
    for number in (1, 2):
        masks = [int(line.split()[1], 16) for line in host.log(an_id(number)).splitlines()]
        assert [mask & ~GLIBC_OWN for mask in masks] == [0, 0]
