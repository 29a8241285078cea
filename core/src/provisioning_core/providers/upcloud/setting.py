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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..setting import NETWORK, SECONDS, SWITCH, Accepted, check_settings, endpoint, table, text, texts, whole

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
    check_settings("upcloud", settings, _ACCEPTED)
    fields: dict[str, Any] = {"url": environ.get(URL_VARIABLE) or URL, **settings}
    return Setting(**(fields | {"url": fields["url"].rstrip("/")}))


_ACCEPTED: Mapping[str, Accepted] = {
    "zone": text("a zone like fi-hel1"),
    "image": text("the name of an image"),
    "zones": texts("a list of zones"),
    "plans": table("{portable plan: UpCloud's plan}"),
    "disk_gb": whole(10, 4096),
    "username": text("a user's name"),
    "ssh_from": NETWORK,
    "wait_for_ssh": SWITCH,
    "settle_s": SECONDS,
    "deadline_s": SECONDS,
    "stop_s": SECONDS,
    "http_timeout_s": SECONDS,
    "poll_s": SECONDS,
    "url": endpoint(URL_VARIABLE),
}
