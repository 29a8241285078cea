"""Drift of what is installed: the servers themselves are asked, by SSH, for their marks and for the services' health.

A plan compares with the inventory, which cannot know that somebody has removed a service by hand. What is not as the
definition says for another reason (never installed, defined otherwise since) is a plan, and no drift.
"""

from __future__ import annotations

from typing import NamedTuple

from ..clouds import Clouds
from ..infra import load_infra
from .drift import Drift
from .model import Change, FieldChange, Plan
from .planning import plan_infra
from .services import KIND
from .servicing import create_tasks
from .standing import Standing, standings


class Installed(NamedTuple):
    """drifts: in the order of the definition. unasked: in words, what could not be asked. asked: how many."""

    drifts: list[Drift]
    unasked: list[str]
    asked: int


def find_installed_drift(clouds: Clouds, infra: str, plan: Plan | None = None) -> Installed:
    """Of the taskservs that are remembered to be as they are defined. Raises what `plan_infra` raises.

    plan: a whole one that was made just now; None: it is made here.
    """
    planned = (plan or plan_infra(clouds.workspace, infra, clouds=clouds)).changes
    remembered = {each.name: each for each in planned if each.kind == KIND and each.action == "exists"}
    if not remembered:
        return Installed([], [], 0)
    definition = load_infra(clouds.workspace, infra, manifests=True)
    names = {each.name for each in planned if each.kind == "server" and each.action == "exists"}
    tasks = [
        task
        for task in create_tasks(clouds.workspace, definition)
        if f"{task['params']['name']}.{task['params']['server']}" in remembered and task["params"]["server"] in names
    ]
    found = standings(clouds, infra, tasks, health=True)
    drifts = [_drift(infra, each, remembered[f"{each.name}.{each.server}"]) for each in found if _is_drift(each)]
    unasked = [f"{each.name} on {each.server}: {each.why}" for each in found if each.action == "unknown"]
    return Installed(drifts, unasked, len(found))


def _is_drift(standing: Standing) -> bool:
    return standing.action in ("install", "change", "ill")


def _drift(infra: str, standing: Standing, change: Change) -> Drift:
    heals = f"provisioning taskserv create {infra} {standing.name} --server {standing.server}"
    about = (KIND, change.name, change.key, change.provider, change.id or "")
    if standing.action == "install":
        return Drift("gone", *about, heals=heals)
    before, after = ("healthy", standing.why) if standing.action == "ill" else ("as remembered", standing.why)
    path = "health" if standing.action == "ill" else "mark"
    return Drift("changed", *about, (FieldChange(path, before, after, "in_place"),), heals)
