"""What the attempts of a simulation do, from the plays that stand in their params."""

from __future__ import annotations

import json
from typing import Any

from provisioning_orchestrator.ports import AttemptSpec, Exited

from .fake_dispatch import Play, Script
from .ledger import Ledger, play_of


def script(ledger: Ledger) -> Script:
    """What the host asks at every real start of an attempt: it is told to the ledger, and ends as its params say."""

    def begin(spec: AttemptSpec) -> Play:
        ledger.starting(spec)
        play = play_of(spec)
        seconds = play["seconds"]
        count = play.get("reports", 0)
        reports = tuple((seconds * (n + 1) / (count + 1), {"type": "progress", "n": n}) for n in range(count))
        return Play(
            duration_s=2 * spec.timeout_s if play["do"] == "hang" else seconds,
            verdict=_verdict(play),
            reports=reports,
            stubborn=play.get("stubborn", False),
        )

    return begin


def _verdict(play: dict[str, Any]) -> Exited:
    result = play["result"]
    match play["do"]:
        case "partial":
            return Exited(exit_code=0, result=_json({"status": "partial", "result": result}))
        case "expand":
            return Exited(exit_code=0, result=_json({"result": result, "tasks": play["tasks"]}))
        case "bad_expansion":
            return Exited(exit_code=0, result=_json({"result": result, "tasks": [{"id": "x", "operation": "nope"}]}))
        case "fail":
            return Exited(exit_code=3)
        case "busy":
            return Exited(exit_code=1, result=_json({"error": {"code": "busy", "retry_after_s": 15}}))
        case "permanent":
            return Exited(exit_code=0, result=_json({"error": {"code": "quota", "retryable": False}}))
        case "signal":
            return Exited(signal=11)
    return Exited(exit_code=0, result=_json({"result": result}))


def _json(document: Any) -> bytes:
    return json.dumps(document).encode()
