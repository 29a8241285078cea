"""Compares a definition with what exists, and says what is to be done: `infra plan`, `--check`, and every prompt.

Nothing is changed here. What exists is asked of every provider that the definition or the inventory names, once per
kind; all else is comparing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

from ..clouds import Clouds, Found
from ..infra import Infra, Network, Server, load_infra
from ..provider import Kind
from ..workspace import Workspace
from .acceptable import check_acceptable
from .applying import apply_tasks
from .comparing import differences, observation, state_change, wish_in_terms
from .creating import check_params, check_policy
from .disowned import disowned, second_refused
from .model import Change, FieldChange, Gate, Plan
from .programs import own_programs
from .services import service_changes

KINDS_PLANNED: tuple[Kind, ...] = ("network", "server")


def plan_create(
    workspace: Workspace, infra: str, servers: Sequence[str] | None = None, *, clouds: Clouds | None = None
) -> Plan:
    """What is to be done about these servers (None: all) and their networks; nothing is deleted by it.

    Raises what load_infra, Infra.select and the providers raise.
    """
    definition = load_infra(workspace, infra)
    chosen = definition.select(servers)
    clouds = clouds or Clouds(workspace)
    check_acceptable(clouds, definition, definition.networks_of(chosen), chosen)
    looked = _Look(clouds, definition)
    changes = looked.resources(definition.networks_of(chosen), chosen)
    return _plan(workspace, definition, changes, ())


def plan_infra(workspace: Workspace, infra: str, *, clouds: Clouds | None = None) -> Plan:
    """All of it: networks, servers, taskservs, and what is ours in this infrastructure and defined no more.

    Raises as `plan_create`.
    """
    definition = load_infra(workspace, infra, manifests=True)
    clouds = clouds or Clouds(workspace)
    check_acceptable(clouds, definition, definition.networks, definition.servers)
    looked = _Look(clouds, definition)
    changes = looked.resources(definition.networks, definition.servers)
    services = service_changes(clouds, definition, changes)
    deletions = list(looked.deletions())
    gone = {change.name for change in deletions if change.kind == "server"}
    services = [each for each in services if each.action != "delete" or each.name.rpartition(".")[2] not in gone]
    gates = tuple(_gates(definition))
    return _plan(workspace, definition, [*changes, *services, *deletions], gates)


def _plan(workspace: Workspace, infra: Infra, changes: Sequence[Change], gates: Sequence[Gate]) -> Plan:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    plan = Plan(infra.name, tuple(changes), workspace.id, str(uuid4()), now, tuple(gates))
    own = own_programs(workspace, apply_tasks(plan, workspace.provider)) if workspace.library() is not None else {}
    return replace(plan, operations=own)


def _gates(infra: Infra) -> Iterator[Gate]:
    for check in (*infra.checks, *(check for cluster in infra.clusters for check in cluster.checks)):
        yield Gate(check.name, check_params(infra.name, check), check.needs, check_policy(check))


class _Look:
    """What exists of one infrastructure, looked at once."""

    def __init__(self, clouds: Clouds, infra: Infra) -> None:
        self._clouds, self._infra = clouds, infra
        self._workspace = clouds.workspace
        self._entries = {entry.key: entry for entry in clouds.inventory.all(infra.name)}
        self._there: dict[str, list[Found]] = {}
        for kind in KINDS_PLANNED:
            for found in clouds.list(kind, infra.name, definition=infra):
                self._there.setdefault(found.resource.key, []).append(found)

    def resources(self, networks: Sequence[Network], servers: Sequence[Server]) -> list[Change]:
        """The networks first. The servers of a network that is replaced are replaced with it.

        Raises ConflictError (`disowned`) where what is to be created is there, without our labels.
        """
        self._refuse_doubles({self._key("network", each.name) for each in networks}, "network")
        self._refuse_doubles({self._key("server", each.name) for each in servers}, "server")
        changes = [self._change("network", network) for network in networks]
        renewed = {(change.provider, change.name) for change in changes if change.action == "replace"}
        for server in servers:
            change = self._change("server", server)
            there = change.action in ("start", "update", "replace", "exists")
            if there and (change.provider, server.network) in renewed:
                why = FieldChange("network", server.network, server.network, "replace")
                change = replace(change, action="replace", fields=(*change.fields, why))
            changes.append(change)
        return changes

    def deletions(self) -> Iterator[Change]:
        """What has our labels and is not defined, or not at that provider any more; the servers first."""
        defined = {self._workspace.key(self._infra.name, "server", each.name) for each in self._infra.servers}
        defined |= {self._workspace.key(self._infra.name, "network", each.name) for each in self._infra.networks}
        for kind in ("server", "network"):
            for key, founds in self._there.items():
                # One that moves is replaced: of several only those behind the first are left over.
                for found in founds[1:] if key in defined else founds:
                    if found.resource.kind == kind:
                        yield self._deletion(found)

    def _deletion(self, found: Found) -> Change:
        resource = found.resource
        seen = observation(resource)
        return Change("delete", resource.kind, resource.name, resource.key, resource.id, found.provider, observed=seen)

    def _refuse_doubles(self, keys: Collection[str], kind: Kind) -> None:
        missing = [entry for key, entry in self._entries.items() if key in keys and key not in self._there]
        found = disowned(self._clouds, kind, missing)
        if found:
            raise second_refused(self._infra.name, [self._entries[key] for key in found])

    def _key(self, kind: Kind, name: str) -> str:
        return self._workspace.key(self._infra.name, kind, name)

    def _change(self, kind: Kind, wanted: Network | Server) -> Change:
        key = self._key(kind, wanted.name)
        provider = self._clouds.load(wanted.provider)
        terms = wish_in_terms(provider, kind, wanted.spec(), wanted.labels)
        wish = {"spec": wanted.spec(), "labels": dict(wanted.labels)}
        name = wanted.provider or self._workspace.provider
        change = Change("create", kind, wanted.name, key, None, name, wish=wish, task=wanted.policy.task_fields())
        founds = sorted(self._there.get(key, ()), key=lambda each: each.provider != name)
        if not founds:
            return change
        self._there[key] = founds
        old, resource = founds[0]
        change = replace(change, id=resource.id, observed=observation(resource))
        if old != name:
            moved = FieldChange("provider", old, name, "replace")
            return replace(change, action="replace", fields=(moved,), old_provider=old)
        entry = self._entries.get(key)
        fields = differences(provider, terms, resource, entry)
        state = state_change(resource, entry) if kind == "server" else None
        if state is not None and state.effect == "replace":
            fields = (*fields, state)
        change = replace(change, action="update" if fields else "exists", fields=fields)
        if change.effect == "replace":
            return replace(change, action="replace")
        if state is None:
            return change
        return replace(change, action="update" if fields else "start", fields=(*fields, state))
