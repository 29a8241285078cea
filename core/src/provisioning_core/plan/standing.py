"""How the taskservs of an infrastructure stand: what is declared, compared with what each server itself says.

Servers are asked side by side, each once. What cannot be asked is said, and stops nobody else's answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..clouds import Clouds
from ..errors import ProvisioningError
from ..provider import Resource
from ..secrets import resolve_param
from ..taskservs import apt
from ..taskservs.health import wait_healthy
from ..taskservs.marker import PARAMETERS, Marker
from ..taskservs.offers import look
from ..taskservs.remote import Remote, connected
from ..taskservs.wish import KIND, Reveal, Wish, read_wish
from .model import FieldChange
from .words import field_words

AT_ONCE_MAX = 20
Action = Literal["install", "change", "exists", "ill", "unknown"]


@dataclass(frozen=True, slots=True)
class Standing:
    """action: what a create would do. ill: it is there as wished, but not healthy, where that was asked; unknown: the
    server cannot be asked. why: in words, empty where all is as wished.

    installed: the version that is there. candidate: what its server's apt would install, where it was asked.
    """

    name: str
    taskserv: str
    layer: str
    server: str
    action: Action
    why: str = ""
    version: str = ""
    installed: str | None = None
    candidate: str | None = None

    @property
    def update(self) -> str | None:
        """The version that could be installed instead; None where there is none."""
        if self.installed is None:
            return None
        if self.candidate is not None:
            return self.candidate if self.candidate not in ("(none)", self.installed) else None
        return self.version if self.version != self.installed else None


@dataclass(frozen=True, slots=True)
class _Asked:
    """known: the params that the inventory remembers, which a server only has a digest of."""

    wish: Wish
    params: Mapping[str, Any]
    fault: str | None = None
    hidden: Callable[[str], str] = str
    known: Mapping[str, Any] | None = None


def standings(
    clouds: Clouds,
    infra: str,
    tasks: Sequence[Mapping[str, Any]],
    *,
    candidates: bool = False,
    health: bool = False,
    resolve: Callable[[str], str] = resolve_param,
) -> list[Standing]:
    """Of the tasks that an expansion of taskservs/create has, in their order.

    candidates: ask each server's apt, too. health: ask each service that is there, once. Raises what reading the wishes
    and listing the servers raise.
    """
    known = {entry.key: entry.attributes.get("params") for entry in clouds.inventory.all(infra, KIND)}
    asked = [_read(clouds, task["params"], resolve, known) for task in tasks]
    servers = {found.resource.name: found.resource for found in clouds.list("server", infra)}
    return asyncio.run(_ask_all(asked, servers, candidates, health))


def _read(clouds: Clouds, params: Mapping[str, Any], resolve: Callable[[str], str], known: Mapping[str, Any]) -> _Asked:
    wish, reveal = read_wish(clouds.workspace, params, key=None), Reveal(resolve)
    before = known.get(wish.key)
    before = before if isinstance(before, Mapping) else None
    try:
        revealed = wish.taskserv.manifest.revealed(wish.params, reveal)
        return _Asked(wish, revealed, hidden=reveal.hidden, known=before)
    except ProvisioningError as error:
        return _Asked(wish, {}, error.message, known=before)


async def _ask_all(
    asked: Sequence[_Asked], servers: Mapping[str, Resource], candidates: bool, health: bool
) -> list[Standing]:
    slots = asyncio.Semaphore(AT_ONCE_MAX)
    names = list(dict.fromkeys(each.wish.server for each in asked))

    async def ask(name: str) -> list[Standing]:
        async with slots:
            return await _ask_server(
                [each for each in asked if each.wish.server == name], servers.get(name), candidates, health
            )

    found = {(each.server, each.name): each for group in await asyncio.gather(*map(ask, names)) for each in group}
    return [found[each.wish.server, each.wish.name] for each in asked]


async def _ask_server(
    asked: Sequence[_Asked], server: Resource | None, candidates: bool, health: bool
) -> list[Standing]:
    if server is None:
        return [_standing(each, "install", "the server does not exist yet") for each in asked]
    if server.state != "started" or not isinstance(server.attributes.get("ssh"), Mapping):
        return [_standing(each, "unknown", f"the server is {server.state}") for each in asked]
    try:
        async with connected(server.attributes["ssh"]) as remote:
            seen = await look(remote, server.attributes)
            there = await _candidates(remote, asked) if candidates else {}
            found = [_compared(each, seen.markers.get(each.wish.name), there) for each in asked]
            address = server.attributes.get("address")
            if health:
                pairs = zip(asked, found, strict=True)
                found = [await _with_health(remote, each, standing, address) for each, standing in pairs]
    except ProvisioningError as error:
        return [_standing(each, "unknown", error.message) for each in asked]
    return found


async def _with_health(remote: Remote, each: _Asked, standing: Standing, address: Any) -> Standing:
    health = each.wish.taskserv.manifest.health
    if health is None or standing.action != "exists":
        return standing
    where = str(address) if address else None
    fault = await wait_healthy(remote, health, each.params, address=where, deadline_s=0)
    return standing if fault is None else replace(standing, action="ill", why=f"not healthy: {each.hidden(fault)}")


async def _candidates(remote: Remote, asked: Sequence[_Asked]) -> dict[str, str]:
    """package → apt's candidate."""
    packages = [each.wish.taskserv.manifest.packages[0] for each in asked if each.wish.taskserv.manifest.packages]
    if not packages:
        return {}
    done = await remote.run(f"command -v apt-cache >/dev/null || exit 0; {apt.candidate_script(packages)}")
    lines = [line.split() for line in done.out.splitlines()]
    return {words[0]: words[2] for words in lines if len(words) == 3}


def _compared(each: _Asked, marker: Marker | None, candidates: Mapping[str, str]) -> Standing:
    packages = each.wish.taskserv.manifest.packages
    candidate = candidates.get(packages[0]) if packages else None
    if marker is None:
        return _standing(each, "install", "is not installed", candidate=candidate)
    if not marker.done:
        return _standing(each, "install", "an earlier attempt did not come to its end", candidate=candidate)
    if each.fault is not None:
        return _standing(each, "unknown", each.fault, marker.installed, candidate)
    differences = marker.differences(each.wish.version, each.params, each.wish.taskserv.digest)
    action: Action = "change" if differences else "exists"
    told = (_changed_params(each) or word if word == PARAMETERS else word for word in differences)
    return _standing(each, action, ", ".join(told), marker.installed, candidate)


def _changed_params(each: _Asked) -> str:
    """`port: 80 -> 8080`; empty where that is not known. Of a secret there is only its reference to compare."""
    wished, known = each.wish.params, each.known
    if known is None:
        return ""
    names = dict.fromkeys((*wished, *known))
    changed = (FieldChange(name, known.get(name), wished.get(name), "in_place") for name in names)
    return ", ".join(field_words(field) for field in changed if field.before != field.after)


def _standing(
    each: _Asked, action: Action, why: str, installed: str | None = None, candidate: str | None = None
) -> Standing:
    wish = each.wish
    taskserv = wish.taskserv
    return Standing(
        wish.name, taskserv.name, taskserv.layer, wish.server, action, why, wish.version, installed, candidate
    )
