r"""`taskserv.yaml`: what a taskserv is, asks for and offers.

    name: nginx                     the folder's name
    version: distribution           what is installed unless a definition says more; `distribution`: apt's candidate
    description: A web server
    versions: '1\.[0-9.]+'          optional: a pattern for those that a definition may ask for
    packages: [nginx-light]         optional: Debian packages whose versions `check-updates` compares
    parameters: {port: {type: integer, default: 80}}       see parameter.py
    needs: [hardening]              taskservs that must be on the same server before
    supports: [apt, root]           what the server must offer, see offers.py
    health: {tcp: "${port}"}        or http: ":${port}/path", or command: a line of shell; deadline_s, default 30

Beside it: `install.py`, `install.sh` or `install.nu`; optionally `templates/`, README.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from ..errors import NotFoundError
from ..names import LABEL, LABEL_WORDS
from ..yamlfile import Cursor, read_yaml, shown, suggestion
from .parameter import Fault, Parameter, read_parameters, read_pattern, record_faults

MANIFEST = "taskserv.yaml"
DEADLINE_S = 30.0
DEADLINE_MAX_S = 3600.0
DISTRIBUTION = "distribution"
Offer = Literal["root", "apt", "users", "systemd", "kernel", "containers"]
OFFERS: Mapping[Offer, str] = {
    "root": "commands as root, by login or by sudo without a password",
    "apt": "Debian packages can be installed",
    "users": "accounts of its own: more than one user id",
    "systemd": "systemd runs as the first process",
    "kernel": "a kernel of its own: sysctl, cgroups, modules",
    "containers": "namespaces and mounts inside of it, as containers need them",
}
Form = Literal["python", "shell", "nu"]
FORMS: Mapping[str, Form] = {"install.py": "python", "install.sh": "shell", "install.nu": "nu"}
VERSION = re.compile(r"[A-Za-z0-9*][A-Za-z0-9.+:~*_-]{0,99}")
VERSION_WORDS = "a version like 1.22.1-9, v1.31.4+k3s1 or 1.22.* (letters, digits and . + : ~ * _ -)"
PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]{1,99}")
_ANY = re.compile(r"[^\x00]{1,10000}", re.DOTALL)
_PLACE = re.compile(r"\$\{([^}]*)\}")
_FIELDS = ("name", "version", "versions", "description", "packages", "parameters", "needs", "supports", "health")


@dataclass(frozen=True, slots=True)
class Health:
    """Exactly one of the three; each may hold `${parameter}`. http: `:8080/path`, any 2xx or 3xx is health."""

    tcp: str | None = None
    http: str | None = None
    command: str | None = None
    deadline_s: float = DEADLINE_S


@dataclass(frozen=True, slots=True)
class Manifest:
    name: str
    version: str
    form: Form
    description: str = ""
    packages: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    needs: tuple[str, ...] = ()
    supports: tuple[Offer, ...] = ()
    health: Health | None = None
    versions: re.Pattern[str] | None = None

    def faults(self, params: Mapping[str, Any], version: str | None = None) -> list[Fault]:
        """All that is wrong with the parameters and the version of a wish; steps begin with `params`, `version`."""
        found = list(record_faults(self.parameters, params, ("params",)))
        if version is not None and self.versions is not None and not self.versions.fullmatch(version):
            words = f"{shown(version)} is none of {self.name}; accepted: {self.versions.pattern}"
            found.append(Fault(("version",), words))
        return found

    def completed(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Every parameter, those that were not given with their defaults."""
        return {each.name: each.completed(params.get(each.name)) for each in self.parameters}

    def revealed(self, params: Mapping[str, Any], reveal: Callable[[str], str]) -> dict[str, Any]:
        """Complete params with what their secrets refer to. reveal: `secret://name` to its value."""
        return {each.name: each.revealed(params.get(each.name), reveal) for each in self.parameters}


