"""What all parts of the conformance suite stand on: the hooks, a workspace, wishes, and calls in other processes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ..capabilities import Capabilities, Flag, Normalizing, capabilities_of, has_terms
from ..provider import Kind, Provider, Wish
from .create_once import make_provider

HOSTILE_NAMES = (
    "", ".", "..", "../../escape", "/etc/passwd", "a b", "a\nb", "a\0b", "-rf", "--help", "$(touch pwned)", "`id`",
    "'; exit", 'a "b"', "a\x1b[31mb", "x" * 300, "é", "名前", "🦀", "\ud800", "%s%n", "{}", "a/b", "a\\b", "CON", "*",
)  # fmt: skip
PROCESS_S = 120
KIND_ORDER: tuple[Kind, ...] = ("server", "storage", "network")
"""A network that is in use may refuse to go, and so may a storage."""


class SuiteGround:
    factory: ClassVar[str]
    settings: ClassVar[Mapping[str, Any]] = {}
    server_spec: ClassVar[Mapping[str, Any]] = {}
    network_spec: ClassVar[Mapping[str, Any]] = {}
    storage_spec: ClassVar[Mapping[str, Any]] = {"size_gb": 10}
    updates: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    replacements: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    bad_specs: ClassVar[Mapping[str, Sequence[Mapping[str, Any]]]] = {}
    kinds: ClassVar[tuple[Kind, ...]] = ()
    hostile_names: ClassVar[Sequence[str]] = HOSTILE_NAMES
    kills: ClassVar[int] = 12
    simultaneous: ClassVar[int] = 4
    seed: ClassVar[int] = 20250101

    # --- hooks to override -------------------------------------------------------------------------------------------

    def clean(self, workspace: Path) -> None:
        """Override it where more than the resources has to be cleared away."""

    def make_unmanaged(self, provider: Provider, kind: Kind) -> str:
        """Override it where the provider can adopt: make one without us, as in the cloud's console. Its id."""
        if (make := getattr(provider, "make_unmanaged", None)) is None:
            pytest.skip("flag adopt: the hook `make_unmanaged` is not overridden")
        return str(make(kind, "stranger", dict(self.spec(kind))))

    # --- fixtures ----------------------------------------------------------------------------------------------------

    @pytest.fixture
    def workspace(self, tmp_path: Path) -> Iterator[Path]:
        workspace = tmp_path / "workspace"
        workspace.mkdir()
        yield workspace
        provider = make_provider(self.factory, workspace, self.settings)
        for kind in KIND_ORDER:
            for resource in provider.list(kind) if kind in self.kinds_of(provider) else ():
                provider.delete(kind, resource.id)
        self.clean(workspace)

    @pytest.fixture
    def provider(self, workspace: Path) -> Provider:
        return make_provider(self.factory, workspace, self.settings)

    # --- what tests ask ----------------------------------------------------------------------------------------------

    def kinds_of(self, provider: Provider) -> tuple[Kind, ...]:
        """Servers first."""
        known = self.kinds or capabilities_of(provider).kinds
        return tuple(kind for kind in KIND_ORDER if kind in known)

    def needs(self, provider: Provider, *flags: Flag) -> Capabilities:
        """Skips, naming the flag that is missing."""
        can = capabilities_of(provider)
        if missing := [flag for flag in flags if flag not in can.flags]:
            pytest.skip(f"flag {', '.join(missing)}: not among the provider's capabilities")
        return can

    def needs_terms(self, provider: Provider) -> Normalizing:
        """Skips where the provider has no terms of its own."""
        if not has_terms(provider):
            pytest.skip("normalize: the provider has no such verb")
        assert isinstance(provider, Normalizing)
        return provider

    def spec(self, kind: Kind) -> Mapping[str, Any]:
        return {"server": self.server_spec, "network": self.network_spec, "storage": self.storage_spec}[kind]

    def rich_spec(self, provider: Provider, kind: Kind) -> dict[str, Any]:
        """With the parts that the provider says it can make."""
        flags = capabilities_of(provider).flags if kind == "server" else frozenset()
        spec = dict(self.spec(kind))
        if "storages" in flags:
            spec |= {"storages": [{"name": "data", "size_gb": 10}, {"name": "logs", "size_gb": 10}]}
        if "firewall" in flags:
            spec |= {"firewall": [{"protocol": "tcp", "ports": [22, 22]}, {"protocol": "tcp", "ports": [8000, 8100]}]}
        return spec

    def wish(self, kind: Kind, name: str = "web-1", infra: str = "wuji", **more: Any) -> Wish:
        fields = {"key": f"ws/{infra}/{kind}/{name}", "intent": str(uuid.uuid4()), "spec": dict(self.spec(kind))} | more
        return Wish(kind=kind, infra=infra, name=name, **fields)

    # --- other processes ---------------------------------------------------------------------------------------------

    def start(self, workspace: Path, wish: Wish, *verb: str) -> subprocess.Popen[str]:
        """A call of create, or what `verb` says, in a process of its own."""
        process = subprocess.Popen(
            [sys.executable, "-m", "provisioning_core.testing.create_once", self.factory, str(workspace), *verb],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(asdict(wish) | ({"settings": self.settings} if self.settings else {})))
        process.stdin.close()
        process.stdin = None
        return process


def finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    """The last word and the id of a call in another process."""
    output, _ = process.communicate(timeout=PROCESS_S)
    assert output, f"it said nothing and ended with {process.returncode}"
    word, _, id = output.splitlines()[-1].partition(" ")
    return word, id


def kill_after(process: subprocess.Popen[str], delay_s: float) -> list[str]:
    """Kill it then, or find it ended. The ids that it has announced."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(delay_s)
    process.kill()
    output, _ = process.communicate(timeout=PROCESS_S)
    return [line.removeprefix("announced ") for line in output.splitlines() if line.startswith("announced ")]


def took(began: float) -> float:
    return time.monotonic() - began
