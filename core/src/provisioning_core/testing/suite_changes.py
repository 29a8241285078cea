"""Beyond the five verbs: terms of its own, updates, power, adoption, labels. Each only where a flag says so."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from ..capabilities import Adopting, Catalogue, Checking, Powering, Updating, capabilities_of, has_terms, normalized
from ..errors import ProviderError
from ..provider import Kind, Provider, Resource, Wish
from .suite_ground import SuiteGround

LABELS = {"role": "web", "colour": "blue"}
SURPRISE = "no_such_field"


class TermTests(SuiteGround):
    """`normalize`: what a planner compares."""

    def test_normalizing_is_pure_idempotent_and_gives_plain_data(self, provider: Provider) -> None:
        terms = self.needs_terms(provider)
        for kind in self.kinds_of(provider):
            spec = self.rich_spec(provider, kind)
            kept = copy.deepcopy(spec)
            once = terms.normalize(kind, spec)
            assert spec == kept, "the spec that was given has been changed"
            assert terms.normalize(kind, spec) == once, "the same spec gives something else the second time"
            assert terms.normalize(kind, once) == once, "what was normalized is not in normal form"
            assert json.loads(json.dumps(once)) == once
        assert all(provider.list(kind) == [] for kind in self.kinds_of(provider))

    def test_a_bad_spec_is_refused_for_good_and_named_and_makes_nothing(self, provider: Provider) -> None:
        terms = self.needs_terms(provider)
        for kind in self.kinds_of(provider):
            for bad in (*_bad_specs(provider, kind), *self.bad_specs.get(kind, ())):
                spec = {**self.spec(kind), **bad}
                with pytest.raises(ProviderError) as refusal:
                    terms.normalize(kind, spec)
                _is_clear(refusal.value, bad)
                with pytest.raises(ProviderError) as refusal:
                    provider.create(self.wish(kind, spec=spec))
                _is_clear(refusal.value, bad)
                assert provider.list(kind) == [], f"{bad} was refused, and made all the same"

    def test_what_it_would_refuse_is_known_before_a_create(self, provider: Provider) -> None:
        if not isinstance(provider, Checking):
            pytest.skip("faults: the provider has no such verb; a plan knows what its `normalize` refuses")
        for kind in self.kinds_of(provider):
            good = self.wish(kind, spec=self.rich_spec(provider, kind), labels=LABELS)
            assert provider.faults(good) == []
            bad = [replace(good, spec={**good.spec, **fields}) for fields in _bad_specs(provider, kind)]
            for wish in (*bad, replace(good, name="No Name", infra="../..")):
                faults = provider.faults(wish)
                assert faults and all(fault.message for fault in faults), "it would be promised"
                with pytest.raises(ProviderError) as refusal:
                    provider.create(wish)
                assert not refusal.value.retryable
            assert provider.list(kind) == []

    def test_what_is_observed_of_a_new_resource_is_what_was_wished(self, provider: Provider) -> None:
        self.needs_terms(provider)
        for kind in self.kinds_of(provider):
            wish = self.wish(kind, spec=self.rich_spec(provider, kind))
            made = provider.create(wish).resource
            observed_is(provider, made, wish)
            if capabilities_of(provider).effects.get(kind, {}).keys() - {"labels"}:
                assert made.attributes.get("spec"), f"a {kind} can be changed, but nothing of it is observed"


class ChangeTests(SuiteGround):
    def test_labels_are_seen_at_the_resource(self, provider: Provider) -> None:
        self.needs(provider, "labels")
        for kind in self.kinds_of(provider):
            made = provider.create(self.wish(kind, labels=LABELS)).resource
            for seen in (made, provider.get(kind, made.id), *provider.list(kind)):
                assert seen is not None and dict(seen.attributes["labels"]) == LABELS

    def test_an_update_changes_each_field_in_what_is_there_and_nothing_twice(self, provider: Provider) -> None:
        can = self.needs(provider, "update")
        assert isinstance(provider, Updating)
        untried = []
        for kind in self.kinds_of(provider):
            wish = self.wish(kind)
            made = provider.create(wish).resource
            for name, effect in can.effects.get(kind, {}).items():
                changed = another(self.updates, provider, wish, name) if effect != "replace" else None
                if changed is None:
                    untried += [f"{kind}.{name}"] if effect != "replace" else []
                    continue
                wish = changed
                for _ in range(2):
                    updated = provider.update(made.id, wish)
                    assert (updated.id, updated.key, updated.state) == (made.id, wish.key, "started")
                    assert provider.get(kind, made.id) == updated
                    observed_is(provider, updated, wish)
                    assert _observed(updated, name) == _wished(provider, wish, name), f"{kind}.{name} is not changed"
            assert [each.id for each in provider.list(kind)] == [made.id]
        if untried:
            pytest.skip(f"all else was tried; give another value in `updates` for {', '.join(untried)}")

    def test_an_update_refuses_what_needs_replacement_and_changes_nothing(self, provider: Provider) -> None:
        can = self.needs(provider, "update")
        assert isinstance(provider, Updating)
        tried = 0
        for kind in self.kinds_of(provider):
            wish = self.wish(kind)
            made = provider.create(wish).resource
            for name in ("zone", "image", "cidr", "plan", *self.replacements.get(kind, ())):
                wants = (
                    another(self.replacements, provider, wish, name) if can.effect(kind, name) == "replace" else None
                )
                if wants is None:
                    continue
                tried += 1
                with pytest.raises(ProviderError) as refusal:
                    provider.update(made.id, replace(wants, labels=LABELS))
                assert (refusal.value.code, refusal.value.retryable) == ("needs_replacement", False)
                assert provider.get(kind, made.id) == made, "it was refused, and changed all the same"
        if not tried:
            pytest.skip("nothing known that needs replacement; give another value in `replacements`")

    def test_an_update_of_what_is_not_there_is_not_found(self, provider: Provider) -> None:
        self.needs(provider, "update")
        assert isinstance(provider, Updating)
        for kind in self.kinds_of(provider):
            with pytest.raises(ProviderError) as refusal:
                provider.update(str(uuid.uuid4()), self.wish(kind))
            assert (refusal.value.code, refusal.value.retryable) == ("not_found", False)
            assert provider.list(kind) == []

    def test_power_brings_it_into_the_state_from_whichever(self, provider: Provider) -> None:
        self.needs(provider, "power")
        assert isinstance(provider, Powering)
        made = provider.create(self.wish("server")).resource
        ends = {"start": "started", "stop": "stopped", "reboot": "started"}
        for action in ("start", "stop", "stop", "start", "start", "reboot", "reboot", "stop", "reboot"):
            after = provider.power(made.id, cast(Any, action))
            assert (after.id, after.state) == (made.id, ends[action]), action
            assert provider.get("server", made.id) == after
        with pytest.raises(ProviderError) as refusal:
            provider.power(str(uuid.uuid4()), "start")
        assert (refusal.value.code, refusal.value.retryable) == ("not_found", False)

    def test_a_stopped_server_that_create_finds_is_started_again(self, provider: Provider) -> None:
        self.needs(provider, "power")
        assert isinstance(provider, Powering)
        wish = self.wish("server")
        made = provider.create(wish)
        assert not made.restarted
        provider.power(made.resource.id, "stop")
        again = provider.create(wish)
        assert (again.created, again.restarted, again.resource.id) == (False, True, made.resource.id)
        assert again.resource.state == "started"
        assert provider.create(wish).restarted is False

    def test_adopting_makes_it_ours_and_twice_is_once(self, provider: Provider) -> None:
        self.needs(provider, "adopt")
        assert isinstance(provider, Adopting)
        for kind in self.kinds_of(provider):
            id = self.make_unmanaged(provider, kind)
            (stranger,) = [one for one in provider.unmanaged(kind) if one.id == id]
            assert (stranger.key, stranger.intent, stranger.infra) == ("", "", "")
            assert provider.list(kind) == []
            wish = self.wish(kind, labels=LABELS)
            ours = provider.adopt(id, wish)
            assert (ours.id, ours.key, ours.intent, ours.infra) == (id, wish.key, wish.intent, wish.infra)
            again, found = provider.adopt(id, wish), provider.find(kind, key=wish.key)
            assert found is not None
            for seen in (again, found, *provider.list(kind)):
                assert replace(seen, state=ours.state) == ours, "but for its state: it may just have come up"
            assert len(provider.list(kind)) == 1
            assert [one.id for one in provider.unmanaged(kind) if one.id == id] == []
            assert provider.create(wish).created is False

    def test_what_is_somebody_elses_is_not_adopted(self, provider: Provider) -> None:
        self.needs(provider, "adopt")
        assert isinstance(provider, Adopting)
        for kind in self.kinds_of(provider):
            theirs = provider.create(self.wish(kind, "theirs")).resource
            with pytest.raises(ProviderError) as refusal:
                provider.adopt(theirs.id, self.wish(kind, "mine"))
            assert (refusal.value.code, refusal.value.retryable) == ("adopted_elsewhere", False)
            assert provider.list(kind) == [theirs]
            with pytest.raises(ProviderError) as refusal:
                provider.adopt(str(uuid.uuid4()), self.wish(kind, "mine"))
            assert (refusal.value.code, refusal.value.retryable) == ("not_found", False)


def observed_is(provider: Provider, resource: Resource, wish: Wish) -> None:
    """What is observed of it is what was wished, in the provider's own terms; only in the fields that it observes."""
    observed = resource.attributes.get("spec")
    if not has_terms(provider) or not observed:
        return
    wanted = normalized(provider, wish.kind, wish.spec)
    strange = [name for name in observed if name not in wanted]
    assert not strange, f"observed fields that normalize does not know: {strange}"
    different = {name: (value, wanted[name]) for name, value in observed.items() if wanted[name] != value}
    assert not different, f"observed, wished: {different}"


