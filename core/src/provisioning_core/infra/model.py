"""What an infrastructure definition means, resolved: without counts, defaults and templates, all names checked.

Everything is plain and frozen; `spec()` gives the plain data that a task's params and a provider's Wish carry, without
what the definition did not say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import NotFoundError, UsageError
from ..yamlfile import shown, suggestion


@dataclass(frozen=True, slots=True)
class Policy:
    """Of the tasks about one resource. retry: as in contract/task.json; None: the operation's own."""

    timeout_s: float | None = None
    retry: Mapping[str, Any] | None = None

    def task_fields(self) -> dict[str, Any]:
        """What an expansion's task says of it."""
        fields = {"timeout_s": self.timeout_s, "retry": dict(self.retry) if self.retry else None}
        return {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Network:
    """cidr: private IPv4, no host bits. provider: a name, never empty once read."""

    name: str
    cidr: str
    labels: dict[str, str] = field(default_factory=dict)
    provider: str = ""
    zone: str | None = None
    policy: Policy = Policy()

    def spec(self) -> dict[str, Any]:
        return {"cidr": self.cidr} | ({"zone": self.zone} if self.zone else {})


@dataclass(frozen=True, slots=True)
class FirewallRule:
    """What may come in; a server with rules refuses the rest. ports: first, last. source: a network, None: anywhere."""

    protocol: Literal["tcp", "udp", "icmp"]
    ports: tuple[int, int] | None = None
    source: str | None = None

    def spec(self) -> dict[str, Any]:
        rule = {"protocol": self.protocol, "ports": list(self.ports) if self.ports else None, "source": self.source}
        return {name: value for name, value in rule.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Storage:
    """A further disk of a server: made, attached and deleted with it. size_gb: GiB. tier: the provider's word."""

    name: str
    size_gb: int
    tier: str | None = None

    def spec(self) -> dict[str, Any]:
        return {"name": self.name, "size_gb": self.size_gb} | ({"tier": self.tier} if self.tier else {})


@dataclass(frozen=True, slots=True)
class Server:
    """group: the name that the definition gave, `web` for web-1 and web-2. plan, or cpus and memory_gb: one is there;
    a plan like `2cpu-4gb` gives all three. memory_gb, disk_gb: GiB. ssh_keys: public keys, whole lines.
    """

    name: str
    plan: str | None = None
    cpus: int | None = None
    memory_gb: int | None = None
    network: str | None = None
    zone: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    group: str = ""
    provider: str = ""
    disk_gb: int | None = None
    image: str | None = None
    ssh_keys: tuple[str, ...] = ()
    user_data: str | None = None
    firewall: tuple[FirewallRule, ...] = ()
    storages: tuple[Storage, ...] = ()
    policy: Policy = Policy()

    def spec(self) -> dict[str, Any]:
        scalars = ("plan", "cpus", "memory_gb", "disk_gb", "network", "zone", "image", "user_data")
        spec = {name: value for name in scalars if (value := getattr(self, name)) is not None}
        lists = {
            "ssh_keys": list(self.ssh_keys),
            "firewall": [rule.spec() for rule in self.firewall],
            "storages": [storage.spec() for storage in self.storages],
        }
        return spec | {name: value for name, value in lists.items() if value}


@dataclass(frozen=True, slots=True)
class Taskserv:
    """A service on servers. name: unique among taskservs, checks and clusters of the infra. taskserv: which folder.

    version: None: the manifest's. needs: names of taskservs and checks beside it, to be done first.
    """

    name: str
    taskserv: str
    servers: tuple[str, ...]
    params: dict[str, Any] = field(default_factory=dict)
    version: str | None = None
    needs: tuple[str, ...] = ()
    policy: Policy = Policy()


@dataclass(frozen=True, slots=True)
class Check:
    """Health between groups: done when each target answers, failed at the deadline.

    sources: servers on which it is asked, empty: from here, through SSH to the target itself. targets: servers asked.
    Exactly one of tcp (a port), http (`:8080/path`, any 2xx or 3xx) and command (a line of shell, exit code 0).
    """

    name: str
    targets: tuple[str, ...]
    sources: tuple[str, ...] = ()
    tcp: int | None = None
    http: str | None = None
    command: str | None = None
    deadline_s: float = 60.0
    interval_s: float = 1.0
    needs: tuple[str, ...] = ()
    policy: Policy = Policy()


@dataclass(frozen=True, slots=True)
class Cluster:
    """A named group of servers in roles. needs: taskservs, checks and clusters of the infra itself."""

    name: str
    roles: dict[str, tuple[str, ...]]
    taskservs: tuple[Taskserv, ...] = ()
    checks: tuple[Check, ...] = ()
    needs: tuple[str, ...] = ()
    policy: Policy = Policy()

    @property
    def servers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for names in self.roles.values() for name in names))


