"""The parameters of an operation, checked: all faults in one error, with what would be accepted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .errors import UsageError
from .names import (
    CIDR,
    LABEL,
    LABEL_NAME,
    LABEL_RULE,
    LABEL_VALUE,
    LABEL_WORDS,
    NETWORK,
    NETWORK_WORDS,
    PROVIDER,
    RESERVED_LABELS,
    USER_DATA_MAX,
    WORD,
    WORD_RULE,
)
from .yamlfile import shown, suggestion

Check = Callable[[Any], str | None]
"""What is wrong with a value, in words; None for nothing."""


def check_params(params: Mapping[str, Any], required: Mapping[str, Check], optional: Mapping[str, Check] = {}) -> None:
    """Raises UsageError (`bad_params`) with all faults. An optional parameter may be null."""
    faults = _record_faults(params, required, optional)
    if faults:
        accepted = ", ".join([*required, *(f"{name} (optional)" for name in optional)])
        raise UsageError("; ".join(faults[:20]), code="bad_params", hint=f"parameters: {accepted}")


def record(required: Mapping[str, Check], optional: Mapping[str, Check] = {}) -> Check:
    def check(value: Any) -> str | None:
        if not isinstance(value, dict):
            return f"an object is expected, got {shown(value)}"
        return "; ".join(_record_faults(value, required, optional)) or None

    return check


def infra_name(value: Any) -> str | None:
    return _matches(value, LABEL.fullmatch, LABEL_WORDS)


def server_name(value: Any) -> str | None:
    return _matches(value, LABEL.fullmatch, LABEL_WORDS)


def network_name(value: Any) -> str | None:
    return _matches(value, NETWORK.fullmatch, NETWORK_WORDS)


def server_names(value: Any) -> str | None:
    """A list, not empty: `all` is said by leaving the parameter out, never by an empty list."""
    if not isinstance(value, list) or not value:
        return f"a list of one or more server names is expected, got {shown(value)}"
    faults = [f"[{place}] {fault}" for place, name in enumerate(value) if (fault := server_name(name))]
    return "; ".join(faults[:5]) or None


def number(low: int, high: int) -> Check:
    def check(value: Any) -> str | None:
        if type(value) is int and low <= value <= high:
            return None
        return f"a whole number from {low} to {high} is expected, got {shown(value)}"

    return check


def flag(value: Any) -> str | None:
    return None if isinstance(value, bool) else f"true or false is expected, got {shown(value)}"


def labels(value: Any) -> str | None:
    if not isinstance(value, dict):
        return f"an object is expected, got {shown(value)}"
    for name, text in value.items():
        if name in RESERVED_LABELS:
            return f"the label {name!r} is set by the provider"
        if not LABEL_NAME.fullmatch(name) or not isinstance(text, str) or not LABEL_VALUE.fullmatch(text):
            return f"{shown(name)}: {shown(text)} is not accepted; accepted: {LABEL_RULE}"
    return None


def text(most: int) -> Check:
    def check(value: Any) -> str | None:
        if isinstance(value, str) and 0 < len(value) <= most:
            return None
        return f"text of 1 to {most} characters is expected, got {shown(value)}"

    return check


def boolean(value: Any) -> str | None:
    return None if isinstance(value, bool) else f"true or false is expected, got {shown(value)}"


def mapping(value: Any) -> str | None:
    return None if isinstance(value, dict) else f"an object is expected, got {shown(value)}"


def list_of(check: Check, most: int) -> Check:
    def check_list(value: Any) -> str | None:
        if not isinstance(value, list) or len(value) > most:
            return f"a list of at most {most} is expected, got {shown(value)}"
        faults = [f"[{place}] {fault}" for place, each in enumerate(value) if (fault := check(each))]
        return "; ".join(faults[:5]) or None

    return check_list


def one_of(*known: str) -> Check:
    def check(value: Any) -> str | None:
        if value in known:
            return None
        guess = suggestion(value, known) if isinstance(value, str) else ""
        return f"{shown(value)} is not accepted; accepted: {', '.join(known)}.{guess}".removesuffix(".")

    return check


def matching(pattern: re.Pattern[str], words: str) -> Check:
    return lambda value: _matches(value, pattern.fullmatch, words)


provider_name = matching(PROVIDER, "the name of a provider, or `module:Class`")
zone_name = matching(WORD, WORD_RULE)
cidr = matching(CIDR, "a network like 10.77.0.0/24")

FIREWALL_RULE = record(
    {"protocol": one_of("tcp", "udp", "icmp")}, {"ports": list_of(number(1, 65_535), 2), "source": cidr}
)
STORAGE = record({"name": server_name, "size_gb": number(1, 65_536)}, {"tier": matching(WORD, WORD_RULE)})
_SERVER_FIELDS = record(
    {},
    {
        "plan": matching(WORD, WORD_RULE),
        "cpus": number(1, 999),
        "memory_gb": number(1, 9999),
        "disk_gb": number(1, 65_536),
        "network": network_name,
        "zone": zone_name,
        "image": text(200),
        "user_data": text(USER_DATA_MAX),
        "ssh_keys": list_of(text(10_000), 100),
        "firewall": list_of(FIREWALL_RULE, 100),
        "storages": list_of(STORAGE, 20),
    },
)


def SERVER_SPEC(value: Any) -> str | None:
    """A size is needed: a plan, or cpus and memory_gb."""
    if fault := _SERVER_FIELDS(value):
        return fault
    sized = value.get("plan") is not None or not (value.get("cpus") is None or value.get("memory_gb") is None)
    return None if sized else "plan is missing (or cpus and memory_gb)"


NETWORK_SPEC = record({"cidr": cidr}, {"zone": zone_name})
STORAGE_SPEC = record({"size_gb": number(1, 65_536)}, {"zone": zone_name, "tier": matching(WORD, WORD_RULE)})


def _matches(value: Any, matches: Callable[[str], object], words: str) -> str | None:
    if isinstance(value, str) and matches(value):
        return None
    return f"{shown(value)} is not accepted; accepted: {words}"


def _record_faults(
    values: Mapping[str, Any], required: Mapping[str, Check], optional: Mapping[str, Check]
) -> Sequence[str]:
    known = [*required, *optional]
    unknown = [name for name in values if name not in known]
    faults = [f"unknown parameter {shown(name)}.{suggestion(name, known)}".removesuffix(".") for name in unknown]
    for name, check in {**required, **optional}.items():
        value = values.get(name)
        if value is None and name in required:
            faults.append(f"{name} is missing")
        elif value is not None and (fault := check(value)):
            faults.append(f"{name}: {fault}")
    return faults