def another(given: Mapping[str, Mapping[str, Any]], provider: Provider, wish: Wish, name: str) -> Wish | None:
    """The wish with another value in that field, from the suite's attribute or else from what the provider offers."""
    if name == "labels":
        return replace(wish, labels=LABELS if dict(wish.labels) != LABELS else {"role": "other"})
    spec = normalized(provider, wish.kind, wish.spec)
    value = None
    if name in given.get(wish.kind, {}):
        value = given[wish.kind][name]
    elif name in spec or not has_terms(provider):
        value = _another_value(provider, wish.kind, name, spec.get(name))
    return None if value is None else replace(wish, spec=_changed(wish.spec, name, value))


def _changed(spec: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
    sizes = ("cpus", "memory_gb") if name == "plan" else ("plan",) if name in ("cpus", "memory_gb") else ()
    return {field: old for field, old in spec.items() if field not in sizes} | {name: value}


def _another_value(provider: Provider, kind: Kind, name: str, now: Any) -> Any:
    flags = capabilities_of(provider).flags
    if name == "firewall":
        return [*(now or []), {"protocol": "tcp", "ports": [9000, 9000]}]
    if name == "storages":
        return [*(now or []), {"name": "more", "size_gb": 10}]
    if name in ("disk_gb", "size_gb") and isinstance(now, int):
        return now + 10
    if name == "cidr" and now:
        return "10.99.0.0/24" if now != "10.99.0.0/24" else "10.98.0.0/24"
    offers: dict[str, list[str]] = {}
    if isinstance(provider, Catalogue) and (kind == "server" or name == "zone"):
        offers = {
            "plan": [plan.name for plan in provider.plans()] if "plans" in flags else [],
            "zone": provider.zones() if "zones" in flags else [],
            "image": provider.images() if "images" in flags else [],
        }
    return next((value for value in offers.get(name, ()) if value != now), None)


def _bad_specs(provider: Provider, kind: Kind) -> list[dict[str, Any]]:
    """What no provider can mean."""
    flags = capabilities_of(provider).flags
    bad: list[dict[str, Any]] = [{SURPRISE: 1}]
    if kind == "server" and "plans" in flags:
        bad.append({"plan": "no-such-plan"})
    if "zones" in flags:
        bad.append({"zone": "no-such-zone"})
    return bad


def _is_clear(refusal: ProviderError, bad: Mapping[str, Any]) -> None:
    assert not refusal.retryable, "the same spec will not become a better one"
    words = [word for name, value in bad.items() for word in ((name,) if name == SURPRISE else (name, str(value)))]
    assert any(word in refusal.message for word in words), f"{refusal.message!r} does not name what is wrong: {bad}"


def _observed(resource: Resource, name: str) -> Any:
    attributes = resource.attributes
    return dict(attributes["labels"]) if name == "labels" else attributes["spec"].get(name)


def _wished(provider: Provider, wish: Wish, name: str) -> Any:
    return dict(wish.labels) if name == "labels" else normalized(provider, wish.kind, wish.spec).get(name)
