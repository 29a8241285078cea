"""`provisioning secret` and `provider login`: values come by standard input, and go to standard output when asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

VALUE = "hunter2 'hunter2' \\ é"


class Shell:
    def __init__(self, path: Path) -> None:
        self.path = path
        keep = {name: value for name, value in os.environ.items() if not name.startswith(("PROVISIONING_", "HCLOUD_"))}
        self.environ = keep | {"XDG_CONFIG_HOME": str(path), "HOME": str(path), "PYTHON_KEYRING_BACKEND": NO_KEYRING}

    def __call__(self, *arguments: str, given: str | bytes = "", **environ: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "provisioning_core", *arguments],
            input=given.encode() if isinstance(given, str) else given,
            capture_output=True,
            env=self.environ | environ,
            cwd=self.path,
            check=False,
        )
        assert b"Traceback" not in done.stderr
        return subprocess.CompletedProcess(
            arguments, done.returncode, done.stdout.decode(), done.stderr.decode("utf-8", "replace")
        )


NO_KEYRING = "keyring.backends.null.Keyring"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.mark.parametrize("backend", ["file", "age"])
def test_set_list_get_delete(shell: Shell, backend: str) -> None:
    if backend == "age":
        pytest.importorskip("pyrage")
    done = shell("secret", "set", "db/password", "--backend", backend, given=VALUE + "\n")
    assert done.returncode == 0 and done.stdout == "" and "hunter2" not in done.stderr
    listed = json.loads(shell("secret", "list", "-o", "json").stdout)
    assert listed["items"] == [{"name": "db/password", "reference": "secret://db/password", "backends": [backend]}]
    assert "hunter2" not in shell("secret", "list").stdout
    assert shell("secret", "get", "db/password", "--yes").stdout == VALUE
    refused = shell("secret", "get", "db/password")
    assert refused.returncode == 2 and refused.stdout == "" and "--yes" in refused.stderr
    assert shell("secret", "delete", "db/password").returncode == 2
    assert shell("secret", "delete", "db/password", "--yes").returncode == 0
    gone = shell("secret", "get", "db/password", "--yes")
    assert gone.returncode == 1 and "there is no such secret" in gone.stderr and "secrets.toml" in gone.stderr
    assert shell("secret", "delete", "db/password", "--yes").returncode == 3


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("db", "short\n", "at least 8"),
        ("db", "x" * 16_385, "at most 16384"),
        ("db", b"\xff" * 20, "not text in UTF-8"),
        ("db", "with\0a NUL in it", "NUL"),
        ("../db", "long enough", "cannot be the name"),
        ("db password", "long enough", "cannot be the name"),
    ],
)
def test_what_cannot_be_a_secret_is_refused_without_being_shown(
    shell: Shell, name: str, given: str | bytes, words: str
) -> None:
    done = shell("secret", "set", name, given=given)
    assert done.returncode == 2 and words in done.stderr
    shown = given if isinstance(given, str) else given.decode("utf-8", "replace")
    assert shown.strip() not in done.stderr and not (shell.path / "provisioning" / "secrets.toml").exists()


def test_of_two_places_the_first_counts_and_that_is_said(shell: Shell) -> None:
    pytest.importorskip("pyrage")
    shell("secret", "set", "db", "--backend", "age", given="from-the-age-file")
    done = shell("secret", "set", "db", given="from-the-file")
    assert "secrets.age" in done.stderr and "counts" in done.stderr
    assert shell("secret", "get", "db", "-y").stdout == "from-the-file"
    assert json.loads(shell("secret", "list", "--json").stdout)["items"][0]["backends"] == ["file", "age"]


def test_resolve_answers_for_each_name_and_never_fails_for_one(shell: Shell) -> None:
    shell("secret", "set", "db", given=VALUE)
    done = shell("secret", "resolve", given=json.dumps(["db", "none", "../x"]))
    answer = json.loads(done.stdout)
    assert done.returncode == 0 and answer["secrets"] == {"db": VALUE}
    assert answer["failures"]["none"]["retryable"] is False
    assert (
        "secret set none" in answer["failures"]["none"]["message"]
        and "no reference" in answer["failures"]["../x"]["message"]
    )
    assert shell("secret", "resolve", given="{}").returncode == 2
    (shell.path / "provisioning" / "secrets.toml").chmod(0o644)
    answer = json.loads(shell("secret", "resolve", given='["db"]').stdout)
    assert answer["secrets"] == {} and "chmod 600" in answer["failures"]["db"]["message"]


def test_login_keeps_credentials_in_a_file_that_only_we_can_read(shell: Shell) -> None:
    done = shell("provider", "login", "upcloud", given="token=ucat_0123456789\n")
    assert done.returncode == 0, done.stderr
    file = shell.path / "provisioning" / "credentials.toml"
    assert file.stat().st_mode & 0o777 == 0o600
    assert tomllib.loads(file.read_text()) == {"upcloud": {"token": "ucat_0123456789"}}
    done = shell("provider", "login", "upcloud", given="username=me\npassword=a=b c\n", UPCLOUD_TOKEN="other-token")
    assert tomllib.loads(file.read_text()) == {"upcloud": {"username": "me", "password": "a=b c"}}
    assert "UPCLOUD_TOKEN" in done.stderr and "other-token" not in done.stderr


@pytest.mark.parametrize("given", ["", "username=me\n", "tokne=ucat_0123456789\n", "ucat_0123456789"])
def test_login_refuses_half_a_login_without_showing_it(shell: Shell, given: str) -> None:
    done = shell("provider", "login", "upcloud", given=given)
    assert done.returncode == 2 and "ucat" not in done.stderr + done.stdout
    assert not (shell.path / "provisioning" / "credentials.toml").exists()


def test_a_provider_without_credentials_says_so(shell: Shell) -> None:
    done = shell("provider", "login", "local")
    assert done.returncode == 2 and "needs no credentials" in done.stderr


def test_a_provider_whose_own_tools_keep_its_credentials_says_where(shell: Shell) -> None:
    done = shell("provider", "login", "aws", given="token=ucat_0123456789\n")
    assert done.returncode == 2 and "AWS_PROFILE" in done.stderr and "needs no credentials" not in done.stderr


KEEPER = """\
import json, sys
asked = json.loads(sys.stdin.readline())
given = asked.get("credentials")
error = None
if sys.argv[1] == "capabilities":
    answer = {"capabilities": {"kinds": ["server"], "flags": []}}
