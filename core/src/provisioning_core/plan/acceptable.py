"""Whether the providers would take a definition, before anything is made of it: no call to a cloud, all at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..capabilities import faults_of
from ..clouds import Clouds
from ..infra import Infra, Network, Server
from ..infra.places import Misfit, refuse
from ..provider import Kind, Wish


def check_acceptable(clouds: Clouds, infra: Infra, networks: Sequence[Network], servers: Sequence[Server]) -> None:
    """Raises DefinitionErrors that says all that their providers would refuse of these, at its places in the file.

    Raises also what loading a provider raises, and what one in another language raises that cannot be asked.
    """
    misfits = [*_misfits(clouds, infra, "network", networks), *_misfits(clouds, infra, "server", servers)]
    if misfits:
        refuse(clouds.workspace, infra.name, misfits)


def _misfits(clouds: Clouds, infra: Infra, kind: Kind, wanted: Sequence[Network | Server]) -> Iterator[Misfit]:
    beside = {network.name: network.spec() for network in infra.networks}
    for each in wanted:
        key = clouds.workspace.key(infra.name, kind, each.name)
        wish = Wish(kind, key, "", infra.name, each.name, each.spec(), each.labels)
        network = beside.get(each.network or "") if isinstance(each, Server) else None
        provider = each.provider or clouds.workspace.provider
        for fault in faults_of(clouds.load(provider), wish, network):
            yield Misfit(kind, each.name, fault.path, f"not at {provider}: {fault.message}")
