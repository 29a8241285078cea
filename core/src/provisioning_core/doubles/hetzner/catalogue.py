"""What the double offers: places, sizes and images, in the words and with the fields of the real API.

Names, cores, memory and disks are Hetzner's own; prices are of the right form and order, and no offer.
"""

from __future__ import annotations

from typing import Any

_PLACES = (
    (1, "fsn1", "Falkenstein DC Park 1", "DE", "Falkenstein", 50.47612, 12.370071, "eu-central"),
    (2, "nbg1", "Nuremberg DC Park 1", "DE", "Nuremberg", 49.452102, 11.076665, "eu-central"),
    (3, "hel1", "Helsinki DC Park 1", "FI", "Helsinki", 60.169855, 24.938379, "eu-central"),
    (4, "ash", "Ashburn, VA", "US", "Ashburn, VA", 39.045821, -77.487073, "us-east"),
    (5, "hil", "Hillsboro, OR", "US", "Hillsboro, OR", 45.54222, -122.951924, "us-west"),
    (6, "sin", "Singapore", "SG", "Singapore", 1.283333, 103.833333, "ap-southeast"),
)
_PLACE_FIELDS = ("id", "name", "description", "country", "city", "latitude", "longitude", "network_zone")
LOCATIONS: tuple[dict[str, Any], ...] = tuple(dict(zip(_PLACE_FIELDS, place, strict=True)) for place in _PLACES)

_EU, _ABROAD = ("fsn1", "nbg1", "hel1"), ("ash", "hil", "sin")
_SIZES = (  # name, cores, GiB, disk, cpu, architecture, where, euro an hour
    ("cx23", 2, 4, 40, "shared", "x86", _EU, 0.0048),
    ("cx33", 4, 8, 80, "shared", "x86", _EU, 0.0080),
    ("cx43", 8, 16, 160, "shared", "x86", _EU, 0.0144),
    ("cx53", 16, 32, 320, "shared", "x86", _EU, 0.0272),
    ("cax11", 2, 4, 40, "shared", "arm", _EU, 0.0053),
    ("cpx11", 2, 2, 40, "shared", "x86", _ABROAD, 0.0072),
    ("cpx21", 3, 4, 80, "shared", "x86", _ABROAD, 0.0128),
    ("cpx31", 4, 8, 160, "shared", "x86", _ABROAD, 0.0232),
    ("cpx41", 8, 16, 240, "shared", "x86", _ABROAD, 0.0440),
    ("cpx51", 16, 32, 360, "shared", "x86", _ABROAD, 0.0880),
    ("ccx13", 2, 8, 80, "dedicated", "x86", _EU + _ABROAD, 0.0200),
    ("ccx23", 4, 16, 160, "dedicated", "x86", _EU + _ABROAD, 0.0392),
    ("ccx33", 8, 32, 240, "dedicated", "x86", _EU + _ABROAD, 0.0777),
    ("ccx43", 16, 64, 360, "dedicated", "x86", _EU + _ABROAD, 0.1546),
    ("ccx53", 32, 128, 600, "dedicated", "x86", _EU + _ABROAD, 0.3085),
    ("ccx63", 48, 192, 960, "dedicated", "x86", _EU + _ABROAD, 0.4624),
)
_OFFERED = {"deprecation": None, "available": True, "recommended": True}
_IMAGES = (
    ("debian-12", "debian", "12", "Debian 12"),
    ("debian-13", "debian", "13", "Debian 13"),
    ("ubuntu-22.04", "ubuntu", "22.04", "Ubuntu 22.04"),
    ("ubuntu-24.04", "ubuntu", "24.04", "Ubuntu 24.04"),
    ("fedora-42", "fedora", "42", "Fedora 42"),
    ("rocky-9", "rocky", "9", "Rocky Linux 9"),
)


def _money(net: float) -> dict[str, str]:
    return {"net": f"{net:.10f}", "gross": f"{net * 1.19:.16f}"}


def _server_type(id: int, size: tuple[Any, ...]) -> dict[str, Any]:
    name, cores, memory, disk, cpu, architecture, places, hour = size
    price = {
        "price_hourly": _money(hour),
        "price_monthly": _money(hour * 624),
        "included_traffic": 20 << 40,
        "price_per_tb_traffic": _money(1.0),
    }
    offered = [each for each in LOCATIONS if each["name"] in places]
    return {
        "id": id,
        "name": name,
        "description": name.upper(),
        "category": "Shared vCPU" if cpu == "shared" else "Dedicated vCPU",
        "cores": cores,
        "memory": float(memory),
        "disk": disk,
        "deprecated": False,
        "prices": [{"location": place} | price for place in places],
        "storage_type": "local",
        "cpu_type": cpu,
        "architecture": architecture,
        "deprecation": None,
        "locations": [
            {"id": each["id"], "name": each["name"], "deprecation": None, "available": True, "recommended": True}
            for each in offered
        ],
    }


def _image(id: int, image: tuple[str, str, str, str]) -> dict[str, Any]:
    name, flavor, version, description = image
    return {
        "id": id,
        "type": "system",
        "status": "available",
        "name": name,
        "description": description,
        "image_size": None,
        "disk_size": 5,
        "created": "2025-01-15T09:00:00+00:00",
        "created_from": None,
        "bound_to": None,
        "os_flavor": flavor,
        "os_version": version,
        "architecture": "x86",
        "rapid_deploy": True,
        "protection": {"delete": False},
        "deprecated": None,
        "deleted": None,
        "labels": {},
    }


SERVER_TYPES = tuple(_server_type(100 + place, size) for place, size in enumerate(_SIZES))
IMAGES = tuple(_image(100_000 + place, image) for place, image in enumerate(_IMAGES))


def lookup(offers: tuple[dict[str, Any], ...], id_or_name: Any) -> dict[str, Any] | None:
    """By id (a number, or its digits) or by name, as the API takes them."""
    return next((one for one in offers if str(id_or_name) in (str(one["id"]), one["name"])), None)
