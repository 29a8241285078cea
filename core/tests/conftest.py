"""What several rooms' tests share: golden data, a workspace whose provider is a ledger of files, and a real Nushell."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).parents[2]
LEDGER = "provisioning_core.testing.ledger_provider:LedgerProvider"
WUJI = """\
networks:
  - name: wuji-net
    cidr: 10.77.0.0/24
servers:
  - {name: web-1, network: wuji-net, plan: 1cpu-1gb, labels: {role: web}}
  - {name: web-2, network: wuji-net, plan: 1cpu-1gb, labels: {role: web}}
  - {name: db-1, network: wuji-net, plan: 2cpu-4gb}
  - {name: lonely, plan: 1cpu-1gb}
"""


class LedgerWorkspace:
    """A workspace on disk, and questions to its ledger."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "infra").mkdir(parents=True)
        (path / "provisioning.yaml").write_text(f"name: test-ws\nprovider: {LEDGER}\n")
        self.define("wuji", WUJI)

    def define(self, infra: str, text: str) -> None:
        (self.path / "infra" / f"{infra}.yaml").write_text(text, "utf-8")

    def taskservs(self, *names: str) -> None:
        """Folders of these names are there, and take a parameter `port`."""
        for name in names:
            folder = self.path / "taskservs" / name
            folder.mkdir(parents=True)
            manifest = f"name: {name}\nversion: '1'\nparameters: {{port: {{type: integer}}}}\n"
            (folder / "taskserv.yaml").write_text(manifest)
            (folder / "install.sh").write_text("#!/bin/sh\n")

    def stop(self, *names: str, state: str = "stopped") -> None:
        """As after a power cut: these servers are there, and do not run. state: or whatever else befell them."""
        ledger = self._ledger()
        for one in ledger["resources"].values():
            if one["kind"] == "server" and one["name"] in names:
                one["state"] = state
        self._file("ledger.json").write_text(json.dumps(ledger))

    def plant(self, *faults: dict[str, Any]) -> None:
        """What is to go wrong next: see ledger_provider."""
        self._file("faults.json").parent.mkdir(exist_ok=True)
        self._file("faults.json").write_text(json.dumps(faults))

    def servers(self) -> list[str]:
        """The names of the servers that exist and can be used, sorted."""
        found = self._ledger()["resources"].values()
        return sorted(one["name"] for one in found if one["kind"] == "server" and one["state"] == "started")

    def networks(self) -> list[str]:
        return sorted(one["name"] for one in self._ledger()["resources"].values() if one["kind"] == "network")

    def made(self, key: str) -> int:
        """How often a thing of that key was ever made."""
        return sum(1 for one in self._ledger()["history"] if (one["event"], one["key"]) == ("created", key))

    def calls(self) -> list[dict[str, Any]]:
        """All calls of create, in order."""
        file = self._file("calls.jsonl")
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def hanging(self, point: str, name: str) -> bool:
        return self._file(f"hanging-{point}-{name}").exists()

    def _ledger(self) -> dict[str, Any]:
        file = self._file("ledger.json")
        return json.loads(file.read_text()) if file.exists() else {"resources": {}, "history": []}

    def _file(self, name: str) -> Path:
        return self.path / ".ledger" / name


@pytest.fixture
def workspace(tmp_path: Path) -> LedgerWorkspace:
    return LedgerWorkspace(tmp_path / "workspace")


@pytest.fixture(scope="session")
def contract() -> Callable[[str], Any]:
    return lambda name: json.loads((CHECKOUT / "contract" / name).read_text("utf-8"))


@pytest.fixture(scope="session")
def nu() -> str:
    """A real Nushell: PROVISIONING_TEST_NU, `nu` on PATH, or the one that bin/setup put into the checkout."""
    installed = sorted((CHECKOUT / ".state" / "nu").glob("node_modules/@nushell/*/bin/nu"))
    found = os.environ.get("PROVISIONING_TEST_NU") or shutil.which("nu") or (str(installed[0]) if installed else None)
    if found is None:
        pytest.skip("no Nushell: set PROVISIONING_TEST_NU, or run bin/setup nu")
    return found