elif not given:
    fields = [{"name": name, "variables": ["KEEPER_" + name.upper()], "help": "desk"} for name in ("user", "key")]
    answer = {"error": {"code": "credentials_needed", "message": "who is it?", "fields": fields}}
elif given != {"user": "me", "key": "right-0123456789"}:
    answer = {"error": {"code": "credentials_refused", "message": "not you", "retryable": False}}
else:
    answer = {"resources": []}
print(json.dumps(answer))
"""


def test_an_executable_says_itself_what_a_login_is(shell: Shell) -> None:
    (shell.path / "providers").mkdir()
    (shell.path / "provisioning.yaml").write_text("name: ws\nprovider: keeper\n")
    (shell.path / "providers" / "keeper.py").write_text(KEEPER)
    at = ("--workspace", str(shell.path))
    listed = shell("server", "list", *at)
    assert listed.returncode == 4 and "provisioning provider login keeper" in listed.stderr
    half = shell("provider", "login", "keeper", *at, given="user=me\n")
    assert half.returncode == 2 and "user and key" in half.stderr
    wrong = shell("provider", "login", "keeper", *at, given="tokne=right-0123456789\n")
    assert wrong.returncode == 2 and "fields: user, key" in wrong.stderr and "right" not in wrong.stderr
    done = shell("provider", "login", "keeper", *at, given="user=me\nkey=right-0123456789\n")
    assert done.returncode == 0, done.stderr
    kept = shell.path / "provisioning" / "credentials.toml"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert tomllib.loads(kept.read_text()) == {"keeper": {"user": "me", "key": "right-0123456789"}}
    assert shell("server", "list", *at).returncode == 0
    refused = shell("server", "list", *at, KEEPER_USER="me", KEEPER_KEY="left-0123456789")
    assert refused.returncode == 4, refused.stderr
    assert "KEEPER_KEY" in refused.stderr and "left-0123456789" not in refused.stderr


def test_an_executable_that_asks_for_nothing_has_no_login(shell: Shell) -> None:
    (shell.path / "providers").mkdir()
    (shell.path / "provisioning.yaml").write_text("name: ws\nprovider: open\n")
    free = KEEPER.replace("elif not given:", "elif False:").replace("elif given != ", "elif False and given != ")
    (shell.path / "providers" / "open.py").write_text(free)
    done = shell("provider", "login", "open", "--workspace", str(shell.path))
    assert done.returncode == 2 and "needs no credentials" in done.stderr
