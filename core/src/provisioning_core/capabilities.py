"""What a provider can do beyond the five verbs: it says so in its `capabilities`, and is asked for nothing else.

    class MyCloud:
        name = "mycloud"
        capabilities = Capabilities(
            kinds=("network", "server"),
            flags=frozenset({"update", "power", "zones", "plans"}),
            effects={"server": {"labels": "in_place", "plan": "restart"}},
        )

A plugin without the attribute has the five verbs for servers and networks, and every change replaces.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, cast, runtime_checkable

from .errors import ProviderError
from .provider import Kind, Provider, Resource, Wish

Flag = Literal[
    "update",  # Updating: fields of an existing resource are changed, as `effects` says
    "power",  # Powering: start, stop, reboot
    "adopt",  # Adopting: a resource that we did not make becomes ours
    "zones",  # Catalogue.zones
    "plans",  # Catalogue.plans
    "prices",  # Catalogue.plans says what they cost
    "images",  # Catalogue.images
    "ssh_keys",  # a server's `ssh_keys` are honoured
    "user_data",  # a server's `user_data` is run by it
    "labels",  # labels can be seen at the provider
    "firewall",  # a server's `firewall` rules are enforced
    "storages",  # a server's `storages` are made, attached and deleted with it
]
Effect = Literal["in_place", "restart", "replace"]
PowerAction = Literal["start", "stop", "reboot"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """effects: what a change of a field costs (`labels`, or a field of the spec); what is not in it: "replace"."""

    kinds: tuple[Kind, ...] = ("network", "server")
    flags: frozenset[Flag] = frozenset()
    effects: Mapping[Kind, Mapping[str, Effect]] = field(default_factory=dict)

    def effect(self, kind: Kind, name: str) -> Effect:
        return self.effects.get(kind, {}).get(name, "replace")


def capabilities_of(provider: Provider) -> Capabilities:
    return cast(Capabilities, getattr(provider, "capabilities", Capabilities()))


@runtime_checkable
class Normalizing(Protocol):
    def normalize(self, kind: Kind, spec: Mapping[str, Any]) -> dict[str, Any]:
        """The spec in this provider's own terms: its plan and image names, its default zone. Pure: no call, no SDK.

        Two specs that mean the same give the same. Raises ProviderError (not retryable), its message saying all that
        this provider does not accept in it, and what it would.
        """


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing in a wish that a provider would refuse, today and tomorrow.

    path: where it stands: `zone`, `labels.role`, `storages.data.size_gb`, `firewall[1].source`; empty: all of it.
    message: the offending value, and what would be accepted. code: of the ProviderError that says it.
    """

    path: str
    message: str
    code: str = "bad_spec"

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class RefusedError(ProviderError):
    """A wish that no second try makes better. what: `server web-1`. faults: all of it, at least one."""

    def __init__(self, what: str, faults: Sequence[Fault], *, hint: str | None = None) -> None:
        words = "; ".join(map(str, faults))
        super().__init__(f"{what}: {words}", code=faults[0].code, hint=hint, retryable=False)
        self.faults = tuple(faults)


@runtime_checkable
class Checking(Protocol):
    def faults(self, wish: Wish, network: Mapping[str, Any] | None = None) -> builtins.list[Fault]:
        """All that this provider knows its cloud to refuse: of the spec, the labels, the names. Pure: no call, no SDK.

        A plan asks before it promises anything. network: the spec of the network that a server is to be in.
        """


@runtime_checkable
class Updating(Protocol):
    def update(self, id: str, wish: Wish) -> Resource:
        """Make an existing resource like the wish, in the fields that `effects` allows; idempotent.

        Raises ProviderError: `not_found`, `needs_replacement`, or what the cloud says.
        """


@runtime_checkable
class Powering(Protocol):
    def power(self, id: str, action: PowerAction) -> Resource:
        """Return when it is so. Starting what runs, or stopping what is stopped, changes nothing.

        A reboot ends started, also of what was stopped. Raises ProviderError: `not_found`, or what the cloud says.
        """


@runtime_checkable
class Adopting(Protocol):
    def unmanaged(self, kind: Kind) -> builtins.list[Resource]:
        """What exists in the account and is not ours: key, intent and infra are empty."""

    def adopt(self, id: str, wish: Wish) -> Resource:
        """Put our key, intent and labels on it. The same wish again changes nothing. Raises ProviderError
        (`not_found`, `adopted_elsewhere` where it has another key)."""


@dataclass(frozen=True, slots=True)
class PlanInfo:
    """One size of server that can be had. memory_gb, disk_gb: GiB, None: not said. price_hour: in `currency`."""

    name: str
    cpus: int
    memory_gb: float
    disk_gb: int | None = None
    price_hour: float | None = None
    currency: str | None = None


@runtime_checkable
class Catalogue(Protocol):
    """Each is there where the flag of the same name is set."""

    def zones(self) -> builtins.list[str]: ...

    def plans(self, zone: str | None = None) -> builtins.list[PlanInfo]: ...

    def images(self) -> builtins.list[str]: ...


def has_terms(provider: Provider) -> bool:
    """Whether it has terms of its own. One that knows it only at run time says so in its attribute `normalizes`."""
    return isinstance(provider, Normalizing) and bool(getattr(provider, "normalizes", True))


def normalized(provider: Provider, kind: Kind, spec: Mapping[str, Any]) -> dict[str, Any]:
    """The spec in the provider's terms; as it is, where the provider has none of its own. Raises as `normalize`."""
    return provider.normalize(kind, spec) if isinstance(provider, Normalizing) else dict(spec)


def faults_of(provider: Provider, wish: Wish, network: Mapping[str, Any] | None = None) -> list[Fault]:
    """What this provider would refuse of the wish; of one that is not `Checking`: what its `normalize` refuses."""
    if isinstance(provider, Checking):
        return provider.faults(wish, network)
    try:
        normalized(provider, wish.kind, wish.spec)
    except RefusedError as error:
        return list(error.faults)
    except ProviderError as error:
        if error.retryable or error.code != "bad_spec":
            raise
        return [Fault("", error.message)]
    return []
