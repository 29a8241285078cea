"""Credentials: from one place, in order; errors name every place and never a value."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from provisioning_core.errors import AuthError, UsageError
from provisioning_core.secrets import CredentialField, Secret, credentials
from provisioning_core.secrets.credentials import credentials_place
from provisioning_core.secrets.stores import credential_stores

FIELDS = [
    CredentialField("token", ("CLOUD_TOKEN", "OLD_CLOUD_TOKEN")),
    CredentialField("username", ("CLOUD_USERNAME",), secret=False),
    CredentialField("password", ("CLOUD_PASSWORD",)),
]
NEEDED = (("token",), ("username", "password"))


def home(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "PATH": os.environ["PATH"], **more}


def revealed(found: dict[str, Secret]) -> dict[str, str]:
    return {name: secret.reveal() for name, secret in found.items()}


def test_the_environment_wins_over_the_file_and_the_file_over_the_age_file(tmp_path: Path) -> None:
    pytest.importorskip("pyrage")
    environ = home(tmp_path)
    file, _, age, _ = credential_stores(environ)
    age.set("cloud", "token", "from-the-age-file")
    assert revealed(credentials("cloud", FIELDS, environ, needed=NEEDED)) == {"token": "from-the-age-file"}
    file.set("cloud", "token", "from-the-file")
    assert revealed(credentials("cloud", FIELDS, environ)) == {"token": "from-the-file"}
    set_too = home(tmp_path, CLOUD_TOKEN="from-environment")
    assert revealed(credentials("cloud", FIELDS, set_too)) == {"token": "from-environment"}
    assert revealed(credentials("other", FIELDS, environ)) == {}


def test_half_a_login_is_never_made_whole_from_another_place(tmp_path: Path) -> None:
    file = credential_stores(home(tmp_path))[0]
    file.set("cloud", "username", "of the file")
    file.set("cloud", "password", "of the file, too")
    environ = home(tmp_path, CLOUD_USERNAME="of the environment")
    assert revealed(credentials("cloud", FIELDS, environ, needed=NEEDED)) == {
        "username": "of the file",
        "password": "of the file, too",
    }


def test_what_is_missing_is_said_with_every_place_and_no_value(tmp_path: Path) -> None:
    environ = home(tmp_path, CLOUD_PASSWORD="hunter2-hunter2")
    with pytest.raises(AuthError) as missing:
        credentials("cloud", FIELDS, environ, needed=NEEDED)
    said = missing.value.message
    for place in (
        "CLOUD_TOKEN",
        "OLD_CLOUD_TOKEN",
        "credentials.toml",
        "keyring",
        "credentials.age",
        "credentials.sops",
    ):
        assert place in said
    assert "only password was found" in said and "hunter2" not in said
    assert missing.value.code == "no_credentials" and missing.value.hint == "provisioning provider login cloud"


def test_a_task_says_that_its_environment_is_the_orchestrators(tmp_path: Path) -> None:
    """Who has exported the token since then would look for it where it is."""
    of_a_task = home(tmp_path, PROVISIONING_ATTEMPT="wf_1/a/1")
    with pytest.raises(AuthError) as caught:
        credentials("cloud", FIELDS, of_a_task, needed=NEEDED)
    assert "the environment that the orchestrator was started with (CLOUD_TOKEN, " in caught.value.message
    place = credentials_place("cloud", FIELDS, of_a_task | {"CLOUD_TOKEN": "old"}, needed=NEEDED)
    assert place == "the environment that the orchestrator was started with (CLOUD_TOKEN)"


def test_a_file_that_others_can_read_is_an_error_and_not_passed_over(tmp_path: Path) -> None:
    environ = home(tmp_path)
    credential_stores(environ)[0].set("cloud", "token", "hunter2-hunter2")
    file = tmp_path / "provisioning" / "credentials.toml"
    file.chmod(0o644)
    with pytest.raises(UsageError, match="can be read by others") as refused:
        credentials("cloud", FIELDS, environ)
    assert refused.value.hint == f"chmod 600 {file}"


def test_a_sops_file_is_read_through_the_program(tmp_path: Path) -> None:
    """The program here stands for `sops`: the same arguments, the same answer; it "decrypts" base64."""
    (tmp_path / "bin").mkdir()
    sops = tmp_path / "bin" / "sops"
    sops.write_text('#!/bin/sh\n[ "$1 $2 $3" = "decrypt --output-type json" ] || exit 9\nexec base64 -d "$4"\n')
    sops.chmod(0o755)
    import base64

    document = json.dumps({"cloud": {"token": "from-sops", "number": 1}, "sops": {"mac": "x"}})
    (tmp_path / "provisioning").mkdir()
    encrypted = tmp_path / "provisioning" / "credentials.sops.yaml"
    encrypted.write_text(base64.b64encode(document.encode()).decode())
    environ = home(tmp_path) | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    assert revealed(credentials("cloud", FIELDS, environ)) == {"token": "from-sops"}
    encrypted.write_text("!!!")
    with pytest.raises(UsageError, match="cannot be decrypted"):
        credentials("cloud", FIELDS, environ)
    with pytest.raises(UsageError, match="no `sops` on PATH"):
        credentials("cloud", FIELDS, environ | {"PATH": str(tmp_path)})
