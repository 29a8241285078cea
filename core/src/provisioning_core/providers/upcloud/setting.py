"""What can be set for this provider: `providers: {upcloud: {…}}` in provisioning.yaml or the user's own settings.

    zone             where things are made that say no zone (fi-hel1)
    image            of servers that say none (Debian GNU/Linux 12 (Bookworm))
    zones            zones that this program does not know yet, or private ones
    plans            {portable plan: UpCloud's}: before our own table, or {new plan: new plan}
    disk_gb          the first disk of servers that say none, GiB (25)
    username         for SSH, made by the image with our key (root)
    ssh_from         who may reach SSH of a server whose firewall does not say it: a network (anywhere)
    wait_for_ssh     whether create returns only when one can log in (true)
    settle_s         how long after a create was sent without an answer it is looked for before it is sent again (90)
    deadline_s       how long one wait for the cloud may take (600)
    stop_s           how long a server may take to shut down before it is switched off (60)
    http_timeout_s   how long one answer may take (30)
    poll_s           between two looks (1)
    url              of the API without its version, only on loopback: a double's. UPCLOUD_DEBUG_API_BASE_URL, which
                     UpCloud's own tools read too, may name any other

settle_s has to be longer than http_timeout_s plus the time that the cloud's lists lag behind.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...errors import UsageError
from ...yamlfile import shown, suggestion
from ..loopback import is_loopback

URL = "https://api.upcloud.com"
URL_VARIABLE = "UPCLOUD_DEBUG_API_BASE_URL"
IMAGE = "Debian GNU/Linux 12 (Bookworm)"


@dataclass(frozen=True, slots=True)
class Setting:
    zone: str = "fi-hel1"
    image: str = IMAGE
    zones: Sequence[str] = ()
    plans: Mapping[str, str] = field(default_factory=dict)
    disk_gb: int = 25
    username: str = "root"
    ssh_from: str | None = None
    wait_for_ssh: bool = True
    settle_s: float = 90.0
    deadline_s: float = 600.0
    stop_s: float = 60.0
    http_timeout_s: float = 30.0
    poll_s: float = 1.0
    url: str = URL


def read_setting(settings: Mapping[str, Any], environ: Mapping[str, str]) -> Setting:
    """Raises UsageError with all that is wrong."""
    fields: dict[str, Any] = {}
    wrong: list[str] = []
    known = list(Setting.__dataclass_fields__)
    for name, value in settings.items():
        if name not in known:
            wrong.append(f"{shown(name)} is not known.{suggestion(name, known)}".removesuffix("."))
        elif fault := _fault(name, value):
            wrong.append(f"{name}: {shown(value)} is not accepted; {fault} is expected")
        else:
            fields[name] = value
    if wrong:
        raise UsageError(
            f"settings of upcloud: {'; '.join(wrong)}", code="bad_settings", hint=f"known: {', '.join(known)}"
        )
    url = {"url": environ.get(URL_VARIABLE) or URL}
    setting = Setting(**(url | fields))
    return Setting(**{name: getattr(setting, name) for name in known} | {"url": setting.url.rstrip("/")})


def _fault(name: str, value: Any) -> str | None:
    """What is expected instead; None for nothing."""
    if name in ("zone", "image", "username"):
        return None if _is_text(value) else "text"
    if name == "zones":
        return None if isinstance(value, list) and all(map(_is_text, value)) else "a list of zones"
    if name == "plans":
        table = isinstance(value, dict) and all(map(_is_text, [*value, *value.values()]))
        return None if table else "{portable plan: UpCloud's plan}"
    if name == "wait_for_ssh":
        return None if isinstance(value, bool) else "true or false"
    if name == "url":
        return None if is_loopback(value) else f"a loopback address (any other by {URL_VARIABLE})"
    if name == "ssh_from":
        return None if _is_network(value) else "a network like 203.0.113.0/24"
    if name == "disk_gb":
        return None if type(value) is int and 10 <= value <= 4096 else "a whole number from 10 to 4096"
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return None if number and 0 < value <= 86_400 else "a number of seconds"


def _is_network(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(ipaddress.ip_network(value))
    except ValueError:
        return False


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)