def read_manifest(folder: Path, shown_as: str | None = None) -> Manifest:
    """Raises DefinitionErrors with all faults, each with file:line:column; NotFoundError where there is no manifest.

    shown_as: the manifest's name in messages.
    """
    try:
        at = read_yaml(folder / MANIFEST, shown_as or str(folder / MANIFEST))
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(
            f"{folder} is not a taskserv: it has no {MANIFEST}",
            code="no_manifest",
            hint=f"provisioning taskserv generate {folder.name}",
        ) from None
    fields = at.record(_FIELDS, required=("name", "version")) or {}
    name = fields["name"].text(LABEL, LABEL_WORDS) if "name" in fields else None
    if name is not None and name != folder.name:
        fields["name"].fail(f"the name is {shown(name)}, but the folder is {folder.name!r}: the two must be the same")
    version = fields["version"].text(VERSION, VERSION_WORDS) if "version" in fields else None
    versions = read_pattern(fields.get("versions"))
    if version and versions is not None and not versions.fullmatch(version):
        fields["version"].fail(f"{shown(version)} is none of those that `versions` accepts: {versions.pattern}")
    parameters = read_parameters(fields["parameters"]) if "parameters" in fields else ()
    manifest = Manifest(
        name or "",
        version or "",
        _form(folder, at),
        description=(fields["description"].text(_ANY, "text") or "") if "description" in fields else "",
        packages=_texts(fields.get("packages"), PACKAGE, "the name of a Debian package"),
        parameters=parameters,
        needs=_texts(fields.get("needs"), LABEL, LABEL_WORDS),
        supports=_offers(fields.get("supports")),
        health=_health(fields["health"], [each.name for each in parameters]) if "health" in fields else None,
        versions=versions,
    )
    at.finish()
    return manifest


def filled(text: str, params: Mapping[str, Any]) -> str:
    """The text with `${parameter}` replaced by the parameter's value."""
    return _PLACE.sub(lambda match: str(params.get(match[1], "")), text)


def _form(folder: Path, at: Cursor) -> Form:
    found = [name for name in FORMS if (folder / name).is_file()]
    if len(found) == 1:
        return FORMS[found[0]]
    known = ", ".join(FORMS)
    at.fail(f"the folder holds {' and '.join(found) or 'no implementation'}; exactly one of {known} is expected")
    return "python"


def _texts(at: Cursor | None, pattern: re.Pattern[str], accepted: str) -> tuple[str, ...]:
    found = [each.text(pattern, accepted) for each in at.items()] if at else []
    return tuple(text for text in found if text is not None)


def _offers(at: Cursor | None) -> tuple[Offer, ...]:
    found = []
    for each in at.items() if at else []:
        if each.value() in OFFERS:
            found.append(cast(Offer, each.value()))
        else:
            guess = suggestion(str(each.value()), list(OFFERS))
            each.fail(f"{shown(each.value())} is nothing that a server offers; accepted: {', '.join(OFFERS)}.{guess}")
    return tuple(found)


def _health(at: Cursor, parameters: list[str]) -> Health | None:
    fields = at.record(("tcp", "http", "command", "deadline_s")) or {}
    ways = [name for name in ("tcp", "http", "command") if name in fields]
    if len(ways) != 1:
        at.fail(f"{' and '.join(ways) or 'nothing'} is asked; exactly one of tcp, http, command is expected")
        return None
    way = fields[ways[0]]
    value = way.value()
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else way.text(_ANY, "text")
    for name in _PLACE.findall(text or ""):
        if name not in parameters:
            way.fail(f"there is no parameter {shown(name)}.{suggestion(name, parameters)}".removesuffix("."))
    if text and ways[0] == "tcp" and not re.fullmatch(r"\$\{\w+\}|[1-9][0-9]{0,4}", text):
        way.fail(f"{shown(text)} is no port; accepted: 1 to 65535, or ${{parameter}}")
    if text and ways[0] == "http" and not re.match(r":(\$\{\w+\}|[1-9][0-9]{0,4})/", text):
        way.fail(f"{shown(text)} is not accepted; accepted: a port and a path, like :8080/ or :${{port}}/health")
    return Health(**{ways[0]: text}, deadline_s=_deadline_s(fields.get("deadline_s")))


def _deadline_s(at: Cursor | None) -> float:
    if at is None:
        return DEADLINE_S
    value = at.value()
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= DEADLINE_MAX_S:
        at.fail(f"expected seconds above 0, at most {DEADLINE_MAX_S:g}, got {at.kind()}")
        return DEADLINE_S
    return float(value)
