"""The routes, as one table: what is served is in it, and the gate's test and the OpenAPI document are made from it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .backend import Backend
from .exchange import Exchange
from .problems import Refused

Scoped = Literal["nothing", "all", "children"]
Handler = Callable[[Exchange, Backend], Awaitable[None]]

# What a part of a template stands for. A workflow's id begins with wf_, which no resource can: so the verbs of a
# workflow and `/workflows/{resource}/{action}` never meet.
PARTS = {
    "workflow": r"wf_[^/]{1,128}",
    "any_workflow": r"[^/]{1,128}",
    "task": r"[^/]{1,128}",
    "resource": r"[^/]{1,128}",
    "action": r"[^/]{1,128}",
    "code": r"[a-z_]{1,64}",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter or header. schema: JSON Schema."""

    name: str
    description: str
    schema: dict[str, Any]
    place: str = "query"


@dataclass(frozen=True, slots=True)
class Route:
    """template: `{name}` stands for one segment, see PARTS. takes, gives: shapes of the bodies (msgspec types, or
    None).

    gives_type: of an answer that is no JSON. refuses: codes of problems beyond those that any route may answer.
    scope: what the token of a task opens of it: nothing, all, or only what concerns a child of that task.
    """

    method: str
    template: str
    handler: Handler
    summary: str
    status: int = 200
    takes: Any = None
    gives: Any = None
    gives_type: str = "application/json"
    parameters: Sequence[Parameter] = ()
    refuses: Sequence[str] = ()
    scope: Scoped = "nothing"
    pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        parts = re.split(r"\{(\w+)\}", self.template)
        for place in range(0, len(parts), 2):
            parts[place] = re.escape(parts[place])
        for place in range(1, len(parts), 2):
            parts[place] = f"(?P<{parts[place]}>{PARTS[parts[place]]})"
        object.__setattr__(self, "pattern", re.compile("".join(parts)))

    @property
    def path(self) -> str:
        """The template as people know it."""
        return self.template.replace("{any_workflow}", "{workflow}")


class Router:
    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._plain = {(r.method, r.template): r for r in routes if "{" not in r.template}
        self._templated = [route for route in routes if "{" in route.template]

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The first route that fits, and its parts. Raises Refused: 404, or 405 naming what the address takes."""
        wanted = "GET" if method == "HEAD" else method
        plain = self._plain.get((wanted, path))
        if plain is not None:
            return plain, {}
        allowed: set[str] = {other for other, template in self._plain if template == path}
        for route in self._templated:
            found = route.pattern.fullmatch(path)
            if found:
                if route.method == wanted:
                    return route, found.groupdict()
                allowed.add(route.method)
        if allowed:
            methods = ", ".join(sorted(allowed | ({"HEAD"} if "GET" in allowed else set())))
            raise Refused(
                "method_not_allowed",
                f"{path} does not take {method}; it takes {methods}",
                headers=[(b"allow", methods.encode())],
            )
        raise Refused("not_found", f"there is nothing at {path}", hint="GET /openapi.json lists all addresses")
