"""What stands between a person and a provider: looked at in order, each with what would put it right."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .capabilities import Catalogue, capabilities_of
from .errors import AuthError, ProvisioningError, UsageError
from .plugins import executable, installed, missing_extra
from .provider import Provider
from .workspace import Workspace

_UNREADABLE = ("unsafe_secrets_file", "bad_secrets_file")
"""The places of credentials that are there and not used."""


@dataclass(frozen=True, slots=True)
class Finding:
    """name: what was looked at. fix: the next thing to do, None where nothing is wrong or nobody knows.

    needed: without it the provider cannot be used; else it is one way of several.
    """

    name: str
    ok: bool
    message: str
    fix: str | None = None
    needed: bool = True


def examine(workspace: Workspace, name: str) -> Iterator[Finding]:
    """What is found, as it is found; it ends where nothing further could be asked. Only reads."""
    entry = installed().get(name)
    if entry is not None and (extra := missing_extra(entry)):
        yield Finding("packages", False, f"{', '.join(extra.missing)} not installed", extra.pip)
        return
    try:
        provider = workspace.load_provider(name)
        can = capabilities_of(provider)
    except ProvisioningError as error:
        yield _failed("provider", error)
        return
    yield Finding("provider", True, origin(workspace, name))
    yield Finding("capabilities", True, f"{', '.join(can.kinds)}; {', '.join(sorted(can.flags)) or 'the five verbs'}")
    yield from _own(provider)
    told = set[str]()
    for about, ask in _questions(provider, can.flags):
        try:
            yield Finding(about, True, ask())
        except AuthError as error:
            yield Finding("credentials", False, error.message, error.hint)
            return
        except UsageError as error:  # of what every question needs: a file that is not used, a setting
            yield _failed("credentials" if error.code in _UNREADABLE else about, error)
            return
        except (ProvisioningError, OSError) as error:
            if str(error) not in told:
                told.add(str(error))
                yield _failed(about, error)


def origin(workspace: Workspace | None, name: str) -> str:
    """Where a provider comes from, in words."""
    if workspace is not None and ":" not in name:
        file = executable(name, workspace.path, workspace.settings.get(name, {}))
        if file is not None:
            inside = file.is_relative_to(workspace.path)
            return str(file.relative_to(workspace.path) if inside else file)
    entry = installed().get(name)
    return f"{entry.dist.name} {entry.dist.version}" if entry and entry.dist else name


def _questions(provider: Provider, flags: frozenset[Any]) -> Iterator[tuple[str, Callable[[], str]]]:
    """What is read of the cloud, each with how its answer is told."""
    yield "servers", lambda: f"{len(provider.list('server'))} of ours"
    if isinstance(provider, Catalogue):
        if "zones" in flags:
            yield "zones", lambda: _few(provider.zones())
        if "plans" in flags:
            yield "plans", lambda: _few([plan.name for plan in provider.plans()])
        if "images" in flags:
            yield "images", lambda: _few(provider.images())


def _own(provider: Provider) -> Iterator[Finding]:
    """What the provider's own `check()` says.

    Mappings with name, ok, and perhaps message, fix, needed; or tuples (name, ok, message), each one way of several.
    """
    if (check := getattr(provider, "check", None)) is None:
        return
    try:
        for said in check():
            if isinstance(said, Mapping):
                told = (str(said["name"]), bool(said["ok"]), str(said.get("message") or ""), said.get("fix"))
                yield Finding(*told, needed=said.get("needed") is not False)
            else:
                name, ok, message = said
                yield Finding(name, ok, message, needed=False)
    except ProvisioningError as error:
        yield _failed("check", error)


def _failed(about: str, error: Exception) -> Finding:
    hint = error.hint if isinstance(error, ProvisioningError) else None
    return Finding(about, False, str(error), hint)


def _few(names: list[str]) -> str:
    return f"{len(names)}: {', '.join(names[:4])}{' …' if len(names) > 4 else ''}" if names else "none"
