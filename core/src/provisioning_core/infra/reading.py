"""An infrastructure definition: `infra/<name>.yaml` of a workspace, read into values that have been checked.

networks:
  - name: wuji-net
    cidr: 10.77.0.0/24             private IPv4, no host bits
    labels: {team: web}            optional
servers:
  - name: web                      with `count: 2` this is web-1 and web-2
    count: 2                       optional
    network: wuji-net              optional: one of the networks above
    plan: 2cpu-4gb
    zone: local                    optional, the provider's
    labels: {role: web}            optional
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import replace

from ..errors import UsageError
from ..names import (
    CIDR,
    LABEL,
    LABEL_NAME,
    LABEL_RULE,
    LABEL_VALUE,
    LABEL_WORDS,
    NETWORK,
    NETWORK_WORDS,
    PLAN,
    PLAN_WORDS,
    RESERVED_LABELS,
)
from ..workspace import Workspace
from ..yamlfile import Cursor, read_yaml, shown, suggestion
from .model import Infra, Network, Server

COUNT_MAX = 1_000
SERVERS_MAX = 5_000  # one expansion holds them all, their networks too
NETWORKS_MAX = 1_000
LABELS_MAX = 32


def load_infra(workspace: Workspace, name: str) -> Infra:
    """Raises UsageError, NotFoundError, and DefinitionErrors with all that is wrong with the file."""
    file = workspace.infra_file(name)
    try:
        at = read_yaml(file, f"infra/{file.name}")
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}", code="bad_definition") from error
    fields = at.record(("networks", "servers"), required=("servers",)) or {}
    networks = _networks(fields["networks"]) if "networks" in fields else []
    servers = _servers(fields["servers"], [name for name, _ in networks]) if "servers" in fields else []
    at.finish()
    made = [replace(network, provider=workspace.provider) for _, network in networks if network]
    return Infra(
        name, tuple(made), tuple(replace(each, provider=workspace.provider) for each in servers), workspace.provider
    )


def _networks(at: Cursor) -> list[tuple[str, Network | None]]:
    """By name, None where the rest of it is bad: a server may name it all the same without a second complaint."""
    found: list[tuple[str, Network | None]] = []
    lines: dict[str, int] = {}
    taken: list[tuple[ipaddress.IPv4Network, str]] = []
    items = at.items()
    if len(items) > NETWORKS_MAX:
        at.fail(f"{len(items)} networks; at most {NETWORKS_MAX} are accepted")
    for item in items[:NETWORKS_MAX]:
        fields = item.record(("name", "cidr", "labels"), required=("name", "cidr"))
        if fields is None:
            continue
        name = fields["name"].text(NETWORK, NETWORK_WORDS) if "name" in fields else None
        cidr = _cidr(fields["cidr"], taken, name or "?") if "cidr" in fields else None
        labels = _labels(fields)
        if name is None or _taken(fields["name"], name, "network", lines):
            continue
        found.append((name, Network(name, cidr, labels) if cidr else None))
    return found


def _servers(at: Cursor, networks: Sequence[str]) -> list[Server]:
    servers: list[Server] = []
    lines: dict[str, int] = {}
    for item in at.items():
        fields = item.record(("name", "count", "network", "plan", "zone", "labels"), required=("name", "plan"))
        if fields is None:
            continue
        counted = "count" in fields
        count = fields["count"].integer(1, COUNT_MAX) if counted else 1
        name = fields["name"].text(LABEL, LABEL_WORDS) if "name" in fields else None
        plan = _plan(fields["plan"]) if "plan" in fields else None
        network = _network(fields["network"], networks) if "network" in fields else None
        zone = fields["zone"].text(LABEL, LABEL_WORDS) if "zone" in fields else None
        labels = _labels(fields)
        if name is None:
            continue
        names = [f"{name}-{number}" for number in range(1, (count or 1) + 1)] if counted else [name]
        if not LABEL.fullmatch(names[-1]):
            fields["name"].fail(f"{shown(names[-1])} is longer than 63 characters with its number")
        fresh = [each for each in names if not _taken(fields["name"], each, "server", lines)]
        if plan is not None:
            servers += [Server(each, *plan, network, zone, labels, group=name) for each in fresh]
        if len(servers) > SERVERS_MAX:
            item.fail(f"more than {SERVERS_MAX} servers in one infrastructure; split it")
            break
    return servers


def _taken(at: Cursor, name: str, kind: str, lines: dict[str, int]) -> bool:
    if name in lines:
        at.fail(f"the {kind} {shown(name)} is already defined in line {lines[name]}")
        return True
    assert at.node is not None
    lines[name] = at.node.start_mark.line + 1
    return False


def _labels(fields: dict[str, Cursor]) -> dict[str, str]:
    if "labels" not in fields:
        return {}
    labels = fields["labels"].texts(LABEL_NAME, LABEL_VALUE, LABEL_RULE, LABELS_MAX) or {}
    for name in sorted(RESERVED_LABELS & labels.keys()):
        fields["labels"].fail(f"the label {name!r} is set by the provider; choose another name")
    return labels


def _network(at: Cursor, networks: Sequence[str]) -> str | None:
    name = at.text(NETWORK, NETWORK_WORDS)
    if name is not None and name not in networks:
        known = f"defined: {', '.join(networks[:20])}." if networks else "none is defined in this file."
        at.fail(f"no network {shown(name)}; {known}{suggestion(name, networks)}")
        return None
    return name


def _plan(at: Cursor) -> tuple[str, int, int] | None:
    value = at.value()
    if type(value) is str and not PLAN.fullmatch(value):
        numbers = re.fullmatch(r"\s*(\d{1,3})\D{1,20}?(\d{1,4})\D{0,10}", value, re.ASCII)
        meant = f"{int(numbers[1])}cpu-{int(numbers[2])}gb" if numbers else ""
        guess = f" Did you mean {meant!r}?" if PLAN.fullmatch(meant) else ""
        at.fail(f"{shown(value)} is not a plan; accepted: {PLAN_WORDS}.{guess}")
        return None
    plan = at.text(PLAN, PLAN_WORDS)
    numbers = PLAN.fullmatch(plan) if plan else None
    return (numbers[0], int(numbers[1]), int(numbers[2])) if numbers else None


def _cidr(at: Cursor, taken: list[tuple[ipaddress.IPv4Network, str]], name: str) -> str | None:
    text = at.text(CIDR, "an IPv4 network like 10.77.0.0/24")
    if text is None:
        return None
    try:
        network = ipaddress.IPv4Network(text, strict=False)
    except ValueError as error:
        at.fail(f"{shown(text)} is not a network ({error}); accepted: an IPv4 network like 10.77.0.0/24")
        return None
    if str(network) != text:
        at.fail(f"{shown(text)} has host bits set. Did you mean {str(network)!r}?")
        return None
    if not network.is_private or not 8 <= network.prefixlen <= 29:
        at.fail(f"{shown(text)} is not accepted; accepted: private networks (10/8, 172.16/12, 192.168/16), /8 to /29")
        return None
    for other, other_name in taken:
        if network.overlaps(other):
            at.fail(f"{text} overlaps {other} of network {other_name}")
            return None
    taken.append((network, name))
    return text
