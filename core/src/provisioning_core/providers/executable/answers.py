"""What an executable provider says, checked: everything that is not as contract/provider.json says is its bug."""

from __future__ import annotations

import builtins
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast, get_args

from ...capabilities import Capabilities, Effect, Flag, PlanInfo
from ...errors import ProviderError
from ...provider import KINDS, Created, Kind, Resource, ServerState
from ...secrets import CredentialField
from ...yamlfile import shown

FLAGS: tuple[Flag, ...] = get_args(Flag)
EFFECTS: tuple[Effect, ...] = get_args(Effect)
STATES: tuple[ServerState, ...] = get_args(ServerState)
_TEXTS = ("id", "key", "intent", "infra", "name")


@dataclass(frozen=True, slots=True)
class Offer:
    """What it can: its capabilities, and whether it has the verbs `normalize` and `check`."""

    capabilities: Capabilities
    normalizes: bool = False
    checks: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """One line of its output, to one verb about resources of one kind. Every question raises ProviderError."""

    provider: str
    verb: str
    kind: Kind
    said: Mapping[str, Any]

    def created(self) -> Created:
        restarted = self.flag("restarted") if "restarted" in self.said else False
        return Created(self.resource(), self.flag("created"), restarted)

    def announced(self) -> Resource:
        return self._resource("announce", self.said["announce"])

    def resource(self) -> Resource:
        return self._resource("resource", self._field("resource", dict))

    def resource_or_none(self) -> Resource | None:
        return None if "resource" in self.said and self.said["resource"] is None else self.resource()

    def resources(self) -> builtins.list[Resource]:
        every = self._field("resources", list)
        return [self._resource(f"resources[{place}]", each) for place, each in enumerate(every)]

    def flag(self, name: str) -> bool:
        return bool(self._field(name, bool))

    def record(self, name: str) -> dict[str, Any]:
        return dict(self._field(name, dict))

    def texts(self, name: str) -> builtins.list[str]:
        given = self._field(name, list)
        if bad := [each for each in given if not isinstance(each, str) or not each]:
            raise self.fault(name, "a list of texts", bad[0])
        return cast(list[str], given)

    def plans(self) -> builtins.list[PlanInfo]:
        return [self._plan(f"plans[{place}]", each) for place, each in enumerate(self._field("plans", list))]

    def checks(self) -> builtins.list[dict[str, Any]]:
        every = self._field("checks", list)
        for place, each in enumerate(every):
            if not (isinstance(each, dict) and isinstance(each.get("name"), str) and isinstance(each.get("ok"), bool)):
                raise self.fault(f"checks[{place}]", "an object with at least name and ok", each)
        return cast(list[dict[str, Any]], every)

    def credential_fields(self) -> builtins.list[CredentialField] | None:
        """Of the error `credentials_needed`; None for everything else."""
        error = self.said.get("error")
        if not isinstance(error, dict) or error.get("code") != "credentials_needed":
            return None
        given = error.get("fields")
        fields = []
        for each in given if isinstance(given, list) and given else [None]:
            variables = each.get("variables", []) if isinstance(each, dict) else None
            if not isinstance(each, dict) or not isinstance(variables, list) or not isinstance(each.get("name"), str):
                raise self.fault("error.fields", "a list of objects with name, variables and help", given)
            fields.append(CredentialField(each["name"], tuple(map(str, variables)), help=str(each.get("help", ""))))
        return fields

    def offer(self) -> Offer:
        said = self.record("capabilities")
        kinds, flags, effects = said.get("kinds"), said.get("flags", []), said.get("effects", {})
        if not isinstance(kinds, list) or not kinds or not set(map(str, kinds)) <= set(KINDS):
            raise self.fault("capabilities.kinds", f"some of {', '.join(KINDS)}", kinds)
        if not isinstance(flags, list) or not set(map(str, flags)) <= set(FLAGS):
            raise self.fault("capabilities.flags", f"some of {', '.join(FLAGS)}", flags)
        for kind, fields in effects.items() if isinstance(effects, dict) else [("", effects)]:
            if kind not in KINDS or not isinstance(fields, dict) or not set(map(str, fields.values())) <= set(EFFECTS):
                raise self.fault(f"capabilities.effects.{kind}", f"fields with {', '.join(EFFECTS)}", fields)
        capabilities = Capabilities(tuple(kind for kind in KINDS if kind in kinds), frozenset(flags), effects)
        return Offer(capabilities, said.get("normalize") is True, said.get("check") is True)

    def _plan(self, where: str, said: Any) -> PlanInfo:
        if not isinstance(said, dict) or not isinstance(said.get("name"), str):
            raise self.fault(where, "an object with name, cpus, memory_gb", said)
        numbers = {name: said.get(name) for name in ("cpus", "memory_gb", "disk_gb", "price_hour")}
        for name, value in numbers.items():
            good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if not good and (value is not None or name in ("cpus", "memory_gb")):
                raise self.fault(f"{where}.{name}", "a number", value)
        return PlanInfo(name=said["name"], currency=said.get("currency"), **cast(Any, numbers))

    def _resource(self, where: str, said: Any) -> Resource:
        if not isinstance(said, dict):
            raise self.fault(where, "an object", said)
        texts = {name: said.get(name) for name in _TEXTS}
        for name, value in texts.items():
            if not isinstance(value, str) or (name == "id" and not value):
                raise self.fault(f"{where}.{name}", "text", value)
        kind, state, attributes = said.get("kind"), said.get("state"), said.get("attributes", {})
        if kind != self.kind:
            raise self.fault(f"{where}.kind", shown(self.kind), kind)
        if state not in STATES:
            raise self.fault(f"{where}.state", ", ".join(STATES), state)
        if not isinstance(attributes, dict):
            raise self.fault(f"{where}.attributes", "an object", attributes)
        return Resource(self.kind, state=state, attributes=attributes, **cast(dict[str, str], texts))

    def _field(self, name: str, kind: type) -> Any:
        value = self.said.get(name)
        if not isinstance(value, kind):
            words = {dict: "an object", list: "a list", bool: "true or false"}[kind]
            raise self.fault(name, words, value if name in self.said else "nothing")
        return value

    def fault(self, where: str, expected: str, got: Any) -> ProviderError:
        # As it was written there: JSON, not Python.
        found = json.dumps(got)
        found = found if len(found) <= 80 else found[:79] + "…"
        return ProviderError(
            f"provider {self.provider}: `{self.verb}`: {where}: {expected} is expected, got {found}",
            code="bad_answer",
            hint="contract/provider.json says what is expected",
            retryable=False,
        )


def read_error(answer: Answer) -> ProviderError | None:
    """The error that the answer is. `retryable` left out: yes, as everywhere."""
    if "error" not in answer.said:
        return None
    error = answer.said["error"]
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        return answer.fault("error", "an object with code and message", error)
    after_s = error.get("retry_after_s")
    code, retryable = error.get("code"), error.get("retryable", True)
    if not isinstance(code, str) or not isinstance(retryable, bool):
        return answer.fault("error", "a text `code` and a boolean `retryable`", error)
    if after_s is not None and (isinstance(after_s, bool) or not isinstance(after_s, int | float) or after_s < 0):
        return answer.fault("error.retry_after_s", "a number of seconds", after_s)
    return ProviderError(error["message"], code=code, retryable=retryable, retry_after_s=after_s)
