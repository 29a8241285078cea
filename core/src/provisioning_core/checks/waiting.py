"""Waits for a check: every pair of who asks and who is asked on its own, until all answer or the deadline has come."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncssh

from .. import params as check
from ..clouds import Clouds
from ..errors import NotFoundError, ProviderError, UsageError
from ..params import check_params
from ..provider import Resource
from ..workspace import Workspace
from ..yamlfile import shown
from .asking import CONNECT_S, Answer, Question, ask, connect, shorten

DEADLINE_S = 60.0
INTERVAL_S = 1.0
DEADLINE_MAX_S = 24 * 3600.0
SOURCES_MAX = 100
NAMED_MAX = 5


@dataclass
class Pair:
    """One who asks, one who is asked; they are the same where the check names no sources."""

    source: str
    target: str
    hosts: list[str]
    tries: int = 0
    last: Answer = field(default_factory=lambda: Answer(False, "not asked yet"))

    @property
    def end(self) -> str:
        """How it stood at the deadline, in words."""
        if not self.tries:
            return "had not answered the first try"
        return f"after {self.tries} {'try' if self.tries == 1 else 'tries'}: {self.last.text}"

    def __str__(self) -> str:
        return self.target if self.source == self.target else f"{self.source} -> {self.target}"


def await_check(workspace: Workspace, params: Mapping[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    """Return when every target has answered every source. params: those of checks/await.

    say: told of what was tried and what came back, where that is news. Raises UsageError, NotFoundError (a server that
    does not exist), ProviderError (`check_failed`) at the deadline.
    """
    question = _checked(params)
    servers = _servers(workspace, params)
    pairs = _pairs(params, servers)
    deadline_s, interval_s = (
        float(params.get("deadline_s") or DEADLINE_S),
        float(params.get("interval_s") or INTERVAL_S),
    )
    say(f"check {params['name']}: {question} of {', '.join(params['targets'])}, for at most {deadline_s:g} s")
    began = time.monotonic()
    asyncio.run(_Waiting(question, pairs, servers, interval_s, say).all(began + deadline_s))
    bad = [pair for pair in pairs if not pair.last.good]
    if bad:
        told = "; ".join(f"{pair} {pair.end}" for pair in bad[:NAMED_MAX])
        more = f"; and {len(bad) - NAMED_MAX} more" if len(bad) > NAMED_MAX else ""
        raise ProviderError(
            f"check {params['name']}: {question} was not good within {deadline_s:g} s: {told}{more}",
            code="check_failed",
            hint=f"provisioning server ssh {params['infra']}/{bad[0].source}",
        )
    took = round(time.monotonic() - began, 3)
    say(f"check {params['name']}: good after {took:.1f} s")
    return {"name": params["name"], "pairs": len(pairs), "tries": sum(pair.tries for pair in pairs), "took_s": took}


def _checked(params: Mapping[str, Any]) -> Question:
    seconds = _seconds
    check_params(
        params,
        {"infra": check.infra_name, "name": check.server_name, "targets": check.server_names},
        {
            "sources": check.list_of(check.server_name, SOURCES_MAX),
            "tcp": check.number(1, 65_535),
            "http": _page,
            "command": check.text(10_000),
            "deadline_s": seconds,
            "interval_s": seconds,
        },
    )
    asked = [name for name in ("tcp", "http", "command") if params.get(name) is not None]
    if len(asked) != 1:
        got = " and ".join(asked) or "none of them"
        raise UsageError(f"exactly one of tcp, http and command is expected, got {got}", code="bad_params")
    return Question(params.get("tcp"), params.get("http"), params.get("command"))


def _page(value: Any) -> str | None:
    if isinstance(value, str) and value.startswith(":") and value.isprintable() and " " not in value:
        port = value[1:].partition("/")[0]
        if port.isdecimal() and 1 <= int(port) <= 65_535:
            return None
    return f"{shown(value)} is not accepted; accepted: :<port>/<path>, like :8080/health"


def _seconds(value: Any) -> str | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= DEADLINE_MAX_S
    return None if good else f"seconds from above 0 to {DEADLINE_MAX_S:.0f} are expected, got {shown(value)}"


def _servers(workspace: Workspace, params: Mapping[str, Any]) -> dict[str, Resource]:
    there = {each.resource.name: each.resource for each in Clouds(workspace).list("server", params["infra"])}
    wanted = dict.fromkeys([*params["targets"], *(params.get("sources") or ())])
    missing = [name for name in wanted if name not in there]
    if missing:
        raise NotFoundError(
            f"check {params['name']}: there is no server {', '.join(missing)}",
            code="unknown_server",
            hint=f"provisioning infra create {params['infra']}",
        )
    return {name: there[name] for name in wanted}


def _pairs(params: Mapping[str, Any], servers: Mapping[str, Resource]) -> list[Pair]:
    sources = params.get("sources") or ()
    if not sources:
        own = {name: [*_addresses(servers[name]), "127.0.0.1"] for name in params["targets"]}
        return [Pair(name, name, list(dict.fromkeys(own[name]))) for name in params["targets"]]
    return [Pair(one, other, _addresses(servers[other])) for one in sources for other in params["targets"]]


def _addresses(server: Resource) -> list[str]:
    address = server.attributes.get("private_address") or server.attributes.get("address")
    both = (address, server.attributes.get("address"))
    return list(dict.fromkeys(str(each) for each in both if each))


class _Waiting:
    """The pairs of one source share a connection, which is made again where it was lost."""

    def __init__(
        self,
        question: Question,
        pairs: list[Pair],
        servers: Mapping[str, Resource],
        interval_s: float,
        say: Callable[[str], None],
    ) -> None:
        self._question, self._pairs, self._servers = question, pairs, servers
        self._interval_s, self._say = interval_s, say
        self._until = 0.0

    async def all(self, until: float) -> None:
        """until: by time.monotonic(). The loops look at it, too: what a library waits with may swallow one cancel."""
        self._until = until
        sources = dict.fromkeys(pair.source for pair in self._pairs)
        waits = [self._source(name, [pair for pair in self._pairs if pair.source == name]) for name in sources]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(until - time.monotonic(), 0.001)):
                await asyncio.gather(*waits)

    async def _source(self, name: str, pairs: list[Pair]) -> None:
        """Return when all of its pairs are good, or the deadline has come."""
        while not all(pair.last.good for pair in pairs) and time.monotonic() < self._until:
            try:
                ssh = self._servers[name].attributes.get("ssh")
                if not isinstance(ssh, Mapping):
                    raise OSError("the provider does not say how to connect to it")
                async with asyncio.timeout(CONNECT_S):
                    connection = await connect(ssh)
                async with connection:
                    await asyncio.gather(*(self._pair(connection, pair) for pair in pairs if not pair.last.good))
            except (OSError, TimeoutError, asyncssh.Error) as error:
                why = shorten(str(error)) or type(error).__name__
                for pair in pairs:
                    if not pair.last.good:
                        self._learn(pair, Answer(False, f"no SSH to {name}: {why}"))
                await asyncio.sleep(self._interval_s)

    async def _pair(self, connection: asyncssh.SSHClientConnection, pair: Pair) -> None:
        while time.monotonic() < self._until:
            self._learn(pair, await ask(connection, self._question, pair.target, pair.hosts))
            if pair.last.good:
                return
            await asyncio.sleep(self._interval_s)

    def _learn(self, pair: Pair, answer: Answer) -> None:
        """Say it where it is another answer than the last: a log of a thousand equal lines tells nothing."""
        news = answer != pair.last
        pair.tries, pair.last = pair.tries + 1, answer
        if news:
            self._say(f"{pair}: {self._question}: {answer.text}" + ("" if answer.good else f" (try {pair.tries})"))
