"""The daemon as a process: start, serve, be killed, start again, stop."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from .running import Running, until

pytestmark = pytest.mark.slow


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path)
    running.operation("demo/hello", 'echo hello; echo \'{"result": {"a": 1}}\' > "$PROVISIONING_RESULT"')
    running.operation(
        "demo/gate",
        f"echo begun; echo x >> {tmp_path}/begun; while [ ! -e {tmp_path}/go ]; do sleep 0.02; done; echo done",
    )
    yield running
    (tmp_path / "go").touch()
    if running.process is not None and running.process.poll() is None:
        running.stop()


def test_a_shell_script_is_run_and_its_output_kept(daemon: Running) -> None:
    daemon.start()
    id = daemon.run("demo/hello")
    found = daemon.ended(id)
    assert (found["name"], found["status"], found["tasks"]) == ("demo/hello wuji", "succeeded", {"succeeded": 1})
    task = daemon.ask("GET", f"/workflows/{id}/tasks/root")[1]
    assert (task["result"], task["attempts"][0]["exit_code"]) == ({"a": 1}, 0)
    assert daemon.open(f"/workflows/{id}/tasks/root/log").read() == b"hello\n"
    assert daemon.stop()[0] == 0


def test_it_is_there_on_both_loopback_addresses_and_nowhere_else(daemon: Running) -> None:
    daemon.start()
    assert daemon.process is not None
    assert daemon.ask("GET", "/health")[1]["pid"] == daemon.process.pid
    for host in ("localhost", "::1"):
        try:
            socket.create_connection((host, daemon.port), timeout=5).close()
        except OSError:
            pytest.skip(f"no {host} on this machine")
        assert daemon.ask("GET", "/workflows", host=host)[0] == 200
    rows = [
        row.split() for table in ("/proc/net/tcp", "/proc/net/tcp6") for row in Path(table).read_text().splitlines()[1:]
    ]
    listening = {row[1] for row in rows if row[3] == "0A" and row[1].endswith(f":{daemon.port:04X}")}
    loopback = {"0100007F", "00000000000000000000000001000000"}
    assert {address.partition(":")[0] for address in listening} == loopback


def test_everything_it_keeps_is_its_owners_alone(daemon: Running) -> None:
    daemon.data_dir.mkdir(mode=0o755)
    daemon.start()
    daemon.ended(daemon.run("demo/hello"))
    for path in [daemon.data_dir, *daemon.data_dir.rglob("*")]:
        if not path.is_socket():
            assert stat.S_IMODE(path.lstat().st_mode) & 0o077 == 0, path


def test_killed_and_started_again_it_goes_on_with_the_very_processes(daemon: Running, tmp_path: Path) -> None:
    daemon.start()
    id = daemon.run("demo/gate", Idempotency_Key="k")
    until((tmp_path / "begun").exists)
    assert daemon.process is not None
    daemon.process.kill()
    daemon.process.wait()
    daemon.start()
    assert daemon.run("demo/gate", Idempotency_Key="k") == id
    assert daemon.ask("GET", f"/workflows/{id}")[1]["status"] == "running"
    (tmp_path / "go").touch()
    assert daemon.ended(id)["status"] == "succeeded"
    assert (tmp_path / "begun").read_text() == "x\n"
    assert daemon.open(f"/workflows/{id}/tasks/root/log").read() == b"begun\ndone\n"


def test_an_attempt_that_ended_while_no_daemon_ran_has_its_true_end(daemon: Running, tmp_path: Path) -> None:
    daemon.operation("demo/last", f"touch {tmp_path}/begun; while [ ! -e {tmp_path}/go ]; do sleep 0.02; done; exit 3")
    daemon.start()
    id = daemon.run("demo/last")
    until((tmp_path / "begun").exists)
    assert daemon.process is not None
    daemon.process.kill()
    daemon.process.wait()
    let_go = time.time()
    (tmp_path / "go").touch()
    state = daemon.data_dir / "attempts" / id / "1.1"
    until(lambda: b"kind=exited" in state.read_bytes())
    over = time.time()
    until(lambda: time.time() > over + 0.2)
    daemon.start()
    daemon.ended(id)
    (attempt,) = daemon.ask("GET", f"/workflows/{id}/tasks/root")[1]["attempts"]
    assert (attempt["status"], attempt["exit_code"]) == ("failed", 3)
    assert let_go <= datetime.fromisoformat(attempt["ended_at"]).timestamp() <= over + 0.1


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_in_order_with_streams_open_and_tasks_live_on(
    daemon: Running, tmp_path: Path, how: signal.Signals
) -> None:
    daemon.start()
    id = daemon.run("demo/gate")
    until((tmp_path / "begun").exists)
    events = daemon.open(f"/workflows/{id}/events", "text/event-stream")
    log = daemon.open(f"/workflows/{id}/tasks/root/log?follow=1")
    assert log.read(6) == b"begun\n"
    code, took_s = daemon.stop(how)
    assert (code, took_s < 5) == (0, True), took_s
    assert events.read().endswith(b"event: bye\ndata: {}\n\n")
    (tmp_path / "go").touch()
    daemon.start()
    assert daemon.ended(id)["status"] == "succeeded"
    assert (tmp_path / "begun").read_text() == "x\n"
    assert "checked" not in daemon.errors


def test_a_second_interrupt_ends_it_at_once(daemon: Running) -> None:
    daemon.environment["PROVISIONING_ORCHESTRATOR_STOP_S"] = "60"
    daemon.start()
    assert daemon.process is not None
    token = (daemon.data_dir / "token").read_text().strip()
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=20) as slow:
        head = f"POST /workflows HTTP/1.1\r\nHost: localhost:{daemon.port}\r\nAuthorization: Bearer {token}\r\n"
        slow.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 99\r\n\r\n{{".encode())
        until(lambda: daemon.ask("GET", "/health")[0] == 200)
        daemon.process.send_signal(signal.SIGINT)

        def is_stopping() -> bool:
            try:
                return bool(daemon.ask("GET", "/health")[1]["status"] == "stopping")
            except OSError:
                return True

        until(is_stopping)
        code, took_s = daemon.stop(signal.SIGINT)
    assert (code, took_s < 2) == (130, True)


def test_more_clients_than_files_harm_nobody(daemon: Running) -> None:
    daemon.prefix = ("sh", "-c", 'ulimit -n 600; exec "$@"', "sh")
    daemon.start()
    clients = [socket.create_connection(("127.0.0.1", daemon.port), timeout=20) for _ in range(900)]
    try:
        refused = clients[-1].recv(4096)
        assert b"HTTP/1.1 503" in refused
        assert b"too_busy" in refused
    finally:
        for client in clients[:100]:
            client.close()
    id = until(lambda: _run_or_nothing(daemon))
    assert daemon.ended(id)["status"] == "succeeded"
    for client in clients:
        client.close()
    assert "Too many open files" not in daemon.errors
    assert len(daemon.errors.splitlines()) < 10


def _run_or_nothing(daemon: Running) -> str:
    status, answer = daemon.ask("POST", "/workflows/demo/hello", {"infra": "wuji"})
    return str(answer["workflow_id"]) if status == 202 else ""


def test_a_hang_up_changes_nothing_and_is_not_ignored_by_operations(daemon: Running) -> None:
    daemon.operation("demo/signals", "grep SigIgn /proc/self/status")
    daemon.start()
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGHUP)
    id = daemon.run("demo/signals")
    assert daemon.ended(id)["status"] == "succeeded"
    ignored = int(daemon.open(f"/workflows/{id}/tasks/root/log").read().split()[1], 16)
    assert not ignored >> (signal.SIGHUP - 1) & 1


def test_a_second_daemon_on_the_same_data_is_refused(daemon: Running) -> None:
    daemon.start()
    assert daemon.process is not None
    other = Running(daemon.directory)
    second = other.spawn()
    assert second.wait(20) == 75
    assert f"process {daemon.process.pid} owns it" in daemon.errors
    assert daemon.ask("GET", "/health")[1]["status"] == "ok"


def test_a_taken_port_is_refused_with_its_holder(daemon: Running) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        daemon.port = taken.getsockname()[1]
        assert daemon.spawn().wait(20) == 69
    assert f"in use by pid {os.getpid()}" in daemon.errors
    daemon.port = 0
    daemon.start()


@pytest.mark.parametrize("way", ["log", "file", "terminal"])
def test_what_ends_it_is_said_once_wherever_one_looks(daemon: Running, tmp_path: Path, way: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        daemon.port = taken.getsockname()[1]
        says = f"in use by pid {os.getpid()}"
        if way == "log":
            assert daemon.spawn().wait(20) == 69
            (line,) = [line for line in daemon.errors.splitlines() if says in line]
            assert json.loads(line)["level"] == "critical"
            return
        if way == "file":
            log = tmp_path / "log"
            assert daemon.spawn("--log-file", str(log)).wait(20) == 69
            assert daemon.errors.startswith("provisioning-orchestrator: ") and daemon.errors.count(says) == 1
            assert log.read_text().count(says) == 1
            return
        ours, theirs = os.openpty()
        command = [sys.executable, "-m", "provisioning_orchestrator", "serve", "--port", str(daemon.port)]
        ended = subprocess.run([*command, "--data-dir", str(daemon.data_dir)], stderr=theirs, timeout=20, check=False)
        os.close(theirs)
        shown = os.read(ours, 65536).decode()
        os.close(ours)
        assert ended.returncode == 69
        assert shown.startswith("provisioning-orchestrator: ") and shown.count(says) == 1 and '"level"' not in shown


def test_a_damaged_database_is_shown_read_only_and_nothing_is_scheduled(daemon: Running) -> None:
    daemon.start()
    id = daemon.run("demo/hello")
    daemon.ended(id)
    for _ in range(200):
        daemon.run("demo/hello")
    assert daemon.process is not None
    daemon.process.kill()
    daemon.process.wait()
    database = daemon.data_dir / "orchestrator.db"
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.execute("UPDATE meta SET value = 0 WHERE name = 'clean'")
    connection.commit()
    page = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'results'").fetchone()[0]
    size = connection.execute("PRAGMA page_size").fetchone()[0]
    connection.close()
    with database.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\x99" * size)
    daemon.start()
    health = daemon.ask("GET", "/health")[1]
    assert health["status"] == "degraded"
    assert "read-only" in health["detail"]
    assert daemon.ask("GET", "/workflows")[0] == 200
    assert daemon.ask("POST", "/workflows/demo/hello", {"infra": "wuji"})[1]["code"] == "store_failed"


def test_without_a_token_it_warns_loudly(daemon: Running) -> None:
    daemon.start("--auth", "none")
    assert not (daemon.data_dir / "token").exists()
    (line,) = [line for line in daemon.errors.splitlines() if "no token is asked for" in line]
    assert json.loads(line)["level"] == "warning"
    assert daemon.ask("GET", "/workflows")[0] == 200


def test_wrong_settings_are_named(tmp_path: Path) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "provisioning_orchestrator", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=tmp_path)
        return done.returncode, done.stdout + done.stderr

    assert run("--version") == (0, "provisioning-orchestrator 0.1.0\n")
    assert run("token", "--data-dir", "here") == (0, f"{tmp_path}/here/token\n")
    code, text = run("serve", "--library", "nowhere", "--data-dir", str(tmp_path))
    assert code == 2
    assert "nowhere' is no directory" in text
    assert run("serve", "--prot", "1")[0] == 2
    code, text = run("serve", "--help")
    assert code == 0
    assert all(
        option in text for option in ("--port", "--data-dir", "--library", "--slots", "--workspace", "--python", "--nu")
    )
