"""What can be set for this provider: `providers: {hetzner: {…}}` in provisioning.yaml, and the environment.

zone           where servers are made that say no zone (fsn1)
image          of servers that say none (debian-12)
plans          {portable plan: Hetzner's}, before our own table: {2cpu-4gb: cx23}
ssh_from       who may reach SSH of a server whose firewall does not say it: a network (anywhere)
wait_for_ssh   whether create returns only when one can log in (true)
ssh_port       at which SSH listens (22)
deadline_s     how long one wait for the cloud may take (240)
http_timeout_s how long one answer may take (30)
poll_s         between two looks (1)
url            of the API, only on loopback: a double's. HCLOUD_ENDPOINT may name any other
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import UsageError
from ...yamlfile import shown, suggestion
from ..loopback import is_loopback

URL = "https://api.hetzner.cloud/v1"


@dataclass(frozen=True, slots=True)
class Setting:
    zone: str = "fsn1"
    image: str = "debian-12"
    plans: Mapping[str, str] = field(default_factory=dict)
    ssh_from: str | None = None
    wait_for_ssh: bool = True
    ssh_port: int = 22
    deadline_s: float = 240.0
    http_timeout_s: float = 30.0
    poll_s: float = 1.0
    url: str = URL


def read_setting(settings: Mapping[str, Any], environ: Mapping[str, str]) -> Setting:
    """Raises UsageError with all that is wrong."""
    fields: dict[str, Any] = {}
    wrong: list[str] = []
    for name, value in settings.items():
        if name not in Setting.__dataclass_fields__:
            wrong.append(f"{shown(name)} is not known.{suggestion(name, list(Setting.__dataclass_fields__))}")
        elif not _CHECKS[name](value):
            wrong.append(f"{name}: {shown(value)} is not accepted, {_WORDS[name]} is expected")
        else:
            fields[name] = value
    if wrong:
        known = ", ".join(Setting.__dataclass_fields__)
        raise UsageError(f"settings of hetzner: {'; '.join(wrong)}", code="bad_settings", hint=f"known: {known}")
    return Setting(**({"url": environ.get("HCLOUD_ENDPOINT") or URL} | fields))


def _is_network(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(ipaddress.ip_network(value))
    except ValueError:
        return False


def _is_seconds(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 86_400


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value)) and all(map(_is_text, value.values()))


_CHECKS = {
    "zone": _is_text,
    "image": _is_text,
    "plans": _is_table,
    "ssh_from": _is_network,
    "wait_for_ssh": lambda value: isinstance(value, bool),
    "ssh_port": lambda value: type(value) is int and 0 < value < 65_536,
    "deadline_s": _is_seconds,
    "http_timeout_s": _is_seconds,
    "poll_s": _is_seconds,
    "url": is_loopback,
}
_WORDS = {
    "zone": "the name of a location",
    "image": "the name of an image",
    "plans": "{portable plan: Hetzner's plan}",
    "ssh_from": "a network like 203.0.113.0/24",
    "wait_for_ssh": "true or false",
    "ssh_port": "a port",
    "deadline_s": "a number of seconds",
    "http_timeout_s": "a number of seconds",
    "poll_s": "a number of seconds",
    "url": "a loopback address (any other by HCLOUD_ENDPOINT)",
}
