"""References in the settings of providers; and what a process has found itself it does not say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from provisioning_core.secrets import SecretUnavailable
from provisioning_core.secrets.named import revealed
from provisioning_core.secrets.stores import SECRETS, FileStore
from provisioning_core.workspace import load_workspace
from provisioning_core.yamlfile import DefinitionErrors

PLUGIN = """
class Cloud:
    name = "cloud"
    def __init__(self, workspace, settings={}):
        self.settings = dict(settings)
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    FileStore(tmp_path / "config" / "provisioning" / "secrets.toml").set(SECRETS, "cloud/token", "tok-0123456789")
    return tmp_path


def test_a_provider_gets_the_value_and_the_workspace_keeps_the_reference(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (config / "cloud_of_the_tests.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(config))
    own = "cloud_of_the_tests:Cloud"
    (config / "provisioning.yaml").write_text(
        f"name: w\nprovider: {own}\nproviders:\n  {own}: {{token: 'secret://cloud/token', zone: a}}\n"
    )
    workspace = load_workspace(config)
    provider = workspace.load_provider()
    assert provider.settings == {"token": "tok-0123456789", "zone": "a"}  # type: ignore[attr-defined]
    assert workspace.settings[own]["token"] == "secret://cloud/token"


@pytest.mark.usefixtures("config")
def test_references_are_replaced_at_any_depth_and_a_missing_one_is_named() -> None:
    given = {"a": ["secret://cloud/token", 1, None], "b": "no secret://cloud/token"}
    assert revealed(given) == {"a": ["tok-0123456789", 1, None], "b": "no secret://cloud/token"}
    with pytest.raises(SecretUnavailable, match="secret://none"):
        revealed({"a": "secret://none"})


def test_an_operation_does_not_say_the_credentials_that_it_found(config: Path) -> None:
    operation = config / "operation.py"
    operation.write_text("""
import sys
from provisioning_core.operation import run
from provisioning_core.secrets import CredentialField, credentials

def main(task):
    token = credentials("cloud", [CredentialField("token", ("CLOUD_TOKEN",))])["token"].reveal()
    print("with", token)
    print("and", token, end="")
    sys.stdout.write(token[:5]); sys.stdout.write(token[5:])
    raise ValueError(f"refused: {token}")

run(main)
""")
    events, result = config / "events", config / "result"
    environ = {"CLOUD_TOKEN": "tok-9876543210", "PROVISIONING_EVENTS": str(events), "PROVISIONING_RESULT": str(result)}
    done = subprocess.run(
        [sys.executable, str(operation)], input="{}", capture_output=True, text=True, env=environ, check=False
    )
    said = done.stdout + done.stderr + result.read_text()
    assert done.returncode == 1 and "9876543210" not in said
    assert done.stdout == "with [secret cloud/token]\nand [secret cloud/token][secret cloud/token]"
    assert "ValueError: refused: [secret cloud/token]" in result.read_text()


@pytest.mark.parametrize(
    "bad", ["secret://a//b", "secret://", "secret:///a", "secret://a/", "secret://a b", "secret://" + "a" * 129]
)
def test_a_badly_formed_reference_is_refused_where_the_workspace_is_read(config: Path, bad: str) -> None:
    (config / "provisioning.yaml").write_text(
        f"name: w\nprovider: upcloud\nproviders:\n  upcloud: {{token: '{bad}', url: '{bad}'}}\n"
    )
    with pytest.raises(DefinitionErrors) as caught:
        load_workspace(config)
    faults = str(caught.value)
    assert faults.count("is no reference to a secret: a name is letters, digits") == 2, faults
    assert "provisioning.yaml:4" in faults
