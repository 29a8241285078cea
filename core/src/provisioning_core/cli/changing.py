"""`create`, `delete` and `apply` of servers, clusters and infrastructures: plan, ask, do, show what came of it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import UsageError
from ..render.documents import line
from ..render.text import clean, plural
from ..yamlfile import shown
from . import exits
from .call import Call, Manner
from .exits import Exit
from .inventory import existing, open_workspace, print_servers, tell_limits
from .performing import answered, check_confirmed, confirmed, perform, refused
from .planned import print_plans, tell_left, tell_plan
from .session import Session

if TYPE_CHECKING:
    from ..clouds import Clouds, Found
    from ..plan import Plan

TAKING = ("replace", "delete")


@dataclass(frozen=True, slots=True)
class Change:
    """What the command line asks for. names: servers (empty: all) or the cluster. file: of a plan to be applied."""

    resource: Literal["server", "cluster", "infra"]
    verb: Literal["create", "delete", "apply"]
    infra: str
    names: tuple[str, ...]
    manner: Manner
    file: Path | None = None

    @property
    def command(self) -> str:
        """What to type to do it again."""
        subject = [shlex.quote(str(self.file))] if self.file is not None else [self.infra, *self.names]
        words = [f"provisioning {self.resource}", self.verb, *subject]
        return " ".join([*words, "--orchestrated"] if self.manner.orchestrated else words)


def change(session: Session, wish: Change) -> None:
    """Raises Exit with the code that tells how it ended."""
    from ..clouds import Clouds

    _check(session, wish)
    workspace = open_workspace(session)
    clouds = Clouds(workspace)
    plan = _plan(clouds, wish)
    _check_apply(session, wish, plan, workspace.id)
    _check_unlabelled(session, wish, plan)
    if wish.manner.check:
        print_plans(session, [plan])
        raise Exit(exits.CHANGES if wish.manner.exit_code and not plan.nothing_to_do else exits.SUCCEEDED)
    if plan.nothing_to_do and wish.manner.wait and not _tell_fallen(session, wish, plan, clouds):
        _nothing_to_do(session, wish, plan, clouds)
        return
    allow = _permission(wish)
    done, left = plan.parted(allow)
    tell_plan(session, plan, left)
    if left and session.can_ask() and not wish.manner.yes and _may_take(wish):
        session.err.say(f"What is left as it is takes something that exists. Type {wish.infra} to have it done too,")
        answer = answered(session, f"{'y for the rest, ' if done.to_do else ''}anything else for nothing:")
        if answer == wish.infra:
            done, left, allow = plan, (), frozenset(TAKING)
        elif not (done.to_do and answer.lower() in ("y", "yes")):
            raise refused(session)
    else:
        _ask(session, wish, done)
    if done.nothing_to_do and left:
        session.say(f"Nothing else to do for {wish.infra}.")
        tell_left(session, left, wish.infra)
        return
    workflow = perform(session, workspace, _call(wish, plan, done, allow), wish.manner)
    _tell_result(session, wish, plan, clouds, workflow)
    tell_left(session, left, wish.infra)


def _check(session: Session, wish: Change) -> None:
    """Raises UsageError for flags that do not go together, before anything is looked at."""
    wish.manner.timeout_s()
    if wish.file is None:  # what a file is about is seen when it is read
        taking = f"deleting servers of {wish.infra}" if wish.verb == "delete" else None
        check_confirmed(session, wish.manner, wish.infra, taking, wish.command)


def _check_apply(session: Session, wish: Change, plan: Plan, workspace_id: str) -> None:
    """A plan is of this workspace, and one that takes something is confirmed by name. Raises UsageError.

    --yes stands for a y and never for the name, as in a create; but of a plan nothing can be left.
    """
    if wish.verb != "apply":
        return
    if plan.workspace != workspace_id:
        raise UsageError(
            f"the plan {wish.file} is for the workspace {shown(plan.workspace)}, this is {workspace_id}",
            code="other_workspace",
            hint="go there, or name it with --workspace",
        )
    manner, names = wish.manner, ", ".join(each.name for each in plan.only("replace", "delete").changes[:5])
    check_confirmed(session, manner, plan.infra, None, wish.command)
    if names and not (manner.confirm or manner.check) and (manner.yes or not session.can_ask()):
        raise UsageError(
            f"replacing or deleting {names} has to be confirmed by name",
            code="unconfirmed",
            hint=f"{wish.command} --confirm={plan.infra}",
        )


def _check_unlabelled(session: Session, wish: Change, plan: Plan) -> None:
    """What has lost our labels may be somebody's who took them off: it goes by name only. Raises UsageError."""
    from ..plan.deleting import unlabelled_ids

    ids, manner = unlabelled_ids(plan) if wish.verb == "delete" else [], wish.manner
    if ids and not (manner.confirm or manner.check) and (manner.yes or not session.can_ask()):
        names = ", ".join(f"{each.name} ({each.id})" for each in plan.changes if each.id in ids[:5])
        raise UsageError(
            f"{names} of {plan.infra} is there without our labels; deleting it has to be confirmed by name",
            code="unconfirmed",
            hint=f"{wish.command} --confirm={plan.infra}; to leave it and forget it: "
            f"provisioning infra inventory rebuild {plan.infra}",
        )


