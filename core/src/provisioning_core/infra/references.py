"""Names of a definition: taken once, found where they are named, and the order that `needs` makes, without circles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..schema import Checker
from ..yamlfile import Cursor, in_line, shown, suggestion

KNOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class Item:
    """A composed item. sound: it says all that it was meant to say (its template was found, and so on)."""

    at: Cursor
    fields: Mapping[str, Cursor]
    sound: bool
    checker: Checker

    def get(self, name: str) -> Any:
        """The field as plain data; None where it is not said, null, or something is wrong with it."""
        at = self.fields.get(name)
        return at.plain() if at is not None and self.checker.good(at.node) else None

    def says(self, name: str) -> bool:
        """It is there and not null, whether it is good or not."""
        at = self.fields.get(name)
        return at is not None and at.kind() != "nothing"

    def name(self) -> str | None:
        value = self.get("name")
        return value if isinstance(value, str) else None

    def cursors(self, name: str) -> list[Cursor]:
        """The items of a list; none where it is not said or not good."""
        return self.fields[name].items() if self.get(name) is not None else []

    def require(self, name: str, words: str = "") -> None:
        """Note that it is missing, where it is."""
        if self.sound and not self.says(name):
            self.at.fail(f"the field {name!r} is missing{words}")


@dataclass(slots=True)
class Names:
    """One namespace: what each name is, and the line in which it was defined."""

    taken: dict[str, tuple[str, int]] = field(default_factory=dict)

    def take(self, at: Cursor, name: str, kind: str) -> bool:
        """False, and noted, where it is taken."""
        if name in self.taken:
            other, line = self.taken[name]
            what = f"the {kind} {shown(name)} is already defined{in_line(line)}"
            at.fail(what if other == kind else f"{shown(name)} is already the name of a {other}{in_line(line)}")
            return False
        self.taken[name] = (kind, at.place()[0])
        return True


def known_words(known: Sequence[str], what: str = "defined") -> str:
    shown_names = ", ".join(known[:KNOWN_MAX]) + (" …" if len(known) > KNOWN_MAX else "")
    return f"{what}: {shown_names}." if known else f"none is {what} in this file."


def resolve_servers(
    cursors: Iterable[Cursor], groups: Mapping[str, tuple[str, ...]], what: str = "server"
) -> tuple[str, ...]:
    """The servers behind names of servers and groups, each once, in the order in which they are named."""
    found: dict[str, None] = {}
    for at in cursors:
        name = at.value()
        if name in groups:
            found.update(dict.fromkeys(groups[name]))
        else:
            at.fail(f"no {what} {shown(name)}; {known_words(list(groups))}{suggestion(name, list(groups))}")
    return tuple(found)


def check_needs(
    items: Sequence[tuple[str, Item]], names: Iterable[str], elsewhere: Mapping[str, str], where: str
) -> dict[str, tuple[str, ...]]:
    """What each of them needs, of those beside it. Notes what is not there, and circles, named in full.

    items: by name. names: all that are beside them, also those with which something else is wrong.
    elsewhere: names that exist, but not here, with what to do about it.
    """
    known = list(names)
    needs: dict[str, tuple[str, ...]] = {}
    for own, item in items:
        found: dict[str, None] = {}
        for at in item.cursors("needs"):
            name = at.value()
            if name in known:
                found[name] = None
            elif name in elsewhere:
                at.fail(f"{shown(name)} is {elsewhere[name]}")
            else:
                at.fail(f"nothing is called {shown(name)} {where}; {known_words(known)}{suggestion(name, known)}")
        needs[own] = tuple(found)
    fields = {own: item.fields for own, item in items}
    for circle in circles(needs):
        words = f"a circle: {' → '.join(circle)}; take one of them out"
        fields[circle[-2]]["needs"].fail(words)
    return needs


def circles(needs: Mapping[str, Sequence[str]]) -> Iterator[list[str]]:
    """Each once, from a name to itself again; the last step is the one that closes it. Iterative: a chain may be as
    long as the file."""
    done: set[str] = set()
    for start in needs:
        if start in done:
            continue
        path: dict[str, None] = {start: None}
        stack = [(start, iter(needs[start]))]
        while stack:
            name, rest = stack[-1]
            below = next(rest, None)
            if below is None:
                stack.pop()
                path.pop(name)
                done.add(name)
            elif below in path:
                yield [*list(path)[list(path).index(below) :], below]
            elif below in needs and below not in done:
                path[below] = None
                stack.append((below, iter(needs[below])))
