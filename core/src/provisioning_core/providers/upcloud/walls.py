"""A server's firewall at UpCloud: an ordered list of rules, stateless, for its public and utility interfaces.

Stateless means that answers to what the server asks are filtered too. So the list is: the wish's rules, SSH unless they
say themselves who may use it, answers to the ports from which Linux opens connections, and a drop of all the rest. The
third one also lets anybody reach what listens on those high ports. Private networks are never filtered. The whole list
is replaced in one request, and our rules are known by their comments.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from .. import portable
from .account import Account, Raw

_RULE, _SSH, _ANSWERS, _REST = (f"provisioning: {what}" for what in ("rule", "SSH", "answers", "rest"))
_EPHEMERAL = (32_768, 60_999)
_CHECKED = ("action", "direction", "comment", "family", "protocol")
_ENDS = ("destination_port_start", "destination_port_end", "source_address_start", "source_address_end")


def ensure(account: Account, server: Raw, rules: Sequence[Mapping[str, Any]]) -> bool:
    """Make it so, whatever there is; whether anything had to be changed. rules: normal ones, none: no firewall."""
    id, doing = server["uuid"], f"changing the firewall of {server['hostname']}"
    wanted = written(rules, account.setting.ssh_from) if rules else []
    changed = False
    if [_compared(each) for each in _rules(account, id)] != [_compared(each) for each in wanted]:
        body = {"firewall_rules": {"firewall_rule": wanted}}
        account.ask("PUT", f"/server/{id}/firewall_rule", body, doing=doing)
        changed = True
    switch = "on" if rules else "off"
    if server["firewall"] != switch:
        account.ask("PUT", f"/server/{id}", {"server": {"firewall": switch}}, doing=doing)
        changed = True
    return changed


def observed(account: Account, server: Raw) -> list[dict[str, Any]]:
    """The wish's rules that are there. Rules that others have made are not among them."""
    if server["firewall"] != "on":
        return []
    ours = [each for each in _rules(account, server["uuid"]) if each.get("comment") == _RULE]
    return portable.sorted_rules(map(_read, ours))


def written(rules: Sequence[Mapping[str, Any]], ssh_from: str | None) -> list[dict[str, Any]]:
    found = [_accept(each, _RULE) for each in rules]
    if not portable.opens_ssh(rules):
        found.append(_accept({"protocol": "tcp", "ports": [22, 22], "source": ssh_from}, _SSH))
    found += [_accept({"protocol": protocol, "ports": _EPHEMERAL}, _ANSWERS) for protocol in ("tcp", "udp")]
    return [*found, {"action": "drop", "direction": "in", "comment": _REST}]


def _accept(rule: Mapping[str, Any], comment: str) -> dict[str, Any]:
    accept = {"action": "accept", "direction": "in", "comment": comment, "protocol": rule["protocol"], "family": "IPv4"}
    if ports := rule.get("ports"):
        accept |= {"destination_port_start": str(ports[0]), "destination_port_end": str(ports[-1])}
    if source := rule.get("source"):
        network = ipaddress.ip_network(source)
        accept |= {"source_address_start": str(network[0]), "source_address_end": str(network[-1])}
        accept["family"] = f"IPv{network.version}"
    return accept


def _read(rule: Raw) -> dict[str, Any]:
    first, last = rule.get("destination_port_start"), rule.get("destination_port_end")
    ports = [int(first), int(last or first)] if first else None
    start, end = rule.get("source_address_start"), rule.get("source_address_end")
    source = None
    if start and end:
        between = ipaddress.summarize_address_range(ipaddress.ip_address(start), ipaddress.ip_address(end))
        source = str(next(iter(between)))
    return portable.rule(str(rule["protocol"]), ports, source)


def _rules(account: Account, id: str) -> list[Raw]:
    answer = account.ask("GET", f"/server/{id}/firewall_rule", doing=f"looking at the firewall of {id}")
    found: list[Raw] = answer["firewall_rules"]["firewall_rule"]
    return found


def _compared(rule: Raw) -> tuple[str, ...]:
    return tuple(str(rule.get(name) or "") for name in (*_CHECKED, *_ENDS))
