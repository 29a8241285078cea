"""The fields of a spec that mean the same at every cloud, in one canonical form: sizes, firewall rules, storages.

For `normalize` of providers: two specs that mean the same give the same, and a cloud's answer read back gives it again.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ProviderError
from ..names import LABEL, LABEL_WORDS, PLAN
from ..params import NETWORK_SPEC, SERVER_SPEC, STORAGE_SPEC
from ..provider import Kind, Wish
from ..yamlfile import shown

ANYWHERE = ("0.0.0.0/0", "::/0")
SSH_PORT = 22
_KEY_TYPES = ("ssh-ed25519", "ssh-rsa", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-")
_CHECKS = {"server": SERVER_SPEC, "network": NETWORK_SPEC, "storage": STORAGE_SPEC}


@dataclass(frozen=True, slots=True)
class Size:
    """The least that is wanted. GiB."""

    cpus: int
    memory_gb: float
    disk_gb: int = 0


def check_spec(kind: Kind, spec: Mapping[str, Any]) -> dict[str, Any]:
    """What was given, without nulls. Raises ProviderError (`bad_spec`) with all that no cloud would accept."""
    if fault := _CHECKS[kind](dict(spec)):
        raise bad_spec(kind, [fault])
    return {name: value for name, value in spec.items() if value is not None}


def check_name(wish: Wish) -> None:
    """Raises ProviderError (`bad_name`) for a name or an infra that can't be part of a hostname."""
    for what, text in ((wish.kind, wish.name), ("infra", wish.infra)):
        if not LABEL.fullmatch(text):
            raise ProviderError(
                f"cannot make a {wish.kind}: {shown(text)} is no name of a {what}",
                code="bad_name",
                hint=f"accepted: {LABEL_WORDS}",
                retryable=False,
            )


def bad_spec(kind: Kind, faults: Iterable[str], hint: str | None = None) -> ProviderError:
    return ProviderError(f"{kind}: {'; '.join(faults)}", code="bad_spec", hint=hint, retryable=False)


def wanted_size(spec: Mapping[str, Any]) -> Size | None:
    """None where a plan of the cloud's own is named."""
    plan, disk_gb = spec.get("plan"), int(spec.get("disk_gb") or 0)
    if plan is None:
        return Size(int(spec["cpus"]), float(spec["memory_gb"]), disk_gb)
    match = PLAN.fullmatch(plan)
    return Size(int(match[1]), float(match[2]), disk_gb) if match else None


def firewall(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Its rules: sorted, each once, no field that says nothing. ports: [first, last]. source: absent for any."""
    return sorted_rules(rule(each["protocol"], each.get("ports"), each.get("source")) for each in spec["firewall"])


def rule(protocol: str, ports: Iterable[int] | None, source: str | None) -> dict[str, Any]:
    first_last = list(ports or ())
    found: dict[str, Any] = {"protocol": protocol}
    if first_last and protocol != "icmp" and (first_last[0], first_last[-1]) not in ((0, 65_535), (1, 65_535)):
        found["ports"] = [first_last[0], first_last[-1]]
    if source is not None and source not in ANYWHERE:
        found["source"] = str(ipaddress.ip_network(source, strict=False))
    return found


def sorted_rules(rules: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    unique = {_order(each): each for each in rules}
    return [unique[order] for order in sorted(unique)]


def opens_ssh(rules: Iterable[Mapping[str, Any]]) -> bool:
    """Whether they say themselves who may come in by SSH."""
    spans = (each.get("ports", [1, 65_535]) for each in rules if each["protocol"] == "tcp")
    return any(first <= SSH_PORT <= last for first, last in spans)


def storages(spec: Mapping[str, Any], one: Callable[[Mapping[str, Any]], dict[str, Any]]) -> list[dict[str, Any]]:
    """Sorted by name. one: what a storage is at this cloud, at least `name` and `size_gb`."""
    return sorted(map(one, spec["storages"]), key=lambda each: str(each["name"]))


def key_faults(ssh_keys: Iterable[str]) -> list[str]:
    """What is no public key among them."""
    return [f"ssh_keys: {shown(key)} is no public key" for key in ssh_keys if not key.strip().startswith(_KEY_TYPES)]


def network_key(wish: Wish, network: str) -> str:
    """The key of the network that a server's spec names: its sibling in the same infra."""
    return f"{wish.key.removesuffix(f'/{wish.kind}/{wish.name}')}/network/{network}"


def _order(each: Mapping[str, Any]) -> tuple[str, tuple[int, ...], str]:
    return (each["protocol"], tuple(each.get("ports", ())), each.get("source", ""))
