"""The token is made once, for its owner's eyes, and a doubtful file is refused."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from provisioning_orchestrator.api.token import BadTokenFile, hash_of, open_token


def test_it_is_made_at_the_first_start_and_kept(tmp_path: Path) -> None:
    first = open_token(tmp_path)
    secret = (tmp_path / "token").read_bytes().strip()
    assert secret.startswith(b"prv_")
    assert len(secret) >= 4 + 43
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600
    assert first.hash == hash_of(secret) == open_token(tmp_path).hash
    assert [path.name for path in tmp_path.iterdir()] == ["token"]


def test_it_is_made_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        open_token(tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600


def test_only_the_whole_token_fits(tmp_path: Path) -> None:
    token = open_token(tmp_path)
    secret = (tmp_path / "token").read_bytes().strip()
    assert token.fits(secret)
    for wrong in (b"", secret[:-1], secret + b"x", secret.upper(), token.hash.encode()):
        assert not token.fits(wrong)


def test_without_its_file_a_new_one_is_made(tmp_path: Path) -> None:
    old = open_token(tmp_path)
    (tmp_path / "token").unlink()
    assert open_token(tmp_path).hash != old.hash


def test_a_file_that_others_could_read_or_have_put_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "token"
    open_token(tmp_path)
    path.chmod(0o640)
    with pytest.raises(BadTokenFile, match="can be read by others"):
        open_token(tmp_path)
    path.rename(tmp_path / "other")
    path.symlink_to(tmp_path / "other")
    with pytest.raises(BadTokenFile, match="can't be opened"):
        open_token(tmp_path)
    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(BadTokenFile, match="not a plain file"):
        open_token(tmp_path)
    path.unlink()
    path.write_text("hello")
    path.chmod(0o600)
    with pytest.raises(BadTokenFile, match="holds no token"):
        open_token(tmp_path)


def test_what_a_dying_daemon_left_half_made_is_no_token(tmp_path: Path) -> None:
    (tmp_path / f".token.{os.getpid()}").write_text("prv_half")
    open_token(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["token"]
