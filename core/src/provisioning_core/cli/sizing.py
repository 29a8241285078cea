"""`provisioning server resize` and `price`: the size of servers, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import click

from ..errors import NotFoundError, UsageError
from ..render.text import clean
from . import exits
from .call import Call, Manner, manner_options
from .choosing import complete_server, find_servers
from .exits import Exit
from .inventory import complete_infra, existing, open_workspace, print_servers
from .lazy import ExamplesCommand
from .performing import confirmed, perform, refused
from .planned import print_plans, tell_left, tell_plan
from .session import Session, with_session

if TYPE_CHECKING:
    from ..capabilities import PlanInfo
    from ..clouds import Clouds
    from ..infra import Infra, Server

HOURS_MONTH = 730  # 365 days in twelve parts, as clouds count it


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning server resize web-1 --plan 2cpu-4gb         # after infra/wuji.yaml says so
        provisioning server resize wuji/web-1 --plan 2cpu-4gb --orchestrated
    """,
)
@click.argument("name", metavar="[INFRA/]SERVER|GROUP", shell_complete=complete_server)
@click.option("--plan", required=True, metavar="PLAN", help="The plan that its definition says.")
@manner_options
@with_session
def resize(session: Session, name: str, plan: str, **options: Any) -> None:
    """Give a server, or all of a group, the plan that the definition says.

    The definition is the truth, and no command edits it: where it says another plan, this says which line to change.
    What it says is planned and applied for these servers alone.
    """
    from ..clouds import Clouds
    from ..infra import load_infra
    from ..plan import plan_create
    from ..plan.document import plan_document

    manner = Manner(**options)
    manner.timeout_s()
    found = find_servers(session, name)
    workspace, infra = open_workspace(session), found[0].resource.infra
    definition = load_infra(workspace, infra)
    names = [each.resource.name for each in found]
    try:
        servers = definition.select(names)
    except NotFoundError:
        raise UsageError(f"server {name} is not defined in infra/{infra}.yaml any more", code="not_defined") from None
    for server in servers:
        if server.plan != plan:
            raise _other_plan(definition, server, plan)
    clouds = Clouds(workspace)
    planned, left = plan_create(workspace, infra, names, clouds=clouds).parted(frozenset())
    planned = planned.only("update", "exists")
    if manner.check:
        print_plans(session, [planned])
        raise Exit(exits.CHANGES if manner.exit_code and not planned.nothing_to_do else exits.SUCCEEDED)
    if planned.nothing_to_do:
        have = f"server {names[0]} has" if len(names) == 1 else f"{', '.join(names)} have"
        session.say(f"Nothing to do: {have} the plan {plan} already." if not left else "Nothing done.")
    else:
        tell_plan(session, planned, left)
        if session.can_ask() and not manner.yes and not confirmed(session, "Change? [y/N]"):
            raise refused(session)
        again = f"provisioning server resize {infra}/{name.rpartition('/')[2]} --plan {plan}"
        call = Call("infra", "apply", infra, {"plan": plan_document(planned)}, again)
        perform(session, workspace, call, manner)
    tell_left(session, left, infra)
    after = [each for each in existing(clouds, infra, session=session) if each.resource.name in names]
    print_servers(session, workspace, after, "")


def _other_plan(infra: Infra, server: Server, plan: str) -> UsageError:
    line = f"plan: {server.plan}" if server.plan is not None else f"cpus: {server.cpus}, memory_gb: {server.memory_gb}"
    alike = [each.name for each in infra.servers if each.group == server.group]
    whole = f" (of all {len(alike)} servers of the group {server.group})" if len(alike) > 1 else ""
    return UsageError(
        f"infra/{infra.name}.yaml says `{line}` of server {server.group or server.name}{whole}, not {plan}; "
        "the definition is the truth, and nothing edits it silently",
        code="other_plan",
        hint=f"change that line to `plan: {plan}`, then do this again",
    )


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning server price wuji
        provisioning server price wuji web       # web-1, web-2 …
        provisioning server price wuji -o json
    """,
)
@click.argument("infra", shell_complete=complete_infra)
@click.argument("servers", metavar="[SERVER]...", nargs=-1, shell_complete=complete_server)
@with_session
def price(session: Session, infra: str, servers: tuple[str, ...]) -> None:
    """What the servers of INFRA (or only those named) cost as they are defined, by their providers' price lists."""
    from ..clouds import Clouds, able
    from ..infra import load_infra

    workspace = open_workspace(session)
    definition = load_infra(workspace, infra)
    lists = _PriceLists(Clouds(workspace))
    items = [_priced(server, lists) for server in definition.select(servers or None)]
    if items and not lists.any_prices:
        names = ", ".join(dict.fromkeys(str(item["provider"]) for item in items))
        raise UsageError(
            f"no prices are known of {names}",
            code="not_capable",
            hint=f"these have price lists: {', '.join(able('prices')) or 'none of those that are installed'}",
        )

    def row(item: Mapping[str, Any]) -> tuple[str, ...]:
        known = item["price_hour"] is not None
        costs = (
            (f"{item['price_hour']:.4f}", f"{item['price_month']:.2f}", item["currency"]) if known else ("?", "?", "")
        )
        return (item["name"], item["provider"], item["plan"] or "", *costs)

    head = ("NAME", "PROVIDER", "PLAN", "HOUR", "MONTH", "CURRENCY")
    totals = _totals(items)
    about = {"infra": infra, "totals": totals}
    session.print_list("PriceList", items, head, row, name_field="name", empty=f"{infra} has no servers", about=about)
    for currency, total in totals.items():
        session.say(f"{total['hour']:.4f} {currency} an hour, {total['month']:.2f} {currency} a month of 730 hours.")
    if unknown := [item["name"] for item in items if item["price_hour"] is None]:
        session.say(f"{session.err.paint('note:', 'warn')} no price is known of {clean(', '.join(unknown))}")


class _PriceLists:
    """The plans of each provider and zone, asked once."""

    def __init__(self, clouds: Clouds) -> None:
        self.clouds = clouds
        self.any_prices = False
        self._known: dict[tuple[str, str | None], dict[str, PlanInfo]] = {}

    def plan(self, provider: str, zone: str | None, name: str | None) -> PlanInfo | None:
        from ..capabilities import Catalogue, capabilities_of

        if (provider, zone) not in self._known:
            loaded = self.clouds.load(provider)
            has = "prices" in capabilities_of(loaded).flags
            self.any_prices = self.any_prices or has
            plans = cast(Catalogue, loaded).plans(zone) if has else []
            self._known[provider, zone] = {each.name: each for each in plans}
        return self._known[provider, zone].get(name or "")


def _priced(server: Server, lists: _PriceLists) -> dict[str, Any]:
    from ..capabilities import normalized

    terms = normalized(lists.clouds.load(server.provider), "server", server.spec())
    name = terms.get("plan")
    plan = lists.plan(server.provider, terms.get("zone"), name)
    hour = plan.price_hour if plan is not None else None
    return {
        "name": server.name,
        "provider": server.provider,
        "plan": name,
        "price_hour": hour,
        "price_month": round(hour * HOURS_MONTH, 2) if hour is not None else None,
        "currency": plan.currency if plan is not None else None,
    }


def _totals(items: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """By currency."""
    totals: dict[str, dict[str, float]] = {}
    for item in items:
        if item["price_hour"] is not None:
            total = totals.setdefault(item["currency"] or "", {"hour": 0.0, "month": 0.0})
            total["hour"] = round(total["hour"] + item["price_hour"], 6)
            total["month"] = round(total["month"] + item["price_month"], 2)
    return totals
