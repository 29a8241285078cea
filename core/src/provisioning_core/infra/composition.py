"""Defaults and templates: an item of a definition with all that its template and the defaults say for it.

It works on nodes, so that every value keeps the place at which somebody wrote it. An item's own fields win over its
template's, those over the template's that it builds on, those over the defaults. Mappings (`labels`, `params`,
`policy`) merge, lists are replaced. A field that is null says nothing, and takes away what the lower ones say.

`${name}` as a whole value is the argument itself, of any type; within text it is inserted; `$${` is a literal `${`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import yaml

from ..schema import Checker
from ..yamlfile import Cursor, plain, shown, suggestion

PLACEHOLDER = re.compile(r"\$\$\{|\$\{([^{}]{0,100})\}?")
PARAMETER = re.compile(r"[a-z]([a-z0-9_]{0,61}[a-z0-9])?")
TEXT_MAX = 64 * 1024  # templates upon templates could double a text at each level
COPIES_MAX = 1_000_000
LEVELS_MAX = 20
OWN_ONLY = frozenset({"template", "with"})
EITHER: Mapping[str, tuple[frozenset[str], ...]] = {
    "server": (frozenset({"plan"}), frozenset({"cpus", "memory_gb"})),
    "check": (frozenset({"tcp"}), frozenset({"http"}), frozenset({"command"})),
}
"""Who says one of them himself takes none of the others from below."""

Entries = list[tuple[yaml.Node, yaml.Node]]


@dataclass(slots=True)
class Template:
    """parameters: default node by name, None: must be given. base: the template that it builds on."""

    name: str
    at: Cursor
    kind: str | None
    body: Cursor | None
    parameters: dict[str, tuple[Cursor, yaml.Node | None]]
    base: str | None = None
    sound: bool = True


@dataclass(slots=True)
class Composition:
    """Made once for a file; `item` for each of its items."""

    checker: Checker
    defaults: dict[str, Cursor] = field(default_factory=dict)
    templates: dict[str, Template] = field(default_factory=dict)
    copies: int = 0

    def read(self, fields: Mapping[str, Cursor]) -> None:
        """Take `defaults` and `templates` of the file, and note what is wrong with each template, used or not."""
        if "defaults" in fields:
            self.defaults = {name: at for name, _, at in _entries(fields["defaults"])}
        for name, _, at in _entries(fields["templates"]) if "templates" in fields else ():
            parts = {each: below for each, _, below in _entries(at)}
            given = _entries(parts["parameters"]) if "parameters" in parts else []
            parameters = {each: (named, None if _null(below.node) else below.node) for each, named, below in given}
            kind, body = parts["kind"].value() if "kind" in parts else None, parts.get("body")
            body = body if body is not None and isinstance(body.node, yaml.MappingNode) else None
            known = isinstance(kind, str) and "kind" in parts and self.checker.good(parts["kind"].node)
            self.templates[name] = Template(name, at, kind if known else None, body, parameters)
        for template in self.templates.values():
            self._look_at(template)
        self._refuse_cycles()

    def item(self, at: Cursor, kind: str) -> tuple[Cursor, bool]:
        """The composed item at the same place, and whether it says all that it was meant to say."""
        if not isinstance(at.node, yaml.MappingNode):
            return at, False
        entries: Entries = at.node.value
        sound = True
        own = {name: below for name, _, below in _entries(at)}
        if "template" in own and not _null(own["template"].node):
            below = self._applied(own["template"], own.get("with"), kind, at)
            sound = below is not None
            entries = merged(entries, below or [], EITHER.get(kind, ()))
        elif "with" in own and not _null(own["with"].node):
            own["with"].fail("parameters are given, but no template that takes them; say `template` as well")
        defaults = self.defaults[kind].node if kind in self.defaults else None
        if isinstance(defaults, yaml.MappingNode):
            entries = merged(entries, defaults.value, EITHER.get(kind, ()))
        if entries is at.node.value:
            return at, sound
        node = yaml.MappingNode(at.node.tag, entries, at.node.start_mark, at.node.end_mark)
        composed = Cursor(node, at.file, at.path, at.problems)
        self.checker.check(composed, self.checker.definition(kind))
        return composed, sound

    # --- templates ---------------------------------------------------------------------------------------------------

    def _applied(self, named: Cursor, arguments: Cursor | None, kind: str, user: Cursor) -> Entries | None:
        """What the template says with these arguments, and those that it builds on; None where something is wrong."""
        name = named.value()
        template = self.templates.get(name) if isinstance(name, str) else None
        if template is None:
            if isinstance(name, str):
                known = list(self.templates)
                there = f"defined: {', '.join(known[:20])}." if known else "none is defined in this file."
                named.fail(f"no template {shown(name)}; {there}{suggestion(name, known)}")
            return None
        if template.kind != kind:
            if template.kind is not None:
                named.fail(f"the template {shown(name)} is one for a {template.kind}, this is a {kind}")
            return None
        values = self._arguments(template, named, arguments)
        if values is None or template.body is None or not template.sound:
            return None
        body = {each: below for each, _, below in _entries(template.body)}
        own: Entries = []
        for key, node in template.body.node.value:  # type: ignore[union-attr]
            if key.value not in OWN_ONLY:
                own.append((key, self._filled(node, values, user)))
        if template.base is None:
            return own
        given = body.get("with")
        if given is not None and given.node is not None:
            given = Cursor(self._filled(given.node, values, user), given.file, given.path, given.problems)
        below = self._applied(body["template"], given, kind, user)
        return None if below is None else merged(own, below, EITHER.get(kind, ()))

    def _arguments(self, template: Template, named: Cursor, given: Cursor | None) -> dict[str, yaml.Node] | None:
        values = {name: node for name, (_, node) in template.parameters.items() if node is not None}
        sound = True
        known = list(template.parameters)
        for name, at_name, below in _entries(given) if given is not None else ():
            if name not in template.parameters:
                there = f"it has: {', '.join(known)}." if known else "it has none."
                at_name.fail(f"the template {shown(template.name)} has no parameter {shown(name)}; {there}"
                             f"{suggestion(name, known)}")  # fmt: skip
                sound = False
            elif below.node is not None:
                values[name] = below.node
        missing = [name for name in known if name not in values]
        if missing:
            named.fail(f"the template {shown(template.name)} needs {', '.join(missing)}; say it in `with`")
        return values if sound and not missing else None

    def _look_at(self, template: Template) -> None:
        """The faults that it has by itself: parameters that are unknown or unused, fields that cannot be good."""
        if template.body is None:
            template.sound = False
            return
        used: set[str] = set()
        known = list(template.parameters)
        for at in _scalars(template.body):
            for match in PLACEHOLDER.finditer(at.value()):
                name = match[1]
                if name is None:
                    continue
                used.add(name)
                if name not in template.parameters or not match[0].endswith("}"):
                    template.sound = False
                    there = f"known: {', '.join(known)}" if known else "it has none"
                    at.fail(f"{shown(match[0])} is no parameter of the template {shown(template.name)}; {there}; "
                            f"a literal ${{ is written $${{.{suggestion(name, known)}")  # fmt: skip
        for name, (named, _) in template.parameters.items():
            if name not in used and PARAMETER.fullmatch(name):
                named.fail(f"the parameter {shown(name)} is used nowhere in the body of the template")
        self._check_body(template)

    def _check_body(self, template: Template) -> None:
        assert template.body is not None
        if template.kind is None:
            return
        fields = self.checker.definition(template.kind)["properties"]
        for name, _, below in _entries(template.body):
            open_ended = any(PLACEHOLDER.search(each.value()) for each in _scalars(below))
            if name in fields and not open_ended:
                template.sound &= self.checker.check(below, fields[name])
            if name == "template" and not _null(below.node):
                value = below.value()
                if open_ended:
                    below.fail("a template cannot build on one that a parameter names")
                    template.sound = False
                template.base = value if isinstance(value, str) else None
                if isinstance(value, str) and value not in self.templates and not open_ended:
                    below.fail(f"no template {shown(value)}.{suggestion(value, list(self.templates))}".rstrip("."))
                    template.sound = False
            if name == "with" and not any(each == "template" for each, _, _ in _entries(template.body)):
                below.fail("parameters are given, but no template that takes them; say `template` as well")

    def _refuse_cycles(self) -> None:
        done: set[str] = set()
        for start in self.templates.values():
            path: list[str] = []
            name: str | None = start.name
            while name in self.templates and name not in done and name not in path:
                path.append(name)
                name = self.templates[name].base
            if name in path:
                circle = path[path.index(name) :]
                for each in circle:
                    self.templates[each].sound = False
                start_of = self.templates[circle[0]]
                start_of.at.fail(f"templates build on each other in a circle: {' → '.join([*circle, circle[0]])}")
            if len(path) > LEVELS_MAX:
                start.at.fail(f"more than {LEVELS_MAX} templates build on each other")
                start.sound = False
            if any(each in self.templates and not self.templates[each].sound for each in [*path, name or ""]):
                for each in path:  # what builds on something broken cannot be used either
                    self.templates[each].sound = False
            done.update(path)

    # --- placeholders ------------------------------------------------------------------------------------------------

    def _filled(self, node: yaml.Node, values: Mapping[str, yaml.Node], user: Cursor) -> yaml.Node:
        """The node itself where it holds no placeholder."""
        if isinstance(node, yaml.ScalarNode):
            return self._filled_text(node, values, user) if "${" in node.value else node
        if isinstance(node, yaml.MappingNode):
            pairs = [(name, self._filled(below, values, user)) for name, below in node.value]
            if all(new is old for (_, new), (_, old) in zip(pairs, node.value, strict=True)):
                return node
            self._count(user)
            return yaml.MappingNode(node.tag, pairs, node.start_mark, node.end_mark)
        nodes = [self._filled(below, values, user) for below in node.value]
        if all(new is old for new, old in zip(nodes, node.value, strict=True)):
            return node
        self._count(user)
        return yaml.SequenceNode(node.tag, nodes, node.start_mark, node.end_mark)

    def _filled_text(self, node: yaml.ScalarNode, values: Mapping[str, yaml.Node], user: Cursor) -> yaml.Node:
        whole = PLACEHOLDER.fullmatch(node.value)
        if whole and whole[1] is not None:
            return values[whole[1]]
        self._count(user)

        def insert(match: re.Match[str]) -> str:
            if match[1] is None:
                return "${"
            value = values[match[1]]
            if not isinstance(value, yaml.ScalarNode) or _null(value):
                what = Cursor(value, user.file, user.path, []).kind()
                user.fail(f"the parameter {match[1]!r} is {what}, and cannot be inserted into text")
                return ""
            return str(value.value)

        text = PLACEHOLDER.sub(insert, node.value)
        if len(text) > TEXT_MAX:
            user.fail(f"with its parameters a text of the template has more than {TEXT_MAX} characters")
            text = ""
        return yaml.ScalarNode("tag:yaml.org,2002:str", text, node.start_mark, node.end_mark)

    def _count(self, user: Cursor) -> None:
        self.copies += 1
        if self.copies > COPIES_MAX:
            user.fail(f"the templates of this file make more than {COPIES_MAX} values")
            user.finish()


def merged(own: Entries, below: Entries, either: tuple[frozenset[str], ...] = ()) -> Entries:
    """Own fields, and those from below that are not there; mappings in both merge. `either`: see EITHER."""
    said = {name.value: node for name, node in own}
    names = {name for name, node in said.items() if not _null(node)}
    said_either = any(group & names for group in either)
    refused = {name for group in either if said_either and not group & names for name in group}
    lower: dict[str, tuple[yaml.Node, yaml.Node]] = {}
    for name, node in below:
        lower.setdefault(name.value, (name, node))
    entries: Entries = []
    for name, each in own:
        node, other = each, lower[name.value][1] if name.value in lower else None
        if isinstance(node, yaml.MappingNode) and isinstance(other, yaml.MappingNode):
            node = _merged_node(node, other)
        entries.append((name, node))
    entries += [pair for name, pair in lower.items() if name not in said and name not in refused]
    return entries


def _merged_node(own: yaml.MappingNode, below: yaml.MappingNode) -> yaml.MappingNode:
    return yaml.MappingNode(own.tag, merged(own.value, below.value), own.start_mark, own.end_mark)


def _entries(at: Cursor) -> list[tuple[str, Cursor, Cursor]]:
    """Nothing where it is no mapping, which the schema's walk has noted."""
    return (at.entries() or []) if isinstance(at.node, yaml.MappingNode) else []


def _scalars(at: Cursor) -> Iterator[Cursor]:
    """All text below it; iterative, for a body may be deep."""
    stack = [at]
    while stack:
        each = stack.pop()
        if isinstance(each.node, yaml.MappingNode):
            stack += [below for _, _, below in reversed(_entries(each))]
        elif isinstance(each.node, yaml.SequenceNode):
            stack += reversed(each.items())
        elif type(each.value()) is str:
            yield each


def _null(node: yaml.Node | None) -> bool:
    return node is None or (isinstance(node, yaml.ScalarNode) and plain(node) is None)
