"""What Hetzner offers, as far as this program knows: locations, server types. `provider zones|plans|images hetzner`
asks Hetzner itself; a type that it has since got is named in the setting `plans`: `{cx99: cx99}`."""

from __future__ import annotations

from ..portable import Size

NETWORK_ZONES = {
    "fsn1": "eu-central",
    "nbg1": "eu-central",
    "hel1": "eu-central",
    "ash": "us-east",
    "hil": "us-west",
    "sin": "ap-southeast",
}
EUROPE = "eu-central"
SHARED_EU = (
    ("cx23", Size(2, 4, 40)),
    ("cx33", Size(4, 8, 80)),
    ("cx43", Size(8, 16, 160)),
    ("cx53", Size(16, 32, 320)),
)
SHARED_ABROAD = (
    ("cpx11", Size(2, 2, 40)),
    ("cpx21", Size(3, 4, 80)),
    ("cpx31", Size(4, 8, 160)),
    ("cpx41", Size(8, 16, 240)),
    ("cpx51", Size(16, 32, 360)),
)
DEDICATED = (
    ("ccx13", Size(2, 8, 80)),
    ("ccx23", Size(4, 16, 160)),
    ("ccx33", Size(8, 32, 240)),
    ("ccx43", Size(16, 64, 360)),
    ("ccx53", Size(32, 128, 600)),
    ("ccx63", Size(48, 192, 960)),
)
"""From small to large: the first that is enough is taken."""
ARM = (
    ("cax11", Size(2, 4, 40)),
    ("cax21", Size(4, 8, 80)),
    ("cax31", Size(8, 16, 160)),
    ("cax41", Size(16, 32, 320)),
)
"""In Europe. Never taken for a size: what people install may be for x86."""
OTHERS = ("cx22", "cx32", "cx42", "cx52", "cpx12", "cpx22", "cpx32", "cpx42", "cpx52", "cpx62")
"""Of lines that begin or end: accepted by name, Hetzner knows where they are to be had."""
DISKS = {name: size.disk_gb for name, size in (*SHARED_EU, *SHARED_ABROAD, *DEDICATED, *ARM)}
NAMES = (*DISKS, *OTHERS)
ONLY_EUROPE = frozenset(name for name, _ in (*SHARED_EU, *ARM))
VOLUME_LEAST_GB, VOLUME_MOST_GB = 10, 10_240
VOLUMES_MAX = 16
RULES_MAX = 50
