"""The ledger as an executable provider: every verb of contract/provider.json, answered by one that can all of it."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from provisioning_core.errors import ProviderError
from provisioning_core.provider import Wish
from provisioning_core.testing.ledger_provider import LedgerProvider


def say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


def answer(verb: str, asked: dict[str, Any]) -> dict[str, Any]:
    ledger = LedgerProvider(Path(os.environ["PROVISIONING_WORKSPACE"]))
    wish = Wish(**asked["wish"]) if "wish" in asked else None
    kind: Any = asked.get("kind")
    if verb == "capabilities":
        can = ledger.capabilities
        told = {"kinds": can.kinds, "flags": sorted(can.flags), "effects": can.effects}
        return {"capabilities": told | {"normalize": True, "check": True}}
    if verb == "create" and wish:
        made = ledger.create(wish, announce=lambda resource: say({"announce": asdict(resource)}))
        return {"created": made.created, "restarted": made.restarted, "resource": asdict(made.resource)}
    if verb in ("update", "adopt") and wish:
        return {"resource": asdict(getattr(ledger, verb)(asked["id"], wish))}
    if verb in ("find", "get"):
        found = getattr(ledger, verb)(kind, **{name: asked[name] for name in ("id", "intent", "key") if name in asked})
        return {"resource": asdict(found) if found else None}
    if verb in ("list", "unmanaged"):
        infra = {"infra": asked["infra"]} if verb == "list" else {}
        return {"resources": [asdict(one) for one in getattr(ledger, verb)(kind, **infra)]}
    if verb == "delete":
        return {"deleted": ledger.delete(kind, asked["id"])}
    if verb == "normalize":
        return {"spec": ledger.normalize(kind, asked["spec"])}
    if verb == "power":
        return {"resource": asdict(ledger.power(asked["id"], asked["action"]))}
    if verb == "plans":
        return {"plans": [asdict(plan) for plan in ledger.plans(asked["zone"])]}
    if verb in ("zones", "images"):
        return {verb: getattr(ledger, verb)()}
    if verb == "check":
        return {"checks": [{"name": "ledger", "ok": True, "message": "it can be written"}]}
    raise ProviderError(f"no verb {verb}", code="unknown_verb", retryable=False)


if __name__ == "__main__":
    try:
        say(answer(sys.argv[1], json.load(sys.stdin)))
    except ProviderError as error:
        say({"error": {"code": error.code, "message": error.message, "retryable": error.retryable}})
