"""Providers that do one thing wrong each, and one that can no more than it must: to try the conformance suite on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from provisioning_core.capabilities import Fault, PlanInfo, PowerAction
from provisioning_core.errors import ProviderError
from provisioning_core.provider import Created, Kind, Resource, Wish
from provisioning_core.testing import ledger_terms as terms
from provisioning_core.testing.ledger_provider import LedgerProvider

Announce = Callable[[Resource], None]


class Minimal:
    """The five verbs, and nothing that says of more."""

    name = "minimal"

    def __init__(self, workspace: Path, settings: Mapping[str, Any] = {}) -> None:
        whole = LedgerProvider(workspace)
        self.create, self.find, self.get, self.delete = whole.create, whole.find, whole.get, whole.delete
        self.list = whole.list


class CreatesTwice(LedgerProvider):
    def create(self, wish: Wish, *, announce: Announce = lambda _: None) -> Created:
        return super().create(replace(wish, intent=str(uuid4()), key=f"{wish.key}{uuid4()}"), announce=announce)


class CreatesTwiceForAnotherWish(LedgerProvider):
    def create(self, wish: Wish, *, announce: Announce = lambda _: None) -> Created:
        if self.find(wish.kind, intent=wish.intent) is None and (found := self.find(wish.kind, key=wish.key)):
            self.delete(wish.kind, found.id)
        return super().create(wish, announce=announce)


class ForgetsTheKey(LedgerProvider):
    def get(self, kind: Kind, id: str) -> Resource | None:
        found = super().get(kind, id)
        return replace(found, key="") if found else None


class ForgetsTheIntent(LedgerProvider):
    def find(self, kind: Kind, *, intent: str | None = None, key: str | None = None) -> Resource | None:
        return super().find(kind, key=key) if key else None


class AnnouncesNothing(LedgerProvider):
    def create(self, wish: Wish, *, announce: Announce = lambda _: None) -> Created:
        return super().create(wish)


class AnnouncesTwice(LedgerProvider):
    def create(self, wish: Wish, *, announce: Announce = lambda _: None) -> Created:
        made = super().create(wish, announce=announce)
        announce(made.resource)
        return made


class AnnouncesWhatIsNotThere(LedgerProvider):
    def create(self, wish: Wish, *, announce: Announce = lambda _: None) -> Created:
        announce(Resource(wish.kind, "soon", wish.key, wish.intent, wish.infra, wish.name, "creating"))
        return super().create(wish)


class SaysNotHowToConnect(LedgerProvider):
    def create(self, wish: Wish, *, announce: Announce = lambda _: None) -> Created:
        made = super().create(wish, announce=announce)
        return replace(made, resource=replace(made.resource, attributes={"address": "192.0.2.1"}))


class DeleteLies(LedgerProvider):
    def delete(self, kind: Kind, id: str) -> bool:
        return self.get(kind, id) is not None


class DeletesOfEveryKind(LedgerProvider):
    def delete(self, kind: Kind, id: str) -> bool:
        return any(LedgerProvider.delete(self, each, id) for each in self.capabilities.kinds)


class DeletedStaysFound(LedgerProvider):
    """As where a cloud shows for a while what is gone."""

    gone: dict[str, Resource] = {}  # noqa: RUF012

    def delete(self, kind: Kind, id: str) -> bool:
        if (found := self.get(kind, id)) is None:
            return False
        self.gone[found.key] = found
        return super().delete(kind, id)

    def find(self, kind: Kind, *, intent: str | None = None, key: str | None = None) -> Resource | None:
        return super().find(kind, intent=intent, key=key) or self.gone.get(key or "")


class ListsUnsorted(LedgerProvider):
    def list(self, kind: Kind, *, infra: str | None = None) -> list[Resource]:
        return super().list(kind, infra=infra)[::-1]


class ListsOtherInfras(LedgerProvider):
    def list(self, kind: Kind, *, infra: str | None = None) -> list[Resource]:
        return super().list(kind)


class RetriesBadNames(LedgerProvider):
    def create(self, wish: Wish, *, announce: Announce = lambda _: None) -> Created:
        try:
            return super().create(wish, announce=announce)
        except ProviderError as error:
            raise ProviderError(error.message, code=error.code) from error


class CutsNames(LedgerProvider):
    def create(self, wish: Wish, *, announce: Announce = lambda _: None) -> Created:
        return super().create(replace(wish, name=wish.name.strip("./-*") or "x"), announce=announce)


class FoldsKeys(LedgerProvider):
    def create(self, wish: Wish, *, announce: Announce = lambda _: None) -> Created:
        return super().create(replace(wish, key=wish.key.lower()), announce=announce)

    def find(self, kind: Kind, *, intent: str | None = None, key: str | None = None) -> Resource | None:
        return super().find(kind, intent=intent, key=key and key.lower())


class DeletesWhatIsNotThere(LedgerProvider):
    def delete(self, kind: Kind, id: str) -> bool:
        super().delete(kind, id)
        return True


class NeverNormal(LedgerProvider):
    def normalize(self, kind: Kind, spec: Mapping[str, Any]) -> dict[str, Any]:
        normal = super().normalize(kind, spec)
        return normal | {"zone": "fi-hel1" if spec.get("zone") != "fi-hel1" else "de-fra1"}


class ChangesTheSpec(LedgerProvider):
    def normalize(self, kind: Kind, spec: Mapping[str, Any]) -> dict[str, Any]:
        normal = super().normalize(kind, spec)
        if isinstance(spec, dict):
            spec.setdefault("zone", "ledger")
        return normal


class AcceptsEverything(LedgerProvider):
    def normalize(self, kind: Kind, spec: Mapping[str, Any]) -> dict[str, Any]:
        known = {"plan", "cpus", "memory_gb", "cidr", "size_gb", "firewall", "storages"}
        return super().normalize(kind, {name: value for name, value in spec.items() if name in known})


class RefusesInRiddles(LedgerProvider):
    def normalize(self, kind: Kind, spec: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return super().normalize(kind, spec)
        except ProviderError as error:
            raise ProviderError("400 Bad Request", code=error.code, retryable=False) from error


class ObservesSomethingElse(LedgerProvider):
    def create(self, wish: Wish, *, announce: Announce = lambda _: None) -> Created:
        return super().create(replace(wish, spec=dict(wish.spec) | {"zone": "us-nyc1"}), announce=announce)


class DropsLabels(LedgerProvider):
    def create(self, wish: Wish, *, announce: Announce = lambda _: None) -> Created:
        return super().create(replace(wish, labels={}), announce=announce)


class UpdateReplaces(LedgerProvider):
    def update(self, id: str, wish: Wish) -> Resource:
        super().update(id, wish)
        self.delete(wish.kind, id)
        return self.create(wish).resource


class UpdateDoesNothing(LedgerProvider):
    def update(self, id: str, wish: Wish) -> Resource:
        return self._must_get(wish.kind, id)


class UpdateChangesWhatItMustNot(LedgerProvider):
    def update(self, id: str, wish: Wish) -> Resource:
        found = self._must_get(wish.kind, id)
        for name, value in terms.normalize(wish.kind, wish.spec).items():
            found = self._change(found, name, value)
        return self._change(found, "labels", dict(wish.labels))


class UpdateCreates(LedgerProvider):
    def update(self, id: str, wish: Wish) -> Resource:
        return super().update(id, wish) if self.get(wish.kind, id) else self.create(wish).resource


class RebootStops(LedgerProvider):
    def power(self, id: str, action: PowerAction) -> Resource:
        return super().power(id, "stop" if action == "reboot" else action)


class StopsOnce(LedgerProvider):
    def power(self, id: str, action: PowerAction) -> Resource:
        if action == "stop" and self._must_get("server", id).state == "stopped":
            raise ProviderError("it is stopped", retryable=False)
        return super().power(id, action)


class LeavesItStopped(LedgerProvider):
    def create(self, wish: Wish, *, announce: Announce = lambda _: None) -> Created:
        found = self.find(wish.kind, key=wish.key)
        return Created(found, created=False) if found else super().create(wish, announce=announce)


class AdoptsFromOthers(LedgerProvider):
    def adopt(self, id: str, wish: Wish) -> Resource:
        with self._file.resources() as resources:
            if id in resources:
                resources[id]["key"] = ""
        return super().adopt(id, wish)


class AdoptsWithoutIntent(LedgerProvider):
    def adopt(self, id: str, wish: Wish) -> Resource:
        return super().adopt(id, replace(wish, intent=str(uuid4())))


class OffersTwice(LedgerProvider):
    def zones(self) -> list[str]:
        return [*terms.ZONES, terms.ZONES[0]]


class OffersWhatItRefuses(LedgerProvider):
    def plans(self, zone: str | None = None) -> list[PlanInfo]:
        return [*super().plans(zone), PlanInfo("huge", 1000, 1000, None, 1.0, "EUR")]


class HidesThePrice(LedgerProvider):
    def plans(self, zone: str | None = None) -> list[PlanInfo]:
        return [replace(plan, price_hour=None) for plan in super().plans(zone)]


class OffersNoImages(LedgerProvider):
    def images(self) -> list[str]:
        return []


class _Drops(LedgerProvider):
    dropped = ""

    def create(self, wish: Wish, *, announce: Announce = lambda _: None) -> Created:
        spec = {name: value for name, value in wish.spec.items() if name != self.dropped}
        return super().create(replace(wish, spec=spec), announce=announce)


class DropsKeys(_Drops):
    dropped = "ssh_keys"


class DropsUserData(_Drops):
    dropped = "user_data"


class DropsTheFirewall(_Drops):
    dropped = "firewall"


class DropsStorages(_Drops):
    dropped = "storages"


class PromisesWhatItRefuses(LedgerProvider):
    def faults(self, wish: Wish, network: Mapping[str, Any] | None = None) -> list[Fault]:
        return []


class LooksBeforeItLocks(LedgerProvider):
    """Two that look at once both find nothing."""

    def create(self, wish: Wish, *, announce: Announce = lambda _: None) -> Created:
        if found := self.find(wish.kind, intent=wish.intent, key=wish.key):
            return Created(found, created=False)
        time.sleep(1)
        made = self.make_unmanaged(wish.kind, wish.name)
        with self._file.resources() as resources:
            resources[made] |= {"key": wish.key, "intent": wish.intent, "infra": wish.infra}
            resource = Resource(**resources[made])
        announce(resource)
        return Created(resource, created=True)


class SharesAnAddress(LedgerProvider):
    def list(self, kind: Kind, *, infra: str | None = None) -> list[Resource]:
        return [replace(one, attributes={**one.attributes, "ssh": {}}) for one in super().list(kind, infra=infra)]


class LeavesALock(LedgerProvider):
    def create(self, wish: Wish, *, announce: Announce = lambda _: None) -> Created:
        lock = self._file.directory / "own-lock"
        try:
            lock.mkdir()
        except FileExistsError:
            raise ProviderError("somebody is at it") from None
        time.sleep(0.5)
        made = super().create(wish, announce=announce)
        lock.rmdir()
        return made


class AnnouncesAndMakesAnother(LedgerProvider):
    """The one that it announces can't be found again before it is done."""

    def create(self, wish: Wish, *, announce: Announce = lambda _: None) -> Created:
        if found := self.find(wish.kind, intent=wish.intent, key=wish.key):
            return Created(found, created=False)
        id = self.make_unmanaged(wish.kind, wish.name)
        announce(Resource(wish.kind, id, wish.key, wish.intent, wish.infra, wish.name, "creating"))
        time.sleep(0.5)
        return Created(self.adopt(id, wish), created=True)


class UpdateLeavesItStopped(LedgerProvider):
    """It does not remember that it was itself who has stopped it."""

    def update(self, id: str, wish: Wish) -> Resource:
        found = self._must_get(wish.kind, id)
        was = found.state
        if asdict(found)["attributes"]["labels"] != dict(wish.labels):
            found = self._set(found, state="stopped")
            time.sleep(0.5)
        return self._set(super().update(id, wish), state=was)
