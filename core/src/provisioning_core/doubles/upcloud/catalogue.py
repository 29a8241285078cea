"""What can be had at the double: zones, plans, prices, templates. Prices are made up; names and sizes are UpCloud's."""

from __future__ import annotations

from typing import Any

CREATED = "2024-01-01T00:00:00Z"
ZONES = {
    "au-syd1": "Sydney #1",
    "de-fra1": "Frankfurt #1",
    "es-mad1": "Madrid #1",
    "fi-hel1": "Helsinki #1",
    "fi-hel2": "Helsinki #2",
    "nl-ams1": "Amsterdam #1",
    "pl-waw1": "Warsaw #1",
    "se-sto1": "Stockholm #1",
    "sg-sin1": "Singapore #1",
    "uk-lon1": "London #1",
    "us-chi1": "Chicago #1",
    "us-nyc1": "New York #1",
    "us-sjo1": "San Jose #1",
}
PLANS: dict[str, tuple[int, int, int]] = {  # cores, MiB of memory, GiB of storage
    "1xCPU-1GB": (1, 1024, 25),
    "1xCPU-2GB": (1, 2048, 50),
    "2xCPU-4GB": (2, 4096, 80),
    "4xCPU-8GB": (4, 8192, 160),
    "6xCPU-16GB": (6, 16384, 320),
    "8xCPU-32GB": (8, 32768, 640),
    "12xCPU-48GB": (12, 49152, 960),
    "16xCPU-64GB": (16, 65536, 1280),
    "20xCPU-96GB": (20, 98304, 1920),
    "20xCPU-128GB": (20, 131072, 2048),
}
CORES_MAX = 20
MEMORY_MAX_MIB = 131_072
TEMPLATES = {  # uuid: title; all of the cloud-init sort, which needs the metadata service
    "01000000-0000-4000-8000-000020070100": "Debian GNU/Linux 12 (Bookworm)",
    "01000000-0000-4000-8000-000020060100": "Debian GNU/Linux 11 (Bullseye)",
    "01000000-0000-4000-8000-000030240200": "Ubuntu Server 24.04 LTS (Noble Numbat)",
    "01000000-0000-4000-8000-000030220200": "Ubuntu Server 22.04 LTS (Jammy Jellyfish)",
    "01000000-0000-4000-8000-000150020100": "Rocky Linux 9",
}
TEMPLATE_GB = 5
TIERS = ("maxiops", "standard", "hdd", "archive")


def zones() -> dict[str, Any]:
    rows = [{"description": words, "id": id, "public": "yes"} for id, words in ZONES.items()]
    return {"zones": {"zone": rows}}


def plans() -> dict[str, Any]:
    rows = [
        {
            "core_number": cores,
            "memory_amount": memory,
            "name": name,
            "public_traffic_out": memory,
            "storage_size": storage,
            "storage_tier": "maxiops",
        }
        for name, (cores, memory, storage) in PLANS.items()
    ]
    return {"plans": {"plan": rows}}


def prices() -> dict[str, Any]:
    """In cents an hour, as the API has them: for `amount` of the thing."""

    def row(zone: str) -> dict[str, Any]:
        plan_prices = {
            f"server_plan_{name}": round(0.4 * plan[0] + 0.35 * plan[1] / 1024, 4) for name, plan in PLANS.items()
        }
        things = {
            "server_core": 1.3,
            "storage_maxiops": 0.031,
            "storage_hdd": 0.0078,
            "ipv4_address": 0.336,
            "firewall": 0.56,
        }
        priced = {name: {"amount": 1, "price": price} for name, price in (things | plan_prices).items()}
        return priced | {"name": zone, "server_memory": {"amount": 256, "price": 0.45}}

    return {"prices": {"zone": [row(zone) for zone in ZONES]}}


def account() -> dict[str, Any]:
    limits = {"cores": 200, "memory": 1_048_576, "networks": 100, "public_ipv4": 100, "storage_maxiops": 10_240}
    return {"account": {"credits": 10_000, "username": "double", "resource_limits": limits}}


def templates() -> list[dict[str, Any]]:
    return [
        {
            "access": "public",
            "created": CREATED,
            "license": 0,
            "size": TEMPLATE_GB,
            "state": "online",
            "template_type": "cloud-init",
            "title": title,
            "type": "template",
            "uuid": uuid,
            "labels": [],
        }
        for uuid, title in TEMPLATES.items()
    ]
