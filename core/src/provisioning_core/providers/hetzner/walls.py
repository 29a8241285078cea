"""A server's firewall at Hetzner: one firewall resource, named and labelled after the server, applied to it alone.

It knows incoming rules only, so everything may go out; private networks are not filtered by it. A server without rules
has none, and everything may come in. SSH is let in from `ssh_from`, unless the rules say who may use port 22.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from ...errors import ProviderError
from .. import portable
from .account import Account
from .identity import OF

_SSH_NOTE = "provisioning: SSH"


def ensure(account: Account, server: Any, of: str, rules: Sequence[dict[str, Any]], ssh_from: str | None) -> None:
    """Make it so, whatever there is. rules: normal ones; without any there is no firewall. of: the server's digest."""
    from hcloud.firewalls import FirewallResource

    found = _find(account, server, of)
    if not rules:
        if found is not None:
            remove(account, server, of)
        return
    wanted = _written(rules, ssh_from)
    doing = f"making the firewall of {server.name}"
    resource = FirewallResource(type="server", server=server)
    if found is None:
        try:
            made = account.ask(
                doing,
                lambda: account.client.firewalls.create(
                    str(server.name), rules=wanted, labels={OF: of}, resources=[resource]
                ),
            )
            for action in made.actions or []:
                account.finish(doing, action)
            return
        except ProviderError as error:
            if error.code != "uniqueness_error":
                raise
        found = _must_find(account, server, of)
    if [each.to_payload() for each in found.rules or []] != [each.to_payload() for each in wanted]:
        for action in account.ask(doing, lambda: account.client.firewalls.set_rules(found, wanted)):
            account.finish(doing, action)
    if not _is_on(found, server):
        _apply(account, found, server, doing)


def remove(account: Account, server: Any, of: str) -> None:
    """Take it off the server and delete it; nothing where there is none."""
    from hcloud.firewalls import FirewallResource

    found = _find(account, server, of)
    if found is None:
        return
    doing = f"removing the firewall of {server.name}"
    if _is_on(found, server):
        resource = FirewallResource(type="server", server=server)
        actions = account.ask(doing, lambda: account.client.firewalls.remove_from_resources(found, [resource]))
        for action in actions:
            account.finish(doing, action)
    account.until(doing, lambda: _is_gone(account, doing, found))


def observed(firewall: Any) -> list[dict[str, Any]]:
    """Its rules as `normalize` says them, without the one for SSH that is ours."""
    return portable.sorted_rules(
        _read(each, source)
        for each in firewall.rules or []
        if each.direction == "in" and each.description != _SSH_NOTE
        for source in ([None] if set(portable.ANYWHERE) <= set(each.source_ips) else each.source_ips)
    )


def _written(rules: Sequence[dict[str, Any]], ssh_from: str | None) -> list[Any]:
    from hcloud.firewalls import FirewallRule

    def one(rule: dict[str, Any], note: str | None = None) -> Any:
        first, last = rule.get("ports", (1, 65_535))
        port = None if rule["protocol"] == "icmp" else str(first) if first == last else f"{first}-{last}"
        sources = [rule["source"]] if "source" in rule else list(portable.ANYWHERE)
        return FirewallRule("in", rule["protocol"], sources, port=port, description=note)

    ssh = [] if portable.opens_ssh(rules) else [one(portable.rule("tcp", [22, 22], ssh_from), _SSH_NOTE)]
    return [one(each) for each in rules] + ssh


def _read(rule: Any, source: str | None) -> dict[str, Any]:
    first, _, last = (rule.port or "").partition("-")
    span = [int(first), int(last or first)] if first.isdecimal() else None
    return portable.rule(rule.protocol, span, source)


def _find(account: Account, server: Any, of: str) -> Any:
    """The one that is on it, or by the name, which only one can have; that one must be this server's."""
    doing = f"looking for the firewall of {server.name}"
    for each in server.public_net.firewalls or [] if server.public_net else []:
        on = account.ask_if_there(doing, partial(account.client.firewalls.get_by_id, each.firewall.id))
        if on is not None and (on.labels or {}).get(OF) == of:
            return on
    found = account.ask(doing, lambda: account.client.firewalls.get_by_name(str(server.name)))
    if found is not None and (found.labels or {}).get(OF) != of:
        raise ProviderError(
            f"there is a firewall {server.name!r} that is not ours",
            code="name_taken",
            hint="rename it",
            retryable=False,
        )
    return found


def _must_find(account: Account, server: Any, of: str) -> Any:
    """Its name is taken; a list may show it later."""
    account.until(f"looking for the firewall of {server.name}", lambda: _find(account, server, of) is not None)
    found = _find(account, server, of)
    assert found is not None
    return found


def _is_on(firewall: Any, server: Any) -> bool:
    return any(each.server is not None and each.server.id == server.id for each in firewall.applied_to or [])


def _apply(account: Account, firewall: Any, server: Any, doing: str) -> None:
    from hcloud.firewalls import FirewallResource

    resource = FirewallResource(type="server", server=server)
    try:
        actions = account.ask(doing, lambda: account.client.firewalls.apply_to_resources(firewall, [resource]))
    except ProviderError as error:
        if error.code != "firewall_already_applied":  # by an attempt whose answer was lost
            raise
        return
    for action in actions:
        account.finish(doing, action)


def _is_gone(account: Account, doing: str, firewall: Any) -> bool:
    """It is in use for some moments after it was taken off."""
    try:
        account.ask_if_there(doing, lambda: account.client.firewalls.delete(firewall))
    except ProviderError as error:
        if error.code == "in_use":
            return False
        raise
    return True
