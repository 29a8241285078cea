"""All providers that a workspace's resources may be at: those that its definitions name, and those that it remembers.

One infrastructure may mix providers, a server may have moved from one to another, and a definition may be gone: so what
exists is asked of each provider that the definition or the inventory names, and each is loaded once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from .capabilities import Flag, capabilities_of
from .errors import NotFoundError, ProviderError, ProvisioningError, UsageError
from .infra import Infra, load_infra
from .inventory import Inventory
from .plugins import installed, provider_class
from .provider import Kind, Provider, Resource
from .workspace import Workspace


class Found(NamedTuple):
    """provider: the name by which the workspace calls it."""

    provider: str
    resource: Resource


class Clouds:
    """given: providers that are loaded already, by name."""

    def __init__(self, workspace: Workspace, given: Mapping[str, Provider] = {}) -> None:
        self.workspace = workspace
        self.inventory = Inventory(workspace)
        self._loaded = dict(given)

    def load(self, name: str | None = None) -> Provider:
        """That one, or the workspace's own. Raises UsageError, ProviderError."""
        name = name or self.workspace.provider
        if name not in self._loaded:
            self._loaded[name] = self.workspace.load_provider(name)
        return self._loaded[name]

    def names(self, infra: str | None = None, definition: Infra | None = None) -> tuple[str, ...]:
        """Of that infrastructure, None: of all. The workspace's own where neither definition nor inventory name one.

        Raises what `load_infra` raises of a definition that is there and not good; with None such are passed over.
        """
        remembered = [entry.provider for entry in self.inventory.all(infra)]
        if infra is None:
            named = [self.workspace.provider]
            for each in self.workspace.infra_names():
                try:
                    named += load_infra(self.workspace, each).providers()
                except ProvisioningError:
                    continue  # a bad definition is not what was asked about
            return tuple(dict.fromkeys(named + remembered))
        try:
            named = [*(definition or load_infra(self.workspace, infra)).providers()]
        except NotFoundError:
            named = [self.workspace.provider]
        return tuple(dict.fromkeys(named + remembered)) or (self.workspace.provider,)

    def list(
        self,
        kind: Kind,
        infra: str | None = None,
        *,
        definition: Infra | None = None,
        on_error: Callable[[str, ProvisioningError], None] | None = None,
    ) -> list[Found]:
        """What exists at all of them, in the order of the keys.

        on_error: told of a provider that does not answer, the others are listed all the same; None: it is raised.
        """
        found: list[Found] = []
        for name in self.names(infra, definition):
            try:
                provider = self.load(name)
                if kind in capabilities_of(provider).kinds:
                    there = provider.list(kind, infra=infra)
                    # An account may be shared: what another workspace made is neither shown nor ever changed here.
                    found += [Found(name, resource) for resource in there if self.workspace.owns(resource)]
            except (ProviderError, UsageError) as error:
                if on_error is None:
                    raise
                on_error(name, error)
        return sorted(found, key=lambda each: each.resource.key)

    def find(self, kind: Kind, infra: str, name: str) -> Found | None:
        """The one with that key; where we remember having made it is asked first."""
        key = self.workspace.key(infra, kind, name)
        entry = self.inventory.get(key)
        names = dict.fromkeys(([entry.provider] if entry else []) + [*self.names(infra)])
        for provider in names:
            resource = self.load(provider).find(kind, key=key)
            if resource is not None:
                return Found(provider, resource)
        return None


def able(flag: Flag) -> list[str]:
    """The installed providers that have this capability, sorted."""
    names = []
    for name in sorted(installed()):
        try:
            if flag in capabilities_of(provider_class(name)).flags:
                names.append(name)
        except ProvisioningError:
            continue
    return names


def require(provider: Provider, name: str, flag: Flag, doing: str) -> None:
    """Raises UsageError (`not_capable`) that names the providers which can. doing: `stop servers`."""
    if flag not in capabilities_of(provider).flags:
        others = ", ".join(able(flag)) or "none of those that are installed"
        raise UsageError(f"the provider {name} cannot {doing}", code="not_capable", hint=f"these can: {others}")
