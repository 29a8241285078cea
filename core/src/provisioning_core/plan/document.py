"""A plan as a JSON document, to be looked at, kept and applied later. Fields: docs/plans.md.

User data is in it as a digest only. Where a plan is applied, the text comes from the definition, and has to be the
planned one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ..errors import UsageError, stale_plan
from ..infra import Infra
from ..inventory import DIGEST, digest, sealed
from ..yamlfile import shown, suggestion
from .model import ACTIONS, EFFECTS, Change, FieldChange, Gate, Plan

VERSION = 1
API_VERSION = "provisioning/v1"
KINDS = ("network", "server", "taskserv")
BYTES_MAX = 16 * 1024 * 1024
_CHANGE_FIELDS = {
    "action": str, "kind": str, "name": str, "key": str, "id": str, "provider": str, "fields": list, "wish": dict,
    "observed": dict, "old_provider": str, "needs": list, "task": dict, "effect": str,
}  # fmt: skip
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,190}")


def plan_document(plan: Plan) -> dict[str, Any]:
    head = {"apiVersion": API_VERSION, "kind": "Plan", "version": VERSION, "id": plan.id}
    head |= {"workspace": plan.workspace, "infra": plan.infra, "made_at": plan.made_at}
    head |= {"operations": dict(plan.operations)} if plan.operations is not None else {}
    gates = [asdict(gate) for gate in plan.gates]
    return head | {"changes": [_change_document(each) for each in plan.changes], "gates": gates}


def write_plan(plan: Plan, file: Path) -> None:
    """Whole or not at all. Raises UsageError where it cannot be written."""
    part = file.with_name(f".{file.name}.part")
    try:
        part.write_text(json.dumps(plan_document(plan), indent=2) + "\n", "utf-8")
        part.replace(file)
    except OSError as error:
        raise UsageError(f"cannot write the plan to {file}: {error.strerror}", code="cannot_write") from error


def read_plan(file: Path) -> Plan:
    """Raises UsageError (`bad_plan`)."""
    try:
        with file.open("rb") as opened:
            data = opened.read(BYTES_MAX + 1)
    except OSError as error:
        raise UsageError(f"cannot read the plan {file}: {error.strerror}", code="bad_plan") from error
    if len(data) > BYTES_MAX:
        raise UsageError(f"the plan {file} has more than {BYTES_MAX} bytes", code="bad_plan")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the plan {file} is not JSON: {error}", code="bad_plan") from error
    return plan_of(document)


def plan_of(document: Any) -> Plan:
    """The plan that such a document is. Raises UsageError (`bad_plan`) with all that is wrong with it."""
    faults = _faults(document)
    if faults:
        raise UsageError(
            f"this is no plan: {'; '.join(faults[:10])}",
            code="bad_plan",
            hint="`provisioning infra plan INFRA --out FILE` writes one",
        )
    changes = [_change(each) for each in document["changes"]]
    gates = [
        Gate(each["name"], each["params"], tuple(each.get("needs", ())), each.get("task", {}))
        for each in document.get("gates", ())
    ]
    head = (document["infra"], tuple(changes), document["workspace"], document["id"], document["made_at"])
    return Plan(*head, tuple(gates), document.get("operations"))


def unsealed(plan: Plan, infra: Infra | None) -> Plan:
    """The same with the texts whose digests it holds, from the definition (None: there is none).

    Raises ConflictError (`plan_stale`) where the definition has another text now.
    """
    texts = {server.name: server.user_data for server in infra.servers} if infra is not None else {}
    changes = []
    for change in plan.changes:
        spec = (change.wish or {}).get("spec", {})
        held = spec.get("user_data")
        if change.kind == "server" and isinstance(held, str) and DIGEST.fullmatch(held):
            text = texts.get(change.name)
            if text is None or digest(text) != held:
                raise stale_plan(f"server {change.name}", "its user_data has been changed in the definition since")
            change = replace(change, wish={**(change.wish or {}), "spec": {**spec, "user_data": text}})
        changes.append(change)
    return replace(plan, changes=tuple(changes))


def _change_document(change: Change) -> dict[str, Any]:
    document = asdict(change) | {"effect": change.effect if change.fields else None}
    document["fields"] = [asdict(field) for field in change.fields]
    if change.wish is not None:
        document["wish"] = sealed(change.wish)
    kept = ("action", "kind", "name", "key", "id")
    return {name: value for name, value in document.items() if name in kept or value not in (None, [], (), {}, "")}


def _change(document: Mapping[str, Any]) -> Change:
    known = {name: value for name, value in document.items() if name != "effect"}
    known["fields"] = tuple(FieldChange(**field) for field in document.get("fields", ()))
    known["needs"] = tuple(document.get("needs", ()))
    return Change(**known)


def _faults(document: Any) -> list[str]:
    if not isinstance(document, dict):
        return [f"{shown(document)} is not an object"]
    if document.get("kind") != "Plan":
        return [f"kind is {shown(document.get('kind'))}; 'Plan' is expected"]
    if document.get("version") != VERSION:
        return [f"version is {shown(document.get('version'))}; this program applies version {VERSION}"]
    faults = []
    for name in ("workspace", "infra", "id", "made_at"):
        if not isinstance(document.get(name), str):
            faults.append(f"{name} is {shown(document.get(name))}; text is expected")
    if not isinstance(document.get("changes"), list):
        return [*faults, "changes is not a list"]
    for place, change in enumerate(document["changes"]):
        faults += [f"changes[{place}]: {fault}" for fault in _change_faults(change)]
    gates = document.get("gates", [])
    if not isinstance(gates, list) or not all(_is_gate(gate) for gate in gates):
        faults.append("gates is not a list of {name, params, needs, task}")
    own = document.get("operations", {})
    if not isinstance(own, dict) or not all(isinstance(value, str) for value in own.values()):
        faults.append("operations is not an object of digests")
    return faults


def _change_faults(change: Any) -> list[str]:
    if not isinstance(change, dict):
        return [f"{shown(change)} is not an object"]
    known = list(_CHANGE_FIELDS)
    faults = [f"unknown field {shown(name)}.{suggestion(name, known)}" for name in change if name not in _CHANGE_FIELDS]
    for name, wanted in _CHANGE_FIELDS.items():
        if change.get(name) is not None and not isinstance(change[name], wanted):
            faults.append(f"{name} is {shown(change[name])}")
    if change.get("action") not in ACTIONS:
        faults.append(f"action is {shown(change.get('action'))}; accepted: {', '.join(ACTIONS)}")
    if change.get("kind") not in KINDS:
        faults.append(f"kind is {shown(change.get('kind'))}; accepted: {', '.join(KINDS)}")
    for name in ("name", "key"):
        if not isinstance(change.get(name), str):
            faults.append(f"{name} is missing")
    if isinstance(change.get("name"), str) and not _NAME.fullmatch(change["name"]):
        faults.append(f"{shown(change['name'])} is no name")
    if change.get("action") in ("create", "update", "start", "replace") and not isinstance(change.get("wish"), dict):
        faults.append("wish is missing")
    there = change.get("action") in ("update", "start", "replace", "delete") and change.get("kind") != "taskserv"
    if there and not isinstance(change.get("id"), str):
        faults.append("id is missing")
    for field in change.get("fields") or ():
        fits = isinstance(field, dict) and set(field) == {"path", "before", "after", "effect"}
        if not fits or not isinstance(field["path"], str) or field["effect"] not in EFFECTS:
            faults.append(f"fields: {shown(field)} is not {{path, before, after, effect}}")
    return faults


def _is_gate(gate: Any) -> bool:
    return isinstance(gate, dict) and isinstance(gate.get("name"), str) and isinstance(gate.get("params"), dict)
