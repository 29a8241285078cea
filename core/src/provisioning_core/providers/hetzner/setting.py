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

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..setting import NETWORK, PORT, SECONDS, SWITCH, Accepted, check_settings, endpoint, table, text

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
    check_settings("hetzner", settings, _ACCEPTED)
    return Setting(**({"url": environ.get("HCLOUD_ENDPOINT") or URL} | dict(settings)))


_ACCEPTED: Mapping[str, Accepted] = {
    "zone": text("the name of a location"),
    "image": text("the name of an image"),
    "plans": table("{portable plan: Hetzner's plan}"),
    "ssh_from": NETWORK,
    "wait_for_ssh": SWITCH,
    "ssh_port": PORT,
    "deadline_s": SECONDS,
    "http_timeout_s": SECONDS,
    "poll_s": SECONDS,
    "url": endpoint("HCLOUD_ENDPOINT"),
}
