"""The taskservs, checks and clusters of a definition: what is installed and asked where, and in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..yamlfile import Cursor, shown
from .machines import policy_of
from .model import Check, Cluster, Taskserv
from .references import Item, Names, check_needs, resolve_servers
from .source import Source

ASKED = ("tcp", "http", "command")
Groups = Mapping[str, tuple[str, ...]]


@dataclass(slots=True)
class Level:
    """The infra itself, or one cluster: what stands beside each other, and may need each other."""

    where: str
    groups: Groups
    items: list[tuple[str, Item]] = field(default_factory=list)
    taskservs: list[tuple[str, Item]] = field(default_factory=list)
    checks: list[tuple[str, Item]] = field(default_factory=list)


@dataclass(slots=True)
class Services:
    """names: one namespace for all taskservs, checks and clusters, whichever level they are on.

    declared: every taskserv that was read, with its item, so that its manifest can be asked.
    """

    source: Source
    groups: Groups
    names: Names = field(default_factory=Names)
    declared: list[tuple[Taskserv, Item]] = field(default_factory=list)

    def read(
        self, taskservs: Cursor | None, checks: Cursor | None, clusters: Cursor | None
    ) -> tuple[tuple[Taskserv, ...], tuple[Check, ...], tuple[Cluster, ...]]:
        top = Level("in this infrastructure, outside of its clusters", self.groups)
        self._enter(top, taskservs, checks)
        found = [
            (name, item) for item in self.source.items(clusters, "cluster") if (name := self._take(item, "cluster"))
        ]
        top.items += found
        members: dict[str, str] = {}
        levels: list[tuple[str, Item, dict[str, tuple[str, ...]], Level]] = []
        for name, item in found:
            roles = self._roles(item)
            self._claim(name, item, roles, members)
            level = Level(f"in the cluster {name}", self._reachable(item, roles))
            self._enter(level, item.fields.get("taskservs"), item.fields.get("checks"))
            levels.append((name, item, roles, level))
        inside = {each: name for name, _, _, level in levels for each, _ in level.items}
        hints = {each: f"in the cluster {name}; need the cluster itself" for each, name in inside.items()}
        needs = check_needs(top.items, [name for name, _ in top.items], hints, top.where)
        made = []
        for name, item, roles, level in levels:
            outside = dict.fromkeys(self.names.taken, "not in this cluster; let the cluster need it")
            below = check_needs(level.items, [each for each, _ in level.items], outside, level.where)
            both = self._taskservs(level, below), self._checks(level, below)
            made.append(Cluster(name, roles, *both, needs[name], policy_of(item)))
        return self._taskservs(top, needs), self._checks(top, needs), tuple(made)

    # --- names -------------------------------------------------------------------------------------------------------

    def _enter(self, level: Level, taskservs: Cursor | None, checks: Cursor | None) -> None:
        for item in self.source.items(taskservs, "taskserv"):
            if name := self._take(item, "taskserv"):
                level.taskservs.append((name, item))
        for item in self.source.items(checks, "check"):
            if name := self._take(item, "check"):
                level.checks.append((name, item))
        level.items += level.taskservs + level.checks

    def _take(self, item: Item, kind: str) -> str | None:
        name = item.name()
        return name if name is not None and self.names.take(item.fields["name"], name, kind) else None

    # --- servers -----------------------------------------------------------------------------------------------------

    def _roles(self, item: Item) -> dict[str, tuple[str, ...]]:
        item.require("roles")
        roles: dict[str, tuple[str, ...]] = {}
        names = Names()
        for at in item.cursors("roles"):
            fields = {name: below for name, _, below in at.entries() or []}
            name = str(fields["name"].value())
            if names.take(fields["name"], name, "role"):
                roles[name] = resolve_servers(fields["servers"].items(), self.groups)
        return roles

    def _claim(self, name: str, item: Item, roles: Groups, members: dict[str, str]) -> None:
        """Note the servers that are in another cluster already."""
        taken = {each: members[each] for servers in roles.values() for each in servers if each in members}
        if taken:
            words = ", ".join(f"{each} (in {other})" for each, other in list(taken.items())[:10])
            item.fields["roles"].fail(f"a server can be in one cluster only; these are in another: {words}")
        members |= {each: name for servers in roles.values() for each in servers if each not in members}

    def _reachable(self, item: Item, roles: Groups) -> Groups:
        """What `on` may name in a cluster: its roles, its servers, and groups that are all in it."""
        own = {each for servers in roles.values() for each in servers}
        below = {name: servers for name, servers in self.groups.items() if set(servers) <= own}
        for role in roles:
            if role in below and set(below[role]) != set(roles[role]):
                item.fields["roles"].fail(
                    f"{shown(role)} is a role here and the name of other servers; give the role another name"
                )
        return {**roles, **{name: servers for name, servers in below.items() if name not in roles}}

    # --- what they are -----------------------------------------------------------------------------------------------

    def _targets(self, level: Level, item: Item, name: str) -> tuple[str, ...]:
        what = "server" if level.groups is self.groups else "role or server of this cluster"
        return resolve_servers(item.cursors(name), level.groups, what)

    def _taskservs(self, level: Level, needs: Mapping[str, tuple[str, ...]]) -> tuple[Taskserv, ...]:
        made = []
        for name, item in level.taskservs:
            item.require("on")
            version, params = item.get("version"), item.get("params") or {}
            servers = self._targets(level, item, "on")
            folder = item.get("taskserv") or name
            made.append(Taskserv(name, folder, servers, params, version, needs[name], policy_of(item)))
            self.declared.append((made[-1], item))
        return tuple(made)

    def _checks(self, level: Level, needs: Mapping[str, tuple[str, ...]]) -> tuple[Check, ...]:
        return tuple(self._check(level, name, item, needs[name]) for name, item in level.checks)

    def _check(self, level: Level, name: str, item: Item, needs: Sequence[str]) -> Check:
        item.require("on")
        asked = [each for each in ASKED if item.says(each)]
        if item.sound and len(asked) != 1:
            how = "nothing is asked" if not asked else f"{' and '.join(asked)} are asked at once"
            item.at.fail(f"{how}; accepted: exactly one of {', '.join(ASKED)}")
        http, tcp = item.get("http"), item.get("tcp")
        if http is not None and int(http[1:].partition("/")[0]) > 65_535:
            item.fields["http"].fail(
                f"{shown(http)} has a port above 65535; accepted: a port and a path, like :8080/health"
            )
        times: dict[str, Any] = {each: item.get(each) for each in ("deadline_s", "interval_s")}
        given = {each: float(value) for each, value in times.items() if value is not None}
        targets, sources = self._targets(level, item, "on"), self._targets(level, item, "from")
        return Check(
            name, targets, sources, None if tcp is None else int(tcp), http, item.get("command"),
            needs=tuple(needs), policy=policy_of(item), **given,
        )  # fmt: skip