# --- the plan ------------------------------------------------------------------------------------------------------


def _plan(clouds: Clouds, wish: Change) -> Plan:
    from ..plan import plan_create, plan_delete, plan_infra
    from ..plan.document import read_plan

    workspace, names = clouds.workspace, list(wish.names) or None
    if wish.file is not None:
        return read_plan(wish.file)
    if wish.resource == "cluster":
        from ..infra import load_infra

        definition = load_infra(workspace, wish.infra, manifests=wish.verb == "create")
        names = list(definition.cluster(wish.names[0]).servers)
    if wish.verb == "delete":
        return plan_delete(workspace, wish.infra, names, clouds=clouds)
    if wish.resource == "infra":
        return plan_infra(workspace, wish.infra, clouds=clouds)
    return plan_create(workspace, wish.infra, names, clouds=clouds)


def _permission(wish: Change) -> frozenset[str]:
    """What may be taken: all that was asked to be deleted or planned; else only with the name typed back."""
    if wish.verb in ("delete", "apply") or (wish.manner.confirm is not None and wish.resource == "infra"):
        return frozenset(TAKING)
    return frozenset()


def _may_take(wish: Change) -> bool:
    return wish.resource == "infra" and wish.verb == "create"


def _ask(session: Session, wish: Change, plan: Plan) -> None:
    """Go on, or raise Exit where the person does not want it."""
    if wish.manner.yes or wish.manner.confirm is not None or plan.nothing_to_do or not session.can_ask():
        return
    if wish.verb == "delete" or (wish.verb == "apply" and plan.only("replace", "delete").changes):
        session.err.say(f"This deletes for good. Type {plan.infra} to go on, anything else to stop.")
        wanted = confirmed(session, "Delete:" if wish.verb == "delete" else "Apply:", plan.infra)
    else:
        wanted = confirmed(session, "Apply? [y/N]" if wish.verb == "apply" else "Create? [y/N]")
    if not wanted:
        raise refused(session)


def _call(wish: Change, plan: Plan, done: Plan, allow: frozenset[str]) -> Call:
    """The operation that does it. Servers that exist and are to be changed go by the plan that was shown."""
    from ..plan.deleting import unlabelled_ids
    from ..plan.document import plan_document

    infra, again = plan.infra, wish.command
    ids = unlabelled_ids(plan) if wish.verb == "delete" else []
    params: dict[str, Any] = {"unlabelled": ids} if ids else {}
    if wish.verb == "apply":
        anew = f"provisioning infra plan {infra} --out {shlex.quote(str(wish.file))}"
        return Call("infra", "apply", infra, {"plan": plan_document(plan)}, again, anew)
    if wish.resource == "infra":
        params |= {"allow": sorted(allow)} if allow and wish.verb == "create" else {}
        return Call("infra", wish.verb, infra, params, again)
    if wish.resource == "cluster":
        return Call("clusters", wish.verb, infra, {"cluster": wish.names[0]} | params, again)
    if wish.verb == "create" and done.count("update"):
        return Call("infra", "apply", infra, {"plan": plan_document(done)}, again)
    params |= {"servers": list(wish.names)} if wish.names else {}
    return Call("servers", wish.verb, infra, params, again)


# --- the result ----------------------------------------------------------------------------------------------------


