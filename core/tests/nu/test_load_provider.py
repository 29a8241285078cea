"""`load-provider NAME | create-vm`: from Nushell to machines of this host, to UpCloud, to a provider of one's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.doubles.upcloud import UpCloudDouble
from provisioning_core.generating import generate_provider
from provisioning_core.library import nu_library_root
from provisioning_core.providers.local import destroy

pytestmark = pytest.mark.nu
WISH = {"infra": "wuji", "spec": {"plan": "1cpu-1gb"}, "labels": {"role": "web"}, "intent": "", "key": None}
Ask = Callable[..., Any]


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A workspace whose own provider is another one, so that only the name can have led to the right one."""
    path = tmp_path / "workspace"
    path.mkdir()
    (path / "provisioning.yaml").write_text(
        "name: test-ws\nprovider: provisioning_core.testing.ledger_provider:LedgerProvider\n"
    )
    yield path
    destroy(path)


@pytest.fixture
def ask(path: Path, nu: str, tmp_path: Path) -> Ask:
    """What an expression gives, with the library's commands and the wish in $wish."""

    def answer(expression: str, **environment: str) -> Any:
        use = f"use {json.dumps(str(nu_library_root() / '_provisioning.nu'))} *"
        command = f"{use}; let wish = ($env.WISH | from json); {expression} | to json --raw"
        own = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}
        own |= {"PROVISIONING_WORKSPACE": str(path), "WISH": json.dumps(WISH)}
        done = subprocess.run(
            [nu, "--no-config-file", "-c", command],
            capture_output=True,
            text=True,
            timeout=120,
            env=own | environment,
            cwd=path,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return answer


def goes_through_life(ask: Ask, name: str, **environment: str) -> dict[str, Any]:
    """Made, made again, found, listed, deleted; the resource as it was."""
    made: dict[str, Any] = ask(f"load-provider {name} | create-vm web-1 $wish", **environment)
    assert (made["created"], made["state"], made["key"]) == (True, "started", "test-ws/wuji/server/web-1")
    again = ask(f"load-provider {name} | create-vm web-1 $wish", **environment)
    assert (again["created"], again["id"]) == (False, made["id"])
    assert ask(f"load-provider {name} | find-vm {{infra: wuji, name: web-1}} | get id", **environment) == made["id"]
    assert ask(f"load-provider {name} | list-vms {{}} | get id", **environment) == [made["id"]]
    gone = ask(f"load-provider {name} | delete-vm web-1 {{infra: wuji}}", **environment)
    assert (gone["deleted"], gone["id"]) == (True, made["id"])
    assert ask(f"load-provider {name} | list-vms {{}}", **environment) == []
    return made


def test_machines_of_this_host(ask: Ask) -> None:
    made = goes_through_life(ask, "local", PROVISIONING_LOCAL_ISOLATION="process")
    assert made["isolation"] == "process"


def test_servers_at_upcloud(ask: Ask, path: Path, tmp_path: Path) -> None:
    with UpCloudDouble(tmp_path / "double", pace_s=0.01) as double:
        quick = "{poll_s: 0.02, settle_s: 2.0, deadline_s: 30.0, stop_s: 2.0, http_timeout_s: 5.0}"
        with (path / "provisioning.yaml").open("a") as file:
            file.write(f"providers:\n  upcloud: {quick}\n")
        reached = {"UPCLOUD_DEBUG_API_BASE_URL": double.url, "UPCLOUD_TOKEN": "ucat_practice_only"}
        made = goes_through_life(ask, "upcloud", **reached)
    assert made["zone"] and made["ssh"]["host"]


@pytest.mark.parametrize("language", ["python", "nu"])
def test_a_provider_of_the_workspaces_own(ask: Ask, path: Path, language: Any) -> None:
    generate_provider(path, "mycloud", language)
    assert goes_through_life(ask, "mycloud")["zone"] == "here"


def test_without_a_name_it_is_the_workspaces(ask: Ask) -> None:
    made = ask("load-provider | create-vm web-1 $wish")
    assert made["zone"] == "ledger"


def test_what_the_wish_says_of_its_provider_wins(ask: Ask, path: Path) -> None:
    generate_provider(path, "mycloud", "python")
    made = ask("load-provider mycloud | create-vm web-1 ($wish | insert provider mycloud)")
    assert made["zone"] == "here"