@dataclass(frozen=True, slots=True)
class Infra:
    """All in the order of the file. A server is in one cluster at most. taskservs, checks: outside of clusters."""

    name: str
    networks: tuple[Network, ...] = ()
    servers: tuple[Server, ...] = ()
    provider: str = ""
    taskservs: tuple[Taskserv, ...] = ()
    checks: tuple[Check, ...] = ()
    clusters: tuple[Cluster, ...] = ()

    def server(self, name: str) -> Server:
        """Raises NotFoundError, and UsageError for the name of a group of several."""
        found = self.select([name])
        if len(found) > 1:
            raise several(name, [each.name for each in found])
        return found[0]

    def groups(self) -> dict[str, tuple[str, ...]]:
        """The servers of each `count`, by the name that means all of them."""
        found: dict[str, list[str]] = {}
        for server in self.servers:
            if server.group not in ("", server.name):
                found.setdefault(server.group, []).append(server.name)
        return {group: tuple(names) for group, names in found.items()}

    def members(self, names: Iterable[str]) -> list[str]:
        """The names with those of groups replaced by their servers, each once; others as they are, known or not."""
        groups = self.groups()
        return list(dict.fromkeys(each for name in names for each in groups.get(name, (name,))))

    def select(self, names: Sequence[str] | None) -> tuple[Server, ...]:
        """Those servers (None: all; the name of a group: all of it) in the order of the file.

        Raises NotFoundError that names each missing one.
        """
        if names is None:
            return self.servers
        known = [server.name for server in self.servers]
        wanted = set(self.members(names))
        if missing := [name for name in self.members(names) if name not in set(known)]:
            raise no_server(self.name, missing, [*self.groups(), *known])
        return tuple(server for server in self.servers if server.name in wanted)

    def networks_of(self, servers: Sequence[Server]) -> tuple[Network, ...]:
        """The networks that these servers are in."""
        needed = {server.network for server in servers}
        return tuple(network for network in self.networks if network.name in needed)

    def cluster(self, name: str) -> Cluster:
        """Raises NotFoundError."""
        for cluster in self.clusters:
            if cluster.name == name:
                return cluster
        known = [cluster.name for cluster in self.clusters]
        raise NotFoundError(
            f"infrastructure {self.name}: no cluster {shown(name)}.{suggestion(name, known)}".removesuffix("."),
            code="unknown_cluster",
            hint=f"there are: {', '.join(known) or 'none'}",
        )

    def all_taskservs(self) -> Iterator[tuple[Cluster | None, Taskserv]]:
        """Those outside of clusters, then each cluster's."""
        yield from ((None, taskserv) for taskserv in self.taskservs)
        yield from ((cluster, taskserv) for cluster in self.clusters for taskserv in cluster.taskservs)

    def providers(self) -> tuple[str, ...]:
        """The providers that its networks and servers name, each once."""
        named = [each.provider for each in self.networks] + [each.provider for each in self.servers]
        return tuple(dict.fromkeys(named))


def several(group: str, names: Sequence[str]) -> UsageError:
    """For the name of a group where one server is meant."""
    shown_names = ", ".join(names[:20]) + (" …" if len(names) > 20 else "")
    return UsageError(
        f"{shown(group)} is a group of {len(names)} servers, and one is expected",
        code="group_named",
        hint=f"one of: {shown_names}",
    )


def no_server(infra: str, missing: Sequence[str], known: Sequence[str]) -> NotFoundError:
    """For servers that were named and are not there."""
    guesses = [f"no server {shown(name)}.{suggestion(name, known)}".removesuffix(".") for name in missing[:10]]
    there = ", ".join(known[:20]) + (" …" if len(known) > 20 else "")
    return NotFoundError(
        f"infrastructure {infra}: {'; '.join(guesses)}", code="unknown_server", hint=f"there are: {there or 'none'}"
    )
