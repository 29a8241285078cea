"""A plan on the screen, like a diff: a line per change, coloured by what it does, and the counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..render.documents import collection, line, render
from ..render.text import clean, plural
from . import exits
from .exits import Exit
from .session import Session

if TYPE_CHECKING:
    from ..plan import Change, FieldChange, Plan
    from ..render.terminal import Terminal

STYLES = {"create": "good", "start": "busy", "update": "busy", "replace": "bad", "delete": "bad", "exists": "dim"}
_EFFECTS = {"in_place": "", "restart": "warn", "replace": "bad"}


def plan_lines(terminal: Terminal, changes: Sequence[Change], *, left: Sequence[Change] = ()) -> list[str]:
    """left: those of them that will not be made."""
    from ..plan.words import SIGNS, start_words

    lines = []
    for each in changes:
        if each.action == "exists":
            continue
        sign, style = SIGNS[each.action], STYLES[each.action]
        fields = ", ".join(_field(terminal, field) for field in each.fields)
        fields = start_words(each) if each.action == "start" else fields
        parts = [f"{terminal.paint(sign, style)} {each.kind} {clean(each.name)}"]
        parts += [fields] if fields else []
        parts += [terminal.paint("left as it is", "warn")] if each in left else []
        lines.append("  ".join(parts))
    return lines


def _field(terminal: Terminal, field: FieldChange) -> str:
    from ..plan.words import field_words

    text = clean(field_words(field))
    plain, bracket, effect = text.rpartition(" (") if text.endswith(("(restart)", "(replace)")) else (text, "", "")
    return plain + (terminal.paint(bracket + effect, _EFFECTS[field.effect]) if effect else "")


def tell_plan(session: Session, plan: Plan, left: Sequence[Change] = ()) -> None:
    """Before something is done, on standard error."""
    from ..plan.words import summary

    session.say(f"Plan for infra {plan.infra}")
    for text in plan_lines(session.err, plan.changes, left=left):
        session.say(f"  {text}")
    session.say(f"  {summary(plan)}.")


def print_plans(session: Session, plans: Sequence[Plan]) -> None:
    """As the result: one Plan, or a PlanList where there are several."""
    from ..plan.words import summary

    if session.form == "name":
        session.print("\n".join(each.name for plan in plans for each in plan.to_do))
    elif not session.for_people:
        session.print(_document(plans, session.form))
    else:
        for plan in plans:
            body = plan_lines(session.out, plan.changes)
            if len(plans) > 1:
                session.print(session.out.paint(f"infra {plan.infra}", "strong"))
                body = [f"  {text}" for text in body]
            session.print("\n".join(body))
            name = f"{plan.infra}: " if len(plans) > 1 else ""
            session.say(f"{name}{summary(plan)}." if plan.changes else f"{name}nothing is defined.")


def _document(plans: Sequence[Plan], form: str) -> str:
    from ..plan.document import plan_document

    documents = [plan_document(plan) for plan in plans]
    if form == "jsonl":
        from ..render.documents import VERSION_LINE

        return "\n".join(line(each) for each in (VERSION_LINE, *documents))
    if len(documents) == 1:
        return render(documents[0], form, "infra")
    return render(collection("PlanList", documents), form, "infra")


def tell_left(session: Session, left: Sequence[Change], infra: str) -> None:
    """By name, what was not done, and how it would be. Raises Exit where something of it cannot be used as it is."""
    if not left:
        return
    from ..plan.words import change_words

    session.say(
        f"{session.err.paint('left as it is:', 'warn')} {plural(len(left), 'change')} that would take something"
    )
    for each in left:
        session.say(f"  {each.action} {clean(change_words(each))}")
    if any(each.broken for each in left):
        session.say("  what is broken may also come back by itself, or be mended in its provider's console")
    session.next_commands(("do it too", f"provisioning infra create {infra} --confirm={infra}"))
    if any(each.broken for each in left):
        raise Exit(exits.FAILED)
