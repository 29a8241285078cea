"""Random definitions and random worlds, and a hand that does the tasks of a plan without any process."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter
from typing import Any
from uuid import uuid4

import yaml

from provisioning_core.alteration import update_resource
from provisioning_core.inventory import Inventory
from provisioning_core.plan import Plan
from provisioning_core.plan.applying import apply_tasks
from provisioning_core.plan.document import plan_document, plan_of, unsealed
from provisioning_core.provider import Wish
from provisioning_core.resources import create_resource, delete_resource
from provisioning_core.testing.ledger_provider import LedgerProvider, SecondLedger
from provisioning_core.workspace import Workspace

FIRST = "provisioning_core.testing.ledger_provider:LedgerProvider"
SECOND = "provisioning_core.testing.ledger_provider:SecondLedger"
PLANS = ("1cpu-1gb", "2cpu-4gb", "4cpu-8gb")
NAMES = ("web", "db", "app", "lb", "kv")
NETS = ("net-a", "net-b")


def definition(chance: random.Random, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """As YAML would say it. before: the definition that was there; most of it stays."""
    old = {each["name"]: each for part in (before or {}).values() for each in part if chance.random() < 0.6}
    networks = []
    for number, name in enumerate(NETS):
        if name in old:
            networks.append(old[name])
        elif chance.random() < 0.7:
            cidr = f"10.{number}.{chance.choice((0, 0, 0, 1))}.0/24"
            networks.append({"name": name, "cidr": cidr, "labels": _labels(chance)})
    servers = []
    there = {network["name"] for network in networks}
    for name in NAMES:
        if name in old and old[name].get("network") in (None, *there):
            servers.append(old[name])
        elif chance.random() < 0.6:
            servers.append(_server(chance, name, [network["name"] for network in networks]))
    return {"networks": networks, "servers": servers or [{"name": "only", "plan": "1cpu-1gb"}]}


def _server(chance: random.Random, name: str, networks: Sequence[str]) -> dict[str, Any]:
    server: dict[str, Any] = {"name": name, "labels": _labels(chance)}
    server |= {"plan": chance.choice(PLANS)} if chance.random() < 0.8 else {"cpus": 2, "memory_gb": 2}
    options: dict[str, Any] = {
        "disk_gb": chance.choice((10, 20)),
        "zone": chance.choice(("fi-hel1", "de-fra1")),
        "image": chance.choice(("debian-12", "debian-13")),
        "user_data": chance.choice(("#!/bin/sh\necho one\n", "#!/bin/sh\necho two\n")),
        "firewall": [{"protocol": "tcp", "ports": chance.choice((22, 80))}],
        "storages": [{"name": "data", "size_gb": chance.choice((5, 6))}, {"name": "log", "size_gb": 1}],
        "provider": SECOND,
    }
    if networks:
        options["network"] = chance.choice(networks)
    for field, value in options.items():
        if chance.random() < 0.25:
            server[field] = value
    # A server is in a network of its own provider.
    return {field: value for field, value in server.items() if field != "network" or "provider" not in server}


def _labels(chance: random.Random) -> dict[str, str]:
    return {name: chance.choice(("a", "b")) for name in ("role", "team") if chance.random() < 0.4}


def write(workspace: Workspace, infra: str, document: Mapping[str, Any]) -> None:
    (workspace.path / "infra" / f"{infra}.yaml").write_text(yaml.safe_dump(dict(document), sort_keys=False))


def disturb(workspace: Workspace, infra: str, chance: random.Random) -> None:
    """What happens behind our back."""
    for provider in (LedgerProvider(workspace.path), SecondLedger(workspace.path)):
        for server in provider.list("server", infra=infra):
            fate = chance.random()
            if fate < 0.1:
                provider.delete("server", server.id)
            elif fate < 0.2:
                provider.power(server.id, "stop")
            elif fate < 0.3:
                spec = {**server.attributes["spec"], "plan": "8cpu-16gb"}
                wish = Wish("server", server.key, server.intent, infra, server.name, spec, {"by": "hand"})
                provider.update(server.id, wish)
    if chance.random() < 0.2:
        key = workspace.key(infra, "server", "stray")
        LedgerProvider(workspace.path).create(Wish("server", key, str(uuid4()), infra, "stray", {"plan": "1cpu-1gb"}))
    if chance.random() < 0.3:
        inventory = Inventory(workspace)
        for entry in inventory.all(infra):
            if chance.random() < 0.5:
                inventory.forget(entry.key)


def carry_out(workspace: Workspace, plan: Plan, infra: Any) -> list[dict[str, Any]]:
    """Apply the plan as infra/apply would, by way of its document. The tasks."""
    tasks = apply_tasks(unsealed(plan_of(plan_document(plan)), infra), workspace.provider)
    by_id = {task["id"]: task for task in tasks}
    assert len(by_id) == len(tasks), "an id was given twice"
    for id in TopologicalSorter({task["id"]: task.get("needs", ()) for task in tasks}).static_order():
        do(workspace, by_id[id])
    return tasks


def do(workspace: Workspace, task: Mapping[str, Any]) -> dict[str, Any]:
    kind: Any = "network" if task["operation"].startswith("networks/") else "server"
    verb, params, key = task["operation"].partition("/")[2], task["params"], task["key"]
    if verb.startswith("create"):
        return create_resource(workspace, kind, params, intent=str(uuid4()), key=key)
    if verb.startswith("delete"):
        return delete_resource(workspace, kind, params, key=key)
    return update_resource(workspace, kind, params, intent=str(uuid4()), key=key)
