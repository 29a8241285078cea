"""Several callers at once, and callers that are killed: exactly one resource, whatever happens."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest

from ..capabilities import Updating
from ..provider import Provider
from .suite_changes import another, observed_is
from .suite_ground import SuiteGround, finish, kill_after, took


class ProcessTests(SuiteGround):
    @pytest.mark.slow
    def test_simultaneous_creates_of_one_key_make_one(self, provider: Provider, workspace: Path) -> None:
        for kind in self.kinds_of(provider):
            started = [self.start(workspace, self.wish(kind)) for _ in range(self.simultaneous)]
            words = [finish(process) for process in started]
            assert sorted(word for word, _ in words) == ["created"] + ["found"] * (self.simultaneous - 1)
            assert {id for _, id in words} == {resource.id for resource in provider.list(kind)}

    @pytest.mark.slow
    def test_simultaneous_creates_of_different_keys_make_all(self, provider: Provider, workspace: Path) -> None:
        kind = self.kinds_of(provider)[0]
        names = [f"n{number}" for number in range(self.simultaneous)]
        started = [self.start(workspace, self.wish(kind, name)) for name in names]
        assert [finish(process)[0] for process in started] == ["created"] * len(names)
        resources = provider.list(kind)
        assert [each.name for each in resources] == names
        if kind == "server":
            assert len({json.dumps(each.attributes["ssh"]) for each in resources}) == len(names)

    @pytest.mark.slow
    def test_a_create_that_was_killed_and_is_repeated_makes_one(self, provider: Provider, workspace: Path) -> None:
        """kill -9 at random moments: what was announced stays, and the repetition ends with exactly one resource."""
        chance = random.Random(self.seed)  # noqa: S311
        for kind in self.kinds_of(provider):
            began = time.monotonic()
            assert finish(self.start(workspace, self.wish(kind, "measured")))[0] == "created"
            whole_s = took(began)
            for number in range(self.kills):
                wish = self.wish(kind, f"k{number}", spec=self.rich_spec(provider, kind))
                announced = {
                    id
                    for _ in range(chance.randint(1, 2))
                    for id in kill_after(self.start(workspace, wish), chance.uniform(0, whole_s * 1.1))
                }
                made = provider.create(wish)
                assert made.resource.state == "started"
                assert announced <= {made.resource.id}, f"seed {self.seed}, kill {number}: an announced one was lost"
                assert [each.id for each in provider.list(kind) if each.key == wish.key] == [made.resource.id]
                observed_is(provider, made.resource, wish)
                assert provider.create(wish).created is False
                assert provider.delete(kind, made.resource.id)

    @pytest.mark.slow
    def test_an_update_that_was_killed_and_is_repeated_is_whole(self, provider: Provider, workspace: Path) -> None:
        """kill -9 at random moments: the same resource, with all changes, and running as before."""
        can = self.needs(provider, "update")
        assert isinstance(provider, Updating)
        chance = random.Random(self.seed)  # noqa: S311
        for kind in self.kinds_of(provider):
            fields = [name for name, effect in can.effects.get(kind, {}).items() if effect != "replace"]
            before = self.wish(kind, spec=self.rich_spec(provider, kind))
            after = before
            for name in fields:
                after = another(self.updates, provider, after, name) or after
            if after == before:
                continue
            id = provider.create(before).resource.id
            began = time.monotonic()
            assert finish(self.start(workspace, after, "update", id)) == ("updated", id)
            whole_s = took(began)
            for number in range(self.kills):
                wish = after if number % 2 else before
                kill_after(self.start(workspace, wish, "update", id), chance.uniform(0, whole_s * 1.1))
                updated = provider.update(id, wish)
                assert (updated.id, updated.state) == (id, "started"), f"seed {self.seed}, kill {number}"
                observed_is(provider, updated, wish)
                assert [each.id for each in provider.list(kind)] == [id]
            assert provider.delete(kind, id)