def _nothing_to_do(session: Session, wish: Change, plan: Plan, clouds: Clouds) -> None:
    """Say so and show what is there."""
    if wish.verb == "delete":
        session.say(f"Nothing to do: {_what_is_gone(wish)}.")
        print_servers(session, clouds.workspace, _servers(wish, plan, clouds), f"no servers of {plan.infra} are left")
        return
    counts = [(kind, sum(each.kind == kind for each in plan.changes)) for kind in ("server", "network", "taskserv")]
    if wish.resource != "infra":
        counts = counts[:1]
    there = ", ".join(plural(count, kind) for kind, count in counts if count)
    told = f"{there} of {plan.infra} there already" if there else f"{plan.infra} defines no servers"
    # A check that failed made nothing, so nothing of the plan tells of it: what was wrong then is asked again.
    held = _ask_checks(clouds, plan) if wish.resource == "infra" else 0
    good = f", {plural(held, 'check')} asked again and good" if held else ""
    session.say(f"Nothing to do: {told}{good}.")
    _tell_result(session, wish, plan, clouds, None)


def _tell_fallen(session: Session, wish: Change, plan: Plan, clouds: Clouds) -> bool:
    """Whether the servers themselves know less of their taskservs than the inventory: then these are applied again."""
    if wish.resource != "infra" or wish.verb != "create" or not any(each.kind == "taskserv" for each in plan.changes):
        return False
    from ..plan.installed import find_installed_drift

    found = find_installed_drift(clouds, plan.infra, plan)
    for text in found.unasked:
        session.say(f"{session.err.paint('note:', 'warn')} {clean(text)}")
    for each in found.drifts:
        what = "not there any more" if each.sort == "gone" else str(each.fields[0].after)
        session.say(f"  {session.err.paint('~', 'busy')} taskserv {clean(each.name)}  {clean(what)}: applied again")
    return bool(found.drifts)


def _ask_checks(clouds: Clouds, plan: Plan) -> int:
    """How many there are. Raises ProviderError (`check_failed`) for the first that does not hold at its deadline."""
    if not plan.gates:
        return 0
    from ..checks.waiting import await_check

    for gate in plan.gates:
        await_check(clouds.workspace, gate.params, lambda _: None)
    return len(plan.gates)


def _what_is_gone(wish: Change) -> str:
    if not wish.names:
        return f"nothing of {wish.infra} exists"
    if wish.resource == "cluster":
        return f"no server of the cluster {wish.names[0]} of {wish.infra} exists"
    return f"of {wish.infra} there is no {' and no '.join(wish.names)}"


def _servers(wish: Change, plan: Plan, clouds: Clouds) -> list[Found]:
    """Those that were asked for; after a delete, all that are left."""
    found = existing(clouds, plan.infra)
    if wish.verb == "delete" or not wish.names:
        return found
    wanted = {each.name for each in plan.changes if each.kind == "server"}
    return [each for each in found if each.resource.name in wanted]


def _first(plan: Plan, servers: list[Found]) -> str:
    """The server that its definition names first."""
    there = {each.resource.name for each in servers}
    first = (each.name for each in plan.changes if each.kind == "server" and each.name in there)
    return next(first, servers[0].resource.name)


def _tell_result(session: Session, wish: Change, plan: Plan, clouds: Clouds, workflow: str | None) -> None:
    """What exists now is the result; then what to type next."""
    from .inventory import item_of

    workspace = clouds.workspace
    servers = _servers(wish, plan, clouds)
    if session.form == "jsonl" and workflow is not None:
        items = [item_of(each, workspace) for each in servers]
        session.print(line({"type": "summary", "workflow_id": workflow, "status": "succeeded", "servers": items}))
    else:
        empty = f"no servers of {plan.infra} are left" if wish.verb == "delete" else "no servers"
        about = {"workflow_id": workflow} if workflow is not None else None
        print_servers(session, workspace, servers, empty, about)
    if wish.verb == "delete" or not servers:
        return
    tell_limits(session, [each.resource for each in servers])
    if session.for_people:
        undo = replace(wish, verb="delete", file=None)
        commands = [("enter", f"provisioning server ssh {_first(plan, servers)}"), ("delete", undo.command)]
        if workflow is not None:
            commands.insert(1, ("look", f"provisioning workflow show {workflow}"))
        session.say()
        session.next_commands(*commands)
