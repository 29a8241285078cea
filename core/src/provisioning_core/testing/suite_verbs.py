"""The five verbs: what every provider has to do."""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from pathlib import Path

import pytest

from ..errors import ProviderError
from ..provider import Kind, Provider
from .suite_ground import SuiteGround


class VerbTests(SuiteGround):
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "hostile_name" in metafunc.fixturenames:
            metafunc.parametrize("hostile_name", metafunc.cls.hostile_names, ids=ascii)

    def test_what_was_created_can_be_got_found_and_listed(self, provider: Provider) -> None:
        for kind in self.kinds_of(provider):
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
        for kind in self.kinds_of(provider):
            announced: list[str] = []
            made = provider.create(self.wish(kind), announce=lambda resource, to=announced: to.append(resource.id))  # type: ignore[misc]
            assert announced == [made.resource.id]

    def test_what_is_announced_exists(self, provider: Provider, workspace: Path) -> None:
        """Whoever is killed right then, and asked again, has to find it."""
        for kind in self.kinds_of(provider):
            seen: list[str | None] = []

            def look(id: str, of: Kind = kind, seen: list[str | None] = seen) -> None:
                there = provider.get(of, id)
                seen.append(there.id if there else None)

            made = provider.create(self.wish(kind), announce=lambda resource, look=look: look(resource.id))  # type: ignore[misc]
            assert seen == [made.resource.id]

    def test_the_same_wish_again_finds_the_first_ones_resource(self, provider: Provider) -> None:
        for kind in self.kinds_of(provider):
            wish = self.wish(kind)
            first = provider.create(wish)
            again = provider.create(wish)
            assert (again.created, again.resource.id) == (False, first.resource.id)

    def test_another_wish_for_the_same_key_finds_the_first_ones_resource(self, provider: Provider) -> None:
        for kind in self.kinds_of(provider):
            first = provider.create(self.wish(kind))
            again = provider.create(self.wish(kind))
            assert (again.created, again.resource.id) == (False, first.resource.id)
            assert len(provider.list(kind)) == 1

    def test_what_is_not_there_is_neither_got_nor_found_nor_deleted(self, provider: Provider) -> None:
        for kind in self.kinds_of(provider):
            assert provider.find(kind, key="ws/wuji/server/nobody") is None
            assert provider.find(kind, intent=str(uuid.uuid4())) is None
            assert provider.list(kind) == []
            for id in ("", "..", "../..", "srv-000000000000", str(uuid.uuid4()), "a\nb"):
                assert provider.get(kind, id) is None
                assert provider.delete(kind, id) is False

    def test_a_resource_of_one_kind_is_none_of_the_other(self, provider: Provider) -> None:
        if not {"server", "network"} <= set(self.kinds_of(provider)):
            pytest.skip("kinds: this provider knows no networks, or no servers")
        network = provider.create(self.wish("network", key="ws/wuji/one")).resource
        assert provider.get("server", network.id) is None
        assert provider.find("server", key="ws/wuji/one") is None
        assert provider.delete("server", network.id) is False
        assert provider.get("network", network.id) == network

    def test_lists_are_sorted_by_key_and_can_be_limited_to_an_infra(self, provider: Provider) -> None:
        kind = self.kinds_of(provider)[-1]
        for infra, name in (("wuji", "c"), ("other", "b"), ("wuji", "a")):
            provider.create(self.wish(kind, name, infra))
        assert [each.key for each in provider.list(kind)] == sorted(each.key for each in provider.list(kind))
        assert [each.name for each in provider.list(kind, infra="wuji")] == ["a", "c"]
        assert provider.list(kind, infra="wu") == []

    def test_deleting_twice_deletes_once_and_the_next_create_makes_a_new_one(self, provider: Provider) -> None:
        for kind in self.kinds_of(provider):
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

    def test_a_hostile_name_is_refused_or_kept_exactly(
        self, provider: Provider, workspace: Path, hostile_name: str
    ) -> None:
        for kind in self.kinds_of(provider):
            wish = self.wish(kind, hostile_name, key=f"ws/wuji/{kind}/{hostile_name}")
            refusal: ProviderError | None = None
            try:
                resource = provider.create(wish).resource
            except ProviderError as error:
                refusal = error
            if refusal:
                assert not refusal.retryable, "the same name will not become a better one"
                assert provider.list(kind) == []
            else:
                assert (resource.name, resource.key) == (hostile_name, wish.key)
                assert provider.get(kind, resource.id) == resource
        assert not list(workspace.parent.rglob("pwned"))

    def test_a_hostile_key_is_refused_or_kept_exactly(self, provider: Provider) -> None:
        kind = self.kinds_of(provider)[-1]
        for number, key in enumerate(self.hostile_names):
            with suppress(ProviderError):
                resource = provider.create(self.wish(kind, f"n{number}", key=f"ws/{key}")).resource
                assert resource.key == f"ws/{key}"
                assert provider.find(kind, key=f"ws/{key}") == resource
