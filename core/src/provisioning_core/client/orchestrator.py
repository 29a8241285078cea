"""What can be asked of the orchestrator and wished from it."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import NotFoundError, UnreachableError, UsageError
from ..settings import Settings
from .connection import BrokenOff, Connection, OpenAnswer, path_of
from .refusal import NotReady

if TYPE_CHECKING:
    from .feed import Feed

PAGE_LIMIT = 1000
LOG_CHUNK_BYTES = 64 * 1024
PAGES_MAX = 1000
PATIENCE_S = 30.0
PREFIX = "wf_"
SUGGESTIONS_MAX = 3


class Orchestrator:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.connection = Connection(settings.url(), settings.token_file())

    # --- wishes ------------------------------------------------------------------------------------------------------

    def submit(self, resource: str, action: str, infra: str, params: Mapping[str, Any], idempotency_key: str) -> str:
        """The workflow's id, once it is durable.

        A connection that breaks, or a daemon that starts just now, is met by sending again with the same key: however
        often it is sent, one workflow comes of it.
        """
        answer = self._send_again(
            path_of("workflows", resource, action), {"infra": infra, "params": dict(params)}, idempotency_key
        )
        return str(answer["workflow_id"])

    def submit_workflow(self, name: str, tasks: Sequence[Mapping[str, Any]], idempotency_key: str) -> str:
        """The same for a workflow of several tasks."""
        return self.submit_body({"name": name, "tasks": [dict(task) for task in tasks]}, idempotency_key)

    def submit_body(self, body: Mapping[str, Any], idempotency_key: str) -> str:
        """The same for a whole body, whatever is wrong with it: the error's `body_faults` say what and where."""
        return str(self._send_again("/workflows", dict(body), idempotency_key)["workflow_id"])

    def cancel(self, workflow: str) -> None:
        self._send_again(path_of("workflows", workflow, "cancel"), {}, None)

    def resolve(self, workflow: str, task: str, as_: str) -> None:
        self.connection.call("POST", path_of("workflows", workflow, "tasks", task, "resolve"), body={"as": as_})

    def _send_again(self, path: str, body: object, idempotency_key: str | None) -> Any:
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        deadline = time.monotonic() + PATIENCE_S
        broken = unsure = False
        last: UnreachableError
        while True:
            try:
                return self.connection.call("POST", path, body=body, headers=headers)
            except (BrokenOff, NotReady) as error:
                broken, last, pause_s = True, error, getattr(error, "retry_after_s", 0.3)
            except UnreachableError as error:
                if not broken or error.code != "unreachable":
                    error.unsure = unsure
                    raise
                last, pause_s = error, 0.5  # it was there a moment ago: it restarts
            unsure = unsure or isinstance(last, BrokenOff)
            if time.monotonic() + pause_s > deadline:
                last.unsure = unsure
                raise last
            time.sleep(pause_s)

    # --- questions ---------------------------------------------------------------------------------------------------

    def health(self, timeout_s: float = 5.0) -> dict[str, Any]:
        """status (starting, ok, degraded, stopping), version, pid, detail. Raises UnreachableError."""
        answer = self.connection.call("GET", "/health", timeout_s=timeout_s)
        if not isinstance(answer, dict) or not isinstance(answer.get("pid"), int):
            raise self.connection.stranger(f"its health says {str(answer)[:80]}")  # many programs have a /health
        return answer

    def operations(self) -> list[dict[str, Any]]:
        """Those of the orchestrator's libraries: name, repeatable, timeout_s, params_schema, problem."""
        found: list[dict[str, Any]] = self.connection.call("GET", "/operations")["items"]
        return found

    def workflow(self, id_: str) -> dict[str, Any]:
        found: dict[str, Any] = self.connection.call("GET", path_of("workflows", id_))
        return found

    def workflows(
        self, *, status: str | None = None, limit: int | None = None, parent: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Newest first. parent: only those that tasks of this workflow submitted."""
        return self._pages("/workflows", status=status, limit=limit, parent=parent)

    def tasks(self, workflow: str, *, status: str | None = None, limit: int | None = None) -> Iterator[dict[str, Any]]:
        return self._pages(path_of("workflows", workflow, "tasks"), status=status, limit=limit)

    def task(self, workflow: str, task: str) -> dict[str, Any]:
        found: dict[str, Any] = self.connection.call("GET", path_of("workflows", workflow, "tasks", task))
        return found

    def log(
        self, workflow: str, task: str, *, attempt: int | None = None, follow: bool = False, offset: int = 0
    ) -> OpenAnswer:
        """The bytes of the log from there on, as a stream; following waits for more as long as the attempt lives."""
        query = {"attempt": attempt, "follow": 1 if follow else None, "offset": offset or None}
        path = path_of("workflows", workflow, "tasks", task, "log")
        timeout_s = 24 * 3600.0 if follow else 30.0
        return self.connection.open("GET", path, query=query, headers={"Accept": "*/*"}, timeout_s=timeout_s)

    def log_chunks(
        self, workflow: str, task: str, *, attempt: int | None = None, follow: bool = False
    ) -> Iterator[bytes]:
        """The same in pieces; a follower goes on where it was when the daemon was away meanwhile."""
        offset, broken_at = 0, None
        while True:
            try:
                with self.log(workflow, task, attempt=attempt, follow=follow, offset=offset) as answer:
                    while chunk := answer.read1(LOG_CHUNK_BYTES):
                        offset, broken_at = offset + len(chunk), None
                        yield chunk
                return
            except (UnreachableError, OSError, http.client.HTTPException) as error:
                if isinstance(error, BrokenPipeError) or not follow:
                    raise
                now = time.monotonic()
                broken_at = now if broken_at is None else broken_at
                if now - broken_at > PATIENCE_S:
                    raise
                time.sleep(0.3)

    def feed(self, workflow: str, *, after: int = 0) -> Feed:
        from .feed import Feed  # here: most commands follow nothing

        return Feed(self.connection, workflow, after=after)

    def events(self, workflow: str) -> list[dict[str, Any]]:
        """All records so far, in order."""
        return list(self._pages(path_of("workflows", workflow, "events"), status=None, limit=None))

    def _pages(
        self, path: str, *, status: str | None, limit: int | None, parent: str | None = None
    ) -> Iterator[dict[str, Any]]:
        cursor: str | None = None
        left = limit
        for _ in range(PAGES_MAX):
            size = PAGE_LIMIT if left is None else min(left, PAGE_LIMIT)
            query = {"limit": size, "status": status, "cursor": cursor, "parent": parent}
            page = self.connection.call("GET", path, query=query)
            yield from page["items"]
            if left is not None:
                left -= len(page["items"])
            cursor = page.get("next_cursor")
            if not cursor or left == 0:
                return

    # --- names -------------------------------------------------------------------------------------------------------

    def find_workflow(self, name: str) -> str:
        """The full id for an id, or for any beginning of one that only one workflow has (`wf_` may be left out)."""
        wanted = name if name.startswith(PREFIX) else PREFIX + name
        try:
            return str(self.workflow(wanted)["workflow_id"])
        except NotFoundError:
            pass
        matches: list[str] = []
        near: list[str] = []
        for item in self.workflows():
            id_ = str(item["workflow_id"])
            if id_.startswith(wanted):
                matches.append(id_)
            elif len(near) < PAGE_LIMIT:
                near.append(id_)
        if len(matches) == 1:
            return matches[0]
        if matches:
            shown = ", ".join(matches[:SUGGESTIONS_MAX]) + (", …" if len(matches) > SUGGESTIONS_MAX else "")
            raise UsageError(f"{len(matches)} workflows begin with {name!r}: {shown}", code="ambiguous_id")
        raise NotFoundError(f"no workflow {name!r}", code="unknown_workflow", hint=_nearest(wanted, near))


def _nearest(wanted: str, known: list[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(wanted, known, n=1, cutoff=0.8)
    return f"did you mean {close[0]}?" if close else "provisioning workflow list"
