"""`server create` and `server delete`: plan, ask, do, show what came of it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import ConflictError, UsageError
from ..render.documents import line
from ..render.text import as_called, clean, plural
from . import exits
from .exits import Exit
from .inventory import item_of, open_workspace, print_servers, provider_of, tell_limits
from .session import Session

if TYPE_CHECKING:
    from ..plan import Plan
    from ..provider import Provider, Resource
    from ..workspace import Workspace

KEY_LENGTH_MAX = 255
_SIGNS = {"create": ("+", "good"), "start": ("~", "busy"), "delete": ("-", "bad"), "exists": ("=", "dim")}


@dataclass(frozen=True, slots=True)
class Change:
    """What the command line asks for. servers: empty for all. timeout: as typed."""

    verb: Literal["create", "delete"]
    infra: str
    servers: tuple[str, ...]
    orchestrated: bool
    check: bool
    exit_code: bool
    yes: bool
    wait: bool
    timeout: str | None
    idempotency_key: str | None
    confirm: str | None = None

    @property
    def command(self) -> str:
        """What to type to do it again."""
        words = ["provisioning server", self.verb, self.infra, *self.servers]
        return " ".join([*words, "--orchestrated"] if self.orchestrated else words)


def change(session: Session, wish: Change) -> None:
    """Raises Exit with the code that tells how it ended."""
    timeout_s = _checked(session, wish)
    workspace = open_workspace(session)
    provider = provider_of(workspace)
    plan = _plan(workspace, provider, wish)
    if wish.check:
        _print_plan(session, plan)
        raise Exit(exits.CHANGES if wish.exit_code and not plan.nothing_to_do else exits.SUCCEEDED)
    if plan.nothing_to_do and wish.wait:
        _nothing_to_do(session, wish, plan, provider)
        return
    _tell_plan(session, plan)
    _ask(session, wish, plan)
    if wish.orchestrated:
        _by_orchestrator(session, wish, plan, provider, timeout_s)
    else:
        from .directly import run_directly

        run_directly(session, wish, workspace)
        _tell_servers(session, wish, plan, provider, None)


def _checked(session: Session, wish: Change) -> float | None:
    """The timeout in seconds. Raises UsageError for flags that do not go together, before anything is looked at."""
    if not wish.orchestrated:
        for given, flag in (
            (not wish.wait, "--no-wait"),
            (wish.timeout is not None, "--timeout"),
            (wish.idempotency_key is not None, "--idempotency-key"),
        ):
            if given:
                raise UsageError(
                    f"{flag} needs --orchestrated: in direct mode this very process does the work", code="bad_flags"
                )
    if wish.exit_code and not wish.check:
        raise UsageError("--exit-code goes with --check", code="bad_flags")
    key = wish.idempotency_key
    if key is not None and not (0 < len(key) <= KEY_LENGTH_MAX and key.isascii() and key.isprintable()):
        raise UsageError(
            f"the idempotency key {key!r} is not accepted", code="bad_key", hint="1 to 255 printable ASCII characters"
        )
    if wish.confirm is not None and wish.confirm != wish.infra:
        raise UsageError(
            f"--confirm={wish.confirm} does not name {wish.infra}; nothing was deleted", code="unconfirmed"
        )
    if wish.verb == "delete" and not (wish.yes or wish.confirm or wish.check or session.can_ask()):
        raise UsageError(
            f"deleting servers of {wish.infra} has to be confirmed, and there is no terminal to ask on",
            code="unconfirmed",
            hint=f"{wish.command} --yes   (or --confirm={wish.infra})",
        )
    if wish.timeout is None:
        return None
    from ..render.times import parse_duration

    return parse_duration(wish.timeout)


# --- the plan ------------------------------------------------------------------------------------------------------


def _plan(workspace: Workspace, provider: Provider, wish: Change) -> Plan:
    from ..plan import plan_create, plan_delete

    make: Callable[..., Plan] = plan_create if wish.verb == "create" else plan_delete
    return make(workspace, wish.infra, list(wish.servers) or None)


def _plan_lines(session: Session, plan: Plan) -> list[str]:
    terminal = session.err
    lines = []
    for each in plan.changes:
        sign, style = _SIGNS[each.action]
        lines.append(f"  {terminal.paint(sign, style)} {each.kind:<8} {clean(each.name)}")
    return lines


def _summary(plan: Plan) -> str:
    counts = {action: sum(each.action == action for each in plan.changes) for action in _SIGNS}
    words = {"create": "to create", "start": "to start", "delete": "to delete", "exists": "there already"}
    return ", ".join(f"{count} {words[action]}" for action, count in counts.items() if count) or "nothing"


def _tell_plan(session: Session, plan: Plan) -> None:
    session.say(f"Plan for infra {plan.infra}")
    for text in _plan_lines(session, plan):
        session.say(text)
    session.say(f"  {_summary(plan)}.")


def _print_plan(session: Session, plan: Plan) -> None:
    """The plan as the result."""
    from dataclasses import asdict

    changes = [asdict(each) for each in plan.changes]
    if session.form == "name":
        session.print("\n".join(each["name"] for each in changes if each["action"] != "exists"))
    elif not session.for_people:
        session.print_document("Plan", {"infra": plan.infra, "changes": changes}, "infra")
    else:
        from ..render.table import table

        rows = [(_SIGNS[each["action"]][0], each["action"], each["kind"], each["name"]) for each in changes]
        session.print(table(("", "ACTION", "KIND", "NAME"), rows, session.out))
        session.say(f"{_summary(plan)}.")


def _nothing_to_do(session: Session, wish: Change, plan: Plan, provider: Provider) -> None:
    """Say so and show what is there."""
    if wish.verb == "delete":
        session.say(f"Nothing to do: nothing of {wish.infra} exists.")
        print_servers(session, [], "")
        return
    count = sum(each.kind == "server" for each in plan.changes)
    there = f"{plural(count, 'server')} of {wish.infra} there already" if count else f"{wish.infra} defines no servers"
    session.say(f"Nothing to do: {there}.")
    _tell_servers(session, wish, plan, provider, None)


def _ask(session: Session, wish: Change, plan: Plan) -> None:
    """Go on, or raise Exit where the person does not want it."""
    if wish.yes or wish.confirm is not None or plan.nothing_to_do or not session.can_ask():
        return
    from .asking import ask

    try:
        if wish.verb == "create":
            wanted = ask(session, "Create? [y/N]").lower() in ("y", "yes")
        else:
            session.err.say(f"This deletes for good. Type {wish.infra} to go on, anything else to stop.")
            wanted = ask(session, "Delete:") == wish.infra
    except KeyboardInterrupt:
        session.err.say("\nNothing was done.")
        raise Exit(exits.INTERRUPTED) from None
    if not wanted:
        session.err.say("Nothing was done.")
        raise Exit(exits.FAILED)


# --- by the orchestrator -------------------------------------------------------------------------------------------


def _by_orchestrator(session: Session, wish: Change, plan: Plan, provider: Provider, timeout_s: float | None) -> None:
    from .ending import tell_end
    from .following import exit_code, follow
    from .naming import remember_last
    from .workflow import print_summary

    _check_workspace(session)
    id_ = _submit(session, wish)
    remember_last(session, id_)
    if not wish.wait:
        _print_id(session, id_)
        return
    session.note(f"workflow {id_}")
    picture = follow(session, id_, timeout_s=timeout_s)
    tell_end(session, picture, again=wish.command)
    if picture.status != "succeeded":
        print_summary(session, picture)
        raise Exit(exit_code(picture))
    _tell_servers(session, wish, plan, provider, id_)


def _check_workspace(session: Session) -> None:
    """Refuse where the daemon of this machine works for another workspace: it would make the servers there."""
    from .port import option_of

    pid = int(session.orchestrator.health()["pid"])
    theirs, ours = option_of(pid, "--workspace"), Path(session.settings.workspace().value).resolve()
    if theirs is not None and Path(theirs).is_dir() and Path(theirs).resolve() != ours:
        raise ConflictError(
            f"the orchestrator at {session.settings.url().value} works for the workspace {theirs}, not for {ours}",
            code="other_workspace",
            hint=f"--workspace {theirs}, or a second one: provisioning orchestrator start --port 9190 --data-dir DIR",
        )


def _submit(session: Session, wish: Change) -> str:
    from ..plan import request_create, request_delete

    key = wish.idempotency_key or str(uuid.uuid4())
    request = (request_create if wish.verb == "create" else request_delete)(wish.infra, list(wish.servers) or None)
    try:
        return session.orchestrator.submit("servers", wish.verb, request["infra"], request["params"], key)
    except KeyboardInterrupt:
        session.err.say("Interrupted before the orchestrator had answered: it may have taken the workflow or not.")
        session.err.say(f"The same wish again, never twice:  {as_called(wish.command)} --idempotency-key {key}")
        raise Exit(exits.INTERRUPTED) from None


def _print_id(session: Session, id_: str) -> None:
    if session.for_people or session.form == "name":
        session.print(id_)
    elif session.form == "jsonl":
        from ..render.documents import VERSION_LINE

        session.print(line(VERSION_LINE))
        session.print(line({"type": "submitted", "workflow_id": id_}))
    else:
        session.print_document("Workflow", {"workflow_id": id_}, "workflow_id")
    session.next_commands(
        ("watch", f"provisioning workflow watch {id_}"),
        ("show", f"provisioning workflow show {id_}"),
        ("cancel", f"provisioning workflow cancel {id_}"),
    )


# --- the result ----------------------------------------------------------------------------------------------------


def _servers(wish: Change, provider: Provider) -> list[Resource]:
    """Those that were asked for; after a delete, all that are left."""
    found = provider.list("server", infra=wish.infra)
    if wish.verb == "delete" or not wish.servers:
        return found
    return [server for server in found if server.name in wish.servers]


def _first(plan: Plan, servers: list[Resource]) -> str:
    """The server that its definition names first."""
    there = {server.name for server in servers}
    return next((each.name for each in plan.changes if each.kind == "server" and each.name in there), servers[0].name)


def _tell_servers(session: Session, wish: Change, plan: Plan, provider: Provider, workflow: str | None) -> None:
    """What exists now is the result; then what to type next."""
    servers = _servers(wish, provider)
    if session.form == "jsonl" and workflow is not None:
        items = [item_of(server) for server in servers]
        session.print(line({"type": "summary", "workflow_id": workflow, "status": "succeeded", "servers": items}))
    else:
        empty = f"no servers of {wish.infra} are left" if wish.verb == "delete" else "no servers"
        print_servers(session, servers, empty, {"workflow_id": workflow} if workflow is not None else None)
    if wish.verb == "create":
        tell_limits(session, servers)
    if wish.verb == "create" and servers and session.for_people:
        again = " --orchestrated" if wish.orchestrated else ""
        commands = [
            ("enter", f"provisioning server ssh {_first(plan, servers)}"),
            ("delete", f"provisioning server delete {wish.infra}{again}"),
        ]
        if workflow is not None:
            commands.insert(1, ("look", f"provisioning workflow show {workflow}"))
        session.say()
        session.next_commands(*commands)
