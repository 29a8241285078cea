"""What can be set for this provider: `providers: {aws: {…}}` in provisioning.yaml, and the environment.

region         (AWS_REGION, then AWS_DEFAULT_REGION, then eu-central-1)
zone           where servers are made that say no zone (the region's zone a)
image          of servers that say none (debian-12)
plans          {portable plan: EC2's instance type}, before our own table: {2cpu-4gb: t3a.medium}
disk_gb        the root disk of servers that say none, GiB (20)
ssh_from       who may reach SSH of a server whose firewall does not say it: a network (anywhere)
ssh_user       as whom to log in (root, which our part of the user data lets in)
wait_for_ssh   whether create returns only when one can log in (true)
settle_s       how long what was sent may stay invisible, before it is taken for not made (60)
deadline_s     how long one wait for the cloud may take (300)
http_timeout_s how long one answer may take (30); settle_s has to be longer
poll_s         between two looks (1)
url            of the API, only on loopback: a double's. AWS_ENDPOINT_URL_EC2 or AWS_ENDPOINT_URL may name any other
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..setting import NETWORK, SECONDS, SWITCH, Accepted, check_settings, endpoint, matching, table, text, whole

REGION_DEFAULT = "eu-central-1"
REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]")


@dataclass(frozen=True, slots=True)
class Setting:
    """zone: never empty once read. url: None for AWS itself."""

    region: str = REGION_DEFAULT
    zone: str = ""
    image: str = "debian-12"
    plans: Mapping[str, str] = field(default_factory=dict)
    disk_gb: int = 20
    ssh_from: str | None = None
    ssh_user: str = "root"
    wait_for_ssh: bool = True
    settle_s: float = 60.0
    deadline_s: float = 300.0
    http_timeout_s: float = 30.0
    poll_s: float = 1.0
    url: str | None = None


def read_setting(settings: Mapping[str, Any], environ: Mapping[str, str]) -> Setting:
    """Raises UsageError with all that is wrong."""
    check_settings("aws", settings, _ACCEPTED)
    given = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or REGION_DEFAULT
    url = environ.get("AWS_ENDPOINT_URL_EC2") or environ.get("AWS_ENDPOINT_URL")
    fields = {"region": given, "url": url, **settings}
    return Setting(**({"zone": f"{fields['region']}a"} | fields))


_ACCEPTED: Mapping[str, Accepted] = {
    "region": matching(REGION, "a region like eu-central-1"),
    "zone": text("an availability zone like eu-central-1a"),
    "image": text("the name of an image, or an AMI's id"),
    "plans": table("{portable plan: instance type}"),
    "disk_gb": whole(8, 16_384),
    "ssh_from": NETWORK,
    "ssh_user": text("a user's name"),
    "wait_for_ssh": SWITCH,
    "settle_s": SECONDS,
    "deadline_s": SECONDS,
    "http_timeout_s": SECONDS,
    "poll_s": SECONDS,
    "url": endpoint("AWS_ENDPOINT_URL_EC2"),
}
