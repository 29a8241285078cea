"""What UpCloud offers, as far as this program knows: zones, plans, sizes, tiers, images. `provider zones|plans|images
upcloud` asks the cloud itself; what it has since got is named in the settings `zones` and `plans`."""

from __future__ import annotations

import re
from collections.abc import Mapping

ZONES = (
    *("au-syd1", "de-fra1", "dk-cph1", "es-mad1", "fi-hel1", "fi-hel2", "nl-ams1", "no-svg1", "pl-waw1", "se-sto1"),
    *("sg-sin1", "uk-lon1", "us-chi1", "us-nyc1", "us-sjo1"),
)
PLANS: Mapping[tuple[int, float], str] = {  # cpus, GiB of memory
    (1, 1): "1xCPU-1GB",
    (1, 2): "1xCPU-2GB",
    (2, 4): "2xCPU-4GB",
    (4, 8): "4xCPU-8GB",
    (6, 16): "6xCPU-16GB",
    (8, 32): "8xCPU-32GB",
    (12, 48): "12xCPU-48GB",
    (16, 64): "16xCPU-64GB",
    (20, 96): "20xCPU-96GB",
    (20, 128): "20xCPU-128GB",
}
"""Those that a size is translated to."""
_GENERAL = (
    *("2xCPU-2GB", "4xCPU-16GB", "8xCPU-16GB", "24xCPU-96GB", "24xCPU-128GB", "32xCPU-128GB", "38xCPU-192GB"),
    *("48xCPU-256GB", "64xCPU-384GB", "80xCPU-512GB"),
)
_HICPU = ("8xCPU-12GB", "8xCPU-16GB", "16xCPU-24GB", "16xCPU-32GB", "32xCPU-48GB", "32xCPU-64GB", "64xCPU-96GB",
          "64xCPU-128GB")  # fmt: skip
_HIMEM = ("2xCPU-8GB", "2xCPU-16GB", "4xCPU-32GB", "4xCPU-64GB", "6xCPU-128GB", "8xCPU-192GB", "12xCPU-256GB",
          "16xCPU-384GB", "24xCPU-512GB")  # fmt: skip
NAMES = (*PLANS.values(), *_GENERAL, *(f"HICPU-{name}" for name in _HICPU), *(f"HIMEM-{name}" for name in _HIMEM))
"""All plans of three families."""
_OTHER_FAMILIES = re.compile(r"(DEV|CLOUDNATIVE|PREMIUM|STARTER|GPU)-[1-9][0-9]*xCPU-[1-9][0-9]*GB(-[A-Za-z0-9]+)*")
TIERS = ("maxiops", "standard", "hdd")
IMAGES = {
    "debian-12": "Debian GNU/Linux 12 (Bookworm)",
    "debian-13": "Debian GNU/Linux 13 (Trixie)",
    "ubuntu-22.04": "Ubuntu Server 22.04 LTS (Jammy Jellyfish)",
    "ubuntu-24.04": "Ubuntu Server 24.04 LTS (Noble Numbat)",
    "rocky-9": "Rocky Linux 9",
}
"""Portable names; any title or uuid of UpCloud's is accepted too."""
CUSTOM_CPUS_MAX, CUSTOM_MEMORY_MAX_GB = 20, 128
DISK_LEAST_GB, DISK_MOST_GB = 10, 4096
STORAGES_MAX = 15
"""Beside the first disk: a server has 16 addresses of virtio."""


def is_plan(name: str) -> bool:
    """Of the families whose plans come and go only the form is known."""
    return name in NAMES or bool(_OTHER_FAMILIES.fullmatch(name))
