"""What every provider has to do, as tests: for authors of plugins.

    from provisioning_core.testing.provider_suite import ProviderSuite

    class TestMyCloud(ProviderSuite):
        factory = "my_package.provider:MyCloud"      # called with a workspace, here and in other processes
        server_spec = {"plan": "small"}              # what a smallest server needs

The state behind the factory must be shared by all processes that are given the same workspace.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ..errors import ProviderError
from ..provider import Kind, Provider, Wish
from .create_once import make_provider

HOSTILE_NAMES = (
    "", ".", "..", "../../escape", "/etc/passwd", "a b", "a\nb", "a\0b", "-rf", "--help", "$(touch pwned)", "`id`",
    "'; exit", 'a "b"', "a\x1b[31mb", "x" * 300, "é", "名前", "🦀", "\ud800", "%s%n", "{}", "a/b", "a\\b", "CON", "*",
)  # fmt: skip
_PROCESS_S = 120


class ProviderSuite:
    factory: ClassVar[str]
    server_spec: ClassVar[Mapping[str, Any]] = {}
    network_spec: ClassVar[Mapping[str, Any]] = {}
    kinds: ClassVar[tuple[Kind, ...]] = ("server", "network")
    kills: ClassVar[int] = 12
    seed: ClassVar[int] = 20250101

    @pytest.fixture
    def workspace(self, tmp_path: Path) -> Iterator[Path]:
        workspace = tmp_path / "workspace"
        workspace.mkdir()
        yield workspace
        provider = make_provider(self.factory, workspace)
        for kind in self.kinds:  # servers first: a network that is in use may refuse to go
            for resource in provider.list(kind):
                provider.delete(kind, resource.id)
        self.clean(workspace)

    @pytest.fixture
    def provider(self, workspace: Path) -> Provider:
        return make_provider(self.factory, workspace)

    def clean(self, workspace: Path) -> None:
        """Override it where more than the resources has to be cleared away."""

    def wish(self, kind: Kind, name: str = "web-1", infra: str = "wuji", **more: Any) -> Wish:
        spec = self.server_spec if kind == "server" else self.network_spec
        fields = {"key": f"ws/{infra}/{kind}/{name}", "intent": str(uuid.uuid4()), "spec": dict(spec)} | more
        return Wish(kind=kind, infra=infra, name=name, **fields)

    def test_what_was_created_can_be_got_found_and_listed(self, provider: Provider) -> None:
        for kind in self.kinds:
            wish = self.wish(kind)
            made = provider.create(wish)
            resource = made.resource
            assert made.created
            assert resource.state == "started"
            assert (resource.kind, resource.key, resource.intent) == (kind, wish.key, wish.intent)
            assert (resource.infra, resource.name) == (wish.infra, wish.name)
            assert provider.get(kind, resource.id) == resource
            assert provider.find(kind, key=wish.key) == resource
            assert provider.find(kind, intent=wish.intent) == resource
            assert provider.list(kind) == [resource]

    def test_a_server_says_how_to_connect(self, provider: Provider) -> None:
        attributes = provider.create(self.wish("server")).resource.attributes
        assert {"address", "zone", "plan", "ssh"} <= attributes.keys()
        assert {"host", "port", "user", "identity_file", "known_hosts_file"} <= attributes["ssh"].keys()
        json.dumps(attributes)  # plain data

    def test_the_id_is_announced_once_and_before_create_returns(self, provider: Provider) -> None:
        for kind in self.kinds:
            announced: list[str] = []
            made = provider.create(self.wish(kind), announce=lambda resource, to=announced: to.append(resource.id))  # type: ignore[misc]
            assert announced == [made.resource.id]

    def test_the_same_wish_again_finds_the_first_ones_resource(self, provider: Provider) -> None:
        for kind in self.kinds:
            wish = self.wish(kind)
            first = provider.create(wish)
            again = provider.create(wish)
            assert (again.created, again.resource.id) == (False, first.resource.id)

    def test_another_wish_for_the_same_key_finds_the_first_ones_resource(self, provider: Provider) -> None:
        for kind in self.kinds:
            first = provider.create(self.wish(kind))
            again = provider.create(self.wish(kind))
            assert (again.created, again.resource.id) == (False, first.resource.id)
            assert len(provider.list(kind)) == 1

    def test_what_is_not_there_is_neither_got_nor_found_nor_deleted(self, provider: Provider) -> None:
        for kind in self.kinds:
            assert provider.find(kind, key="ws/wuji/server/nobody") is None
            assert provider.find(kind, intent=str(uuid.uuid4())) is None
            assert provider.list(kind) == []
            for id in ("", "..", "../..", "srv-000000000000", str(uuid.uuid4()), "a\nb"):
                assert provider.get(kind, id) is None
                assert provider.delete(kind, id) is False

    def test_a_resource_of_one_kind_is_none_of_the_other(self, provider: Provider) -> None:
        if set(self.kinds) != {"server", "network"}:
            pytest.skip("this provider knows one kind only")
        network = provider.create(self.wish("network", key="ws/wuji/one")).resource
        assert provider.get("server", network.id) is None
        assert provider.find("server", key="ws/wuji/one") is None
        assert provider.delete("server", network.id) is False
        assert provider.get("network", network.id) == network

    def test_lists_are_sorted_by_key_and_can_be_limited_to_an_infra(self, provider: Provider) -> None:
        kind = self.kinds[-1]
        for infra, name in (("wuji", "c"), ("other", "b"), ("wuji", "a")):
            provider.create(self.wish(kind, name, infra))
        assert [each.key for each in provider.list(kind)] == sorted(each.key for each in provider.list(kind))
        assert [each.name for each in provider.list(kind, infra="wuji")] == ["a", "c"]
        assert provider.list(kind, infra="wu") == []

    def test_deleting_twice_deletes_once_and_the_next_create_makes_a_new_one(self, provider: Provider) -> None:
        for kind in self.kinds:
            wish = self.wish(kind)
            first = provider.create(wish).resource
            assert provider.delete(kind, first.id) is True
            assert provider.delete(kind, first.id) is False
            assert provider.get(kind, first.id) is None
            assert provider.find(kind, key=wish.key, intent=wish.intent) is None
            assert provider.list(kind) == []
            second = provider.create(self.wish(kind))
            assert second.created
            assert second.resource.id != first.id

    @pytest.mark.parametrize("name", HOSTILE_NAMES, ids=ascii)
    def test_a_hostile_name_is_refused_or_kept_exactly(self, provider: Provider, workspace: Path, name: str) -> None:
        for kind in self.kinds:
            wish = self.wish(kind, name, key=f"ws/wuji/{kind}/{name}")
            refusal: ProviderError | None = None
            try:
                resource = provider.create(wish).resource
            except ProviderError as error:
                refusal = error
            if refusal:
                assert not refusal.retryable, "the same name will not become a better one"
                assert provider.list(kind) == []
            else:
                assert (resource.name, resource.key) == (name, wish.key)
                assert provider.get(kind, resource.id) == resource
        assert not list(workspace.parent.rglob("pwned"))

    def test_a_hostile_key_is_refused_or_kept_exactly(self, provider: Provider) -> None:
        kind = self.kinds[-1]
        for number, key in enumerate(HOSTILE_NAMES):
            with suppress(ProviderError):
                resource = provider.create(self.wish(kind, f"n{number}", key=f"ws/{key}")).resource
                assert resource.key == f"ws/{key}"
                assert provider.find(kind, key=f"ws/{key}") == resource

    @pytest.mark.slow
    def test_simultaneous_creates_of_one_key_make_one(self, provider: Provider, workspace: Path) -> None:
        for kind in self.kinds:
            started = [self._start(workspace, self.wish(kind)) for _ in range(4)]
            words = [_finish(process) for process in started]
            assert sorted(word for word, _ in words) == ["created", "found", "found", "found"]
            assert {id for _, id in words} == {resource.id for resource in provider.list(kind)}

    @pytest.mark.slow
    def test_simultaneous_creates_of_different_keys_make_all(self, provider: Provider, workspace: Path) -> None:
        kind = self.kinds[0]
        started = [self._start(workspace, self.wish(kind, f"n{number}")) for number in range(4)]
        assert [_finish(process)[0] for process in started] == ["created"] * 4
        resources = provider.list(kind)
        assert [each.name for each in resources] == ["n0", "n1", "n2", "n3"]
        if kind == "server":
            assert len({json.dumps(each.attributes["ssh"]) for each in resources}) == 4

    @pytest.mark.slow
    def test_a_create_that_was_killed_and_is_repeated_makes_one(self, provider: Provider, workspace: Path) -> None:
        """kill -9 at random moments: what was announced stays, and the repetition ends with exactly one resource."""
        chance = random.Random(self.seed)  # noqa: S311
        for kind in self.kinds:
            began = time.monotonic()
            assert _finish(self._start(workspace, self.wish(kind, "measured")))[0] == "created"
            whole_s = time.monotonic() - began
            for number in range(self.kills):
                wish = self.wish(kind, f"k{number}")
                announced = {
                    id
                    for _ in range(chance.randint(1, 2))
                    for id in _kill_after(self._start(workspace, wish), chance.uniform(0, whole_s * 1.1))
                }
                made = provider.create(wish)
                assert made.resource.state == "started"
                assert announced <= {made.resource.id}, f"seed {self.seed}, kill {number}: an announced one was lost"
                assert [each.id for each in provider.list(kind) if each.key == wish.key] == [made.resource.id]
                assert provider.create(wish).created is False
                assert provider.delete(kind, made.resource.id)

    def _start(self, workspace: Path, wish: Wish) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "provisioning_core.testing.create_once", self.factory, str(workspace)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(asdict(wish)))
        process.stdin.close()
        process.stdin = None
        return process


def _finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    """The last word and the id of a create in another process."""
    output, _ = process.communicate(timeout=_PROCESS_S)
    word, _, id = output.splitlines()[-1].partition(" ")
    return word, id


def _kill_after(process: subprocess.Popen[str], delay_s: float) -> list[str]:
    """Kill it then, or find it ended. The ids that it has announced."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(delay_s)
    process.kill()
    output, _ = process.communicate(timeout=_PROCESS_S)
    return [line.removeprefix("announced ") for line in output.splitlines() if line.startswith("announced ")]
