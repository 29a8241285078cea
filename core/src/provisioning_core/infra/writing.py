"""The lines of a definition that mean a server that exists, and their place in its file.

Only lines are added: what somebody has written stays as it is, with its comments. Where that can't be done (a list in
`[ ]`, KCL) nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from ..errors import ConflictError, UsageError
from ..names import RESERVED_LABELS
from ..schema import Checker, load_schema
from ..workspace import Workspace
from ..yamlfile import computed
from .model import Infra
from .reading import read_infra

SAID = ("plan", "cpus", "memory_gb", "disk_gb", "image", "zone", "network", "ssh_keys", "firewall", "storages")
_IMPLIED = ("cpus", "memory_gb")
PART_SUFFIX = ".import"


def item_of(name: str, provider: str, attributes: Mapping[str, Any], infra: Infra) -> dict[str, Any]:
    """The item of `servers` by which a plan finds nothing to change, as far as the provider shows what there is.

    provider: where it is. attributes: of its Resource. Networks that the definition does not have are left out, as is
    what the definition could not say.
    """
    spec = dict(attributes.get("spec") or {})
    if spec.get("plan"):
        spec = {each: value for each, value in spec.items() if each not in _IMPLIED}
    if spec.get("network") not in {each.name for each in infra.networks if each.provider == provider}:
        spec.pop("network", None)
    spec["firewall"] = [_rule(rule) for rule in spec.get("firewall") or ()]
    item: dict[str, Any] = {"name": name}
    item |= {"provider": provider} if provider != infra.provider else {}
    item |= {each: spec[each] for each in SAID if spec.get(each) not in (None, [], "")}
    labels = {each: value for each, value in (attributes.get("labels") or {}).items() if each not in RESERVED_LABELS}
    item |= {"labels": labels} if labels else {}
    fields = load_schema("infra")["$defs"]["server"]["properties"]
    checker = Checker(load_schema("infra"))
    return {each: value for each, value in item.items() if checker.check(computed(value, ""), fields[each])}


def lines_of(item: Mapping[str, Any], indent: int = 2) -> str:
    """As they would stand below `servers:`."""
    text = yaml.safe_dump([dict(item)], sort_keys=False, allow_unicode=True, width=1000)
    return "".join(" " * indent + line for line in text.splitlines(keepends=True))


def write_server(workspace: Workspace, infra: str, item: Mapping[str, Any]) -> None:
    """Add it to infra/<infra>.yaml, whole or not at all, where the file is as good then as before.

    Raises UsageError (`not_writable`: it has to be written by hand), ConflictError where somebody writes as well, and
    DefinitionErrors where the item does not go with the rest.
    """
    file = workspace.infra_file(infra).resolve()
    if file.suffix != ".yaml":
        raise _by_hand(f"infra/{file.name} is not YAML")
    before = file.read_text("utf-8")
    part = file.with_name(f".{file.name}{PART_SUFFIX}")
    part.write_text(_added(before, item, file.name), "utf-8")
    try:
        read_infra(workspace, infra, part)
        part.chmod(file.stat().st_mode & 0o777)
        if file.read_text("utf-8") != before:
            raise ConflictError(
                f"infra/{file.name} was changed just now; nothing was written", code="changed_meanwhile"
            )
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def _rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    first, last = rule.get("ports") or (None, None)
    ports = {} if first is None else {"ports": first if first == last else f"{first}-{last}"}
    return {"protocol": rule.get("protocol"), **ports} | ({"source": rule["source"]} if rule.get("source") else {})


def _added(text: str, item: Mapping[str, Any], name: str) -> str:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode), "it was read before"
    servers = next(node for key, node in root.value if key.value == "servers")
    lines = text.splitlines(keepends=True)
    if not isinstance(servers, yaml.SequenceNode) or (servers.flow_style and servers.value):
        raise _by_hand(f"the servers of infra/{name} stand in [ ]")
    if servers.flow_style:  # `servers: []`
        start, end = servers.start_mark.index, servers.end_mark.index
        return text[:start].rstrip(" ") + "\n" + lines_of(item).rstrip("\n") + text[end:]
    last = _last_line(servers.value[-1])
    if lines and not lines[last].endswith("\n"):
        lines[last] += "\n"
    return "".join([*lines[: last + 1], lines_of(item, servers.start_mark.column), *lines[last + 1 :]])


def _last_line(node: yaml.Node) -> int:
    """In which it ends, from 0; comments below it are not its own."""
    if not isinstance(node, yaml.CollectionNode) or node.flow_style or not node.value:
        mark = node.end_mark
        return int(mark.line - (1 if mark.column == 0 and mark.line > node.start_mark.line else 0))
    last = node.value[-1]
    return _last_line(last[1] if isinstance(last, tuple) else last)


def _by_hand(why: str) -> UsageError:
    return UsageError(f"{why}, where lines can't be added; nothing was written", code="not_writable",
                      hint="write them there by hand, then the same again")  # fmt: skip
