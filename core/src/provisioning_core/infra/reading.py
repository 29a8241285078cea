"""An infrastructure definition: `infra/<name>.yaml` or `.k` of a workspace, read into values that have been checked.

docs/definitions.md says what can be written. Three passes, whose faults all come at once: the schema over the file as
it is written, defaults and templates with the schema over what they make, and what no schema can say: names,
references, order, and what the manifests of its taskservs accept.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import UsageError
from ..schema import Checker, load_schema
from ..workspace import Workspace
from ..yamlfile import Cursor, read_yaml
from .composition import Composition
from .machines import plan_guess, read_networks, read_servers
from .model import Infra
from .services import Services
from .source import Source, checked_provider


def load_infra(workspace: Workspace, name: str, *, manifests: bool = False) -> Infra:
    """Raises UsageError, NotFoundError, and DefinitionErrors with all that is wrong with the file.

    manifests: what it declares of taskservs is checked by their manifests, too. Who looks or deletes needs none: what
    was installed has to be removable also where its folder is gone.
    """
    return read_infra(workspace, name, workspace.infra_file(name), manifests=manifests)


def read_infra(workspace: Workspace, name: str, file: Path, *, manifests: bool = False) -> Infra:
    """As `load_infra`, from that file."""
    try:
        at = _read(workspace, file)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}", code="bad_definition") from error
    infra = _infra(workspace, name, at, manifests)
    at.finish()
    return infra


def _read(workspace: Workspace, file: Path) -> Cursor:
    if file.suffix == ".k":
        from .kcl import read_kcl  # an extra, of 28 MB

        return read_kcl(file, f"infra/{file.name}", workspace.path)
    return read_yaml(file, f"infra/{file.name}")


def _infra(workspace: Workspace, name: str, at: Cursor, manifests: bool) -> Infra:
    """With gaps where something is noted."""
    checker = Checker(load_schema("infra"), {"plan": plan_guess})
    checker.check(at)
    fields = {each: below for each, _, below in at.entries() or []}
    composition = Composition(checker)
    composition.read(fields)
    provider = workspace.provider
    if "provider" in fields and checker.good(fields["provider"].node):
        named = fields["provider"].value()
        provider = provider if named is None else checked_provider(fields["provider"], named, workspace)
    source = Source(workspace, composition, provider)
    networks = read_networks(source, fields.get("networks"))
    servers, groups = read_servers(source, fields.get("servers"), networks)
    services = Services(source, groups)
    read = services.read(*(fields.get(each) for each in ("taskservs", "checks", "clusters")))
    made = tuple(network for network in networks.values() if network is not None)
    infra = Infra(name, made, tuple(servers), provider, *read)
    if manifests and services.declared:
        from .manifests import check_manifests  # only where taskservs are declared

        check_manifests(workspace, infra, at, services.declared)
    return infra
