"""What goes wrong at a double: rates per request, drawn from a seed, and faults that are planted for the next requests.

    {"lost": 0.1, "error": 0.05, "throttle": 0.0, "stall": 0.05, "late": 0.0, "stuck": 0.0, "stock": 0.0,
     "stall_s": 60, "late_s": 10, "retry_after_s": 1, "lag_s": 0, "quota": null, "seed": 1,
     "verbs": {"delete": {"error": 0.1}, "*": {"throttle": 0.01}}, "next": {"create": ["lost", "none", "stuck"]}}

Rates at the top are of creates. `verbs` has those of other requests by the double's word for them (`list`, `get`,
`delete`, `update`, `power`, …; `*`: of all that have none of their own). At most one fault befalls a request. `next`
comes first, one for each request of that verb; `none` lets one through.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from ..errors import UsageError
from ..yamlfile import shown, suggestion

Fault = Literal[
    "none",
    "lost",  # done, but the connection is closed without an answer
    "error",  # not done: a 5xx
    "throttle",  # not done: 429 with Retry-After
    "stall",  # done at once, answered after stall_s
    "late",  # done and answered after late_s, also where the caller has gone away meanwhile
    "stuck",  # done, but what was made never leaves its first state
    "stock",  # not done: there is no room for it
]
FAULTS: tuple[Fault, ...] = get_args(Fault)
_RATES = FAULTS[1:]
_DEFAULTS: Mapping[str, Any] = {
    **dict.fromkeys(_RATES, 0.0),
    "stall_s": 60.0,
    "late_s": 10.0,
    "retry_after_s": 1,
    "lag_s": 0.0,  # how long a new resource is missing from lists
    "quota": None,  # how many resources of the main kind there may be; None: no limit
    "seed": 1,
    "verbs": {},
    "next": {},
}


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds. retry_after_s: whole ones, as the header has them."""

    stall_s: float
    late_s: float
    retry_after_s: int
    lag_s: float


class Faults:
    """Thread-safe; `change` takes effect from the next request on."""

    def __init__(self, config: Mapping[str, Any] = {}) -> None:
        self._lock = threading.Lock()
        self._config: dict[str, Any] = dict(_DEFAULTS)
        self._chance = random.Random(1)  # noqa: S311  # for repeatable tests, not for secrets
        self.change(config)

    @classmethod
    def read(cls, file: Path) -> Faults:
        """From a JSON file. Raises UsageError."""
        try:
            config = json.loads(file.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"cannot read the faults in {file}: {error}", code="bad_faults") from error
        return cls(config)

    def change(self, config: Mapping[str, Any]) -> None:
        """Replace what is named, keep the rest; a `seed` begins the draws anew. Raises UsageError with all faults."""
        _check(config)
        with self._lock:
            self._config |= {name: _copied(value) for name, value in config.items()}
            if "seed" in config or not config:
                self._chance = random.Random(self._config["seed"])  # noqa: S311

    def describe(self) -> dict[str, Any]:
        with self._lock:
            return {name: _copied(value) for name, value in self._config.items()}

    def draw(self, verb: str = "create") -> Fault:
        """What befalls this request."""
        with self._lock:
            if planted := self._config["next"].get(verb):
                return cast(Fault, planted.pop(0))
            verbs = self._config["verbs"]
            rates = self._config if verb == "create" else verbs.get(verb, verbs.get("*", {}))
            if verb == "create" and verb in verbs:
                rates = verbs[verb]
            if not any(rates.get(fault) for fault in _RATES):
                return "none"
            drawn = self._chance.random()
            for fault in _RATES:
                drawn -= rates.get(fault) or 0.0
                if drawn < 0:
                    return fault
            return "none"

    @property
    def quota(self) -> int | None:
        with self._lock:
            return cast("int | None", self._config["quota"])

    @property
    def waits(self) -> Waits:
        with self._lock:
            return Waits(**{name: self._config[name] for name in Waits.__dataclass_fields__})


def settable() -> list[str]:
    """What is one number: all but `verbs` and `next`."""
    return [name for name, value in _DEFAULTS.items() if not isinstance(value, dict)]


def _copied(value: Any) -> Any:
    return json.loads(json.dumps(value)) if isinstance(value, dict) else value


def _check(config: Mapping[str, Any]) -> None:
    if not isinstance(config, Mapping):
        raise UsageError(f"faults: an object is expected, got {shown(config)}", code="bad_faults")
    wrong: list[str] = []
    for name, value in config.items():
        if name not in _DEFAULTS:
            wrong.append(f"{shown(name)} is no fault.{suggestion(name, list(_DEFAULTS))}".removesuffix("."))
        elif name == "verbs":
            wrong += _verbs_faults(value)
        elif name == "next":
            wrong += _next_faults(value)
        elif name in _RATES and not _is_number(value, 1):
            wrong.append(f"{name}: {shown(value)} is no rate from 0 to 1")
        elif name in ("retry_after_s", "seed", "quota") and not (type(value) is int or (name == "quota" and not value)):
            wrong.append(f"{name}: {shown(value)} is no whole number")
        elif not _is_number(value, float("inf")) and name not in ("seed", "quota"):
            wrong.append(f"{name}: {shown(value)} is no number of seconds")
    wrong += _sum_faults(config, "all rates")
    if wrong:
        raise UsageError(f"faults: {'; '.join(wrong)}", code="bad_faults", hint=f"known: {', '.join(_DEFAULTS)}")


def _verbs_faults(value: Any) -> list[str]:
    if not isinstance(value, dict) or not all(isinstance(rates, dict) for rates in value.values()):
        return [f"verbs: {shown(value)} is no object of objects"]
    wrong = [
        f"verbs.{verb}.{name}: {shown(rate)} is no fault with a rate from 0 to 1"
        for verb, rates in value.items()
        for name, rate in rates.items()
        if name not in _RATES or not _is_number(rate, 1)
    ]
    return wrong or [fault for verb, rates in value.items() for fault in _sum_faults(rates, f"the rates of {verb}")]


def _next_faults(value: Any) -> list[str]:
    if not isinstance(value, dict) or not all(isinstance(planted, list) for planted in value.values()):
        return [f"next: {shown(value)} is no object of arrays"]
    unknown = [fault for planted in value.values() for fault in planted if fault not in FAULTS]
    return [f"next: {shown(fault)} is no fault; known: {', '.join(FAULTS)}" for fault in unknown]


def _sum_faults(rates: Mapping[str, Any], what: str) -> list[str]:
    numbers = [rate for name, rate in rates.items() if name in _RATES and _is_number(rate, 1)]
    return [f"{what} together are {sum(numbers):g}; at most 1"] if sum(numbers) > 1 + 1e-9 else []


def _is_number(value: Any, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most
