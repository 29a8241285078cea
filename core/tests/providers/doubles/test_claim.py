"""The write-ahead intent: who holds it, what a kill leaves of it, and that nothing stays."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from provisioning_core.errors import ProviderError
from provisioning_core.providers.claim import claim, claimed_id

KEY = "ws/wuji/server/web-1"
PROGRAM = """
import sys
from pathlib import Path
from provisioning_core.providers.claim import claim
with claim(Path(sys.argv[1]), sys.argv[2]) as held:
    for word in sys.argv[3:]:
        held.answered("id-1") if word == "answered" else getattr(held, word)()
    print("ready", flush=True)
    sys.stdin.read()
"""


def killed_after(workspace: Path, *words: str) -> None:
    """Another process claims the key, does that, and is killed with the claim in its hands."""
    argv = [sys.executable, "-c", PROGRAM, str(workspace), KEY, *words]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            with pytest.raises(ProviderError, match="another process"), claim(workspace, KEY, wait_s=0):
                pass
        finally:
            process.send_signal(signal.SIGKILL)


def files(workspace: Path) -> list[Path]:
    return list((workspace / ".provisioning" / "claims").iterdir())


def test_a_kill_before_sending_leaves_no_mark(tmp_path: Path) -> None:
    killed_after(tmp_path)
    with claim(tmp_path, KEY) as held:
        assert held.sent_at is None
        assert held.remaining_s(60) == 0
    assert files(tmp_path) == []


def test_a_kill_after_the_mark_leaves_it_with_its_time(tmp_path: Path) -> None:
    before = time.time()
    killed_after(tmp_path, "sending")
    with claim(tmp_path, KEY) as held:
        assert held.sent_at is not None
        assert before <= held.sent_at <= time.time()
        assert 0 < held.remaining_s(60) <= 60
        assert held.remaining_s(0) == 0
        assert held.id is None
    with claim(tmp_path, KEY) as held:
        assert held.sent_at is not None, "only settled() takes the mark away"


def test_a_kill_after_the_answer_leaves_the_id(tmp_path: Path) -> None:
    killed_after(tmp_path, "sending", "answered")
    assert claimed_id(tmp_path, KEY) == "id-1"
    with claim(tmp_path, KEY) as held:
        assert held.id == "id-1"
        assert held.sent_at is not None


def test_what_is_settled_leaves_nothing(tmp_path: Path) -> None:
    killed_after(tmp_path, "sending", "answered", "settled")
    assert claimed_id(tmp_path, KEY) is None
    with claim(tmp_path, KEY) as held:
        assert held.sent_at is None
    assert files(tmp_path) == []


def test_a_torn_mark_is_a_mark(tmp_path: Path) -> None:
    with claim(tmp_path, KEY) as held:
        held.sending()
        (file,) = files(tmp_path)
    file.write_bytes(file.read_bytes()[:9])
    with claim(tmp_path, KEY) as held:
        assert held.sent_at == file.stat().st_mtime


def test_a_mark_from_the_future_is_waited_for_one_window_at_most(tmp_path: Path) -> None:
    with claim(tmp_path, KEY) as held:
        held.sending()
        (file,) = files(tmp_path)
        file.write_text('{"sent_at": 99999999999}')
        assert held.remaining_s(30) == 30


def test_keys_do_not_hinder_each_other_and_any_key_is_one(tmp_path: Path) -> None:
    with claim(tmp_path, "a"), claim(tmp_path, "b"), claim(tmp_path, "../\ud800\0" + "x" * 9999):
        assert len(files(tmp_path)) == 3
    assert files(tmp_path) == []


def test_many_claimants_of_one_key_take_turns(tmp_path: Path) -> None:
    """The file loses its name with each holder; none of those who wait may take the nameless one for the lock."""
    inside, most, turns = 0, 0, []

    def take() -> None:
        nonlocal inside, most
        for _ in range(5):
            with claim(tmp_path, KEY):
                inside += 1
                most = max(most, inside)
                turns.append(1)
                inside -= 1

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, len(turns)) == (1, 40)
    assert files(tmp_path) == []
