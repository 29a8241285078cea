"""Settings of providers in a workspace's file: they reach the provider, and never send a token elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provisioning_core.workspace import load_workspace
from provisioning_core.yamlfile import DefinitionErrors

TOKEN = "s3cr3t-t0k3n-of-somebody"


def write(workspace: Any, text: str) -> None:
    file = workspace.path / "provisioning.yaml"
    file.write_text(f"name: x\nprovider: local\n{text}")


def faults(workspace: Any, text: str) -> list[str]:
    write(workspace, text)
    with pytest.raises(DefinitionErrors) as caught:
        load_workspace(workspace.path)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8081", "https://127.1.2.3/a/b", "http://localhost:1", "http://[::1]:80/", "127.0.0.1:80",
        "HTTP://LOCALHOST",
    ],
)  # fmt: skip
def test_an_address_of_this_machine_is_taken(workspace: Any, url: str) -> None:
    write(workspace, f"providers: {{upcloud: {{url: '{url}', zone: de-fra1, number: 3, deep: {{a: [1]}}}}, aws: null}}")
    settings = load_workspace(workspace.path, {}).settings
    assert settings == {"upcloud": {"url": url, "zone": "de-fra1", "number": 3, "deep": {"a": [1]}}, "aws": {}}


@pytest.mark.parametrize(
    "value",
    [
        "https://evil.example", "http://127.0.0.1@evil.example", "http://127.0.0.1.evil.example", "//evil.example",
        "http://evil.example#127.0.0.1", "http://127.0.0.1:80@evil.example/", r"http://127.0.0.1\\@evil.example",
        "evil.example", "http://127.0.0.1/?x=@evil", "ftp://127.0.0.1", "http://0.0.0.0", "http://10.0.0.1",
        "http://localhost.evil.example", "http://[::1]evil.example",
    ],
)  # fmt: skip
@pytest.mark.parametrize("field", ["url: '%s'", "endpoint_url: '%s'", "api: {host: '%s'}", "proxy: ['%s']"])
def test_any_other_address_is_refused_wherever_it_stands(workspace: Any, field: str, value: str) -> None:
    found = faults(workspace, f"providers:\n  upcloud: {{{field % value}}}")
    assert len(found) == 1
    assert "is not an address of this machine" in found[0]
    assert "[providers.<name>]" in found[0]


def test_a_url_is_known_by_what_it_is_too(workspace: Any) -> None:
    assert (
        "is not an address of this machine" in faults(workspace, "providers: {a: {mirror: 'https://evil.example'}}")[0]
    )


@pytest.mark.parametrize(
    "field", ["token", "password", "api_key", "client_secret", "access_key_id", "upcloud_password"]
)
def test_a_credential_is_refused_and_not_shown(workspace: Any, field: str) -> None:
    found = faults(workspace, f"providers: {{upcloud: {{{field}: {TOKEN}}}}}")
    assert "a credential does not belong into a workspace" in found[0]
    assert TOKEN not in found[0]
    write(workspace, f"providers: {{upcloud: {{{field}: 'secret://upcloud/{field}'}}}}")
    assert load_workspace(workspace.path, {}).settings["upcloud"][field].startswith("secret://")


def test_any_address_may_come_from_the_users_own_file(workspace: Any, tmp_path: Path) -> None:
    file = tmp_path / "config" / "provisioning" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(
        '[providers.upcloud]\nurl = "https://api.mine.example"\nzone = "user"\n[providers."evil:Class"]\na = "b"\n'
    )
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    write(workspace, "providers: {upcloud: {zone: workspace}}")
    settings = load_workspace(workspace.path, environ).settings
    assert settings == {"upcloud": {"url": "https://api.mine.example", "zone": "workspace"}}, "no class from there"


def test_a_provider_is_made_with_its_settings(workspace: Any) -> None:
    name = "provisioning_core.testing.ledger_provider:LedgerProvider"
    write(workspace, f"providers: {{'{name}': {{answer: 42}}}}")
    loaded = load_workspace(workspace.path)
    assert loaded.settings[name] == {"answer": 42}
    assert loaded.load_provider(name).name == "ledger"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("providers: []", "providers: expected a mapping, got a list"),
        ("providers: {UP: {}}", "the name 'UP' is not accepted"),
        ("providers: {up: 3}", "providers.up: expected a mapping, got the number '3'"),
        ("providers: {up: {Url: 3}}", "the name 'Url' is not accepted"),
        ("settings: {url: http://127.0.0.1:1}", "settings.url: unknown field 'url'; known: output, progress, color."),
        (
            "settings: {output: jason}",
            "'jason' is not accepted; accepted: table, wide, json, yaml, jsonl, name. Did you",
        ),
    ],
)
def test_what_is_no_setting_is_refused(workspace: Any, text: str, told: str) -> None:
    found = faults(workspace, text)
    assert len(found) == 1
    assert told in found[0]
