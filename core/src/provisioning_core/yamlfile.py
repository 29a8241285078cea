"""A YAML file as a tree of nodes that know their place, and the walk that finds all its faults at once.

    file:line:column  path.to.field: what is wrong, the offending value; what would be accepted. Did you mean …?

Scalars follow YAML 1.2's core schema: `no` and `12:30:45` are text, `012` is twelve, `0o14` octal. PyYAML composes (it
is the only reader with marks and a C loader); its constructors are not used, so a tag can't run anything. A first pass
over the events bounds depth and aliases: the C composer recurses (200,000 brackets end the process), and aliases
multiply.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from .errors import UsageError

BYTES_MAX = 1024 * 1024
DEPTH_MAX = 50
ALIASES_MAX = 100
NODES_MAX = 100_000
PROBLEMS_MAX = 100
SHOWN_MAX = 60
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}")


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of a file. line, column: from 1; 0: not known, the value was computed (KCL).

    field: `servers[2].plan`, empty for the whole file.
    """

    file: str
    line: int
    column: int
    field: str
    message: str

    @property
    def there(self) -> tuple[int, int, str]:
        return self.line, self.column, self.message

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{where}  {self.field}: {self.message}" if self.field else f"{where}  {self.message}"


class DefinitionErrors(UsageError):
    """Everything that is wrong with a file; its text is one line per problem."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in problems), code="bad_definition")


def read_yaml(path: Path, shown_as: str) -> Cursor:
    """The root of the file's tree. Raises DefinitionErrors (a syntax error comes alone), OSError.

    shown_as: the file's name in messages.
    """
    with path.open("rb") as file:
        return parse_yaml(file.read(BYTES_MAX + 1), shown_as)


def parse_yaml(data: bytes, shown_as: str) -> Cursor:
    """The same for what was read already."""
    if len(data) > BYTES_MAX:
        raise _alone(shown_as, 1, 1, f"the file has more than {BYTES_MAX} bytes; at most that many are read")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise _alone(
            shown_as, line, column, f"the byte 0x{data[error.start]:02x} is not UTF-8; the file must be UTF-8"
        ) from None
    try:
        _bound(text, shown_as)
        root = yaml.compose(text, Loader=_Core)
    except yaml.reader.ReaderError as error:
        code = error.character if isinstance(error.character, int) else 0
        before = text.partition(chr(code))[0]
        message = f"the character U+{code:04X} is not allowed in YAML"
        raise _alone(shown_as, before.count("\n") + 1, len(before) - before.rfind("\n"), message) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = ", ".join(part for part in (error.problem, error.context) if part)
        if mark and "${" in "".join(text.split("\n")[mark.line : mark.line + 1]):
            words += "; inside of { } and [ ] quotes are needed around ${…}"
        raise _alone(
            shown_as, mark.line + 1 if mark else 1, mark.column + 1 if mark else 1, f"not YAML: {words}"
        ) from None
    except yaml.YAMLError as error:
        raise _alone(shown_as, 1, 1, f"not YAML: {error}") from None
    return Cursor(root, shown_as, "", [])


def shown(value: object) -> str:
    """A value for a message: quoted, control characters escaped, shortened."""
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= SHOWN_MAX else text[: SHOWN_MAX - 1] + "…"


def suggestion(value: str, known: Sequence[str]) -> str:
    """` Did you mean 'x'?` or nothing."""
    close = get_close_matches(value[:100].lower(), known, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def in_line(line: int) -> str:
    return f" in line {line}" if line else ""


@dataclass(slots=True)
class Cursor:
    """A node at its place. Every question either gives the value or notes a problem and gives None."""

    node: yaml.Node | None
    file: str
    path: str
    problems: list[Problem]

    def fail(self, message: str) -> None:
        """Note it; once, where one place of the file means several things."""
        line, column = self.place()
        same = (line, column, message)
        if len(self.problems) >= PROBLEMS_MAX or (line and any(same == each.there for each in self.problems)):
            return
        self.problems.append(Problem(self.file, line, column, self.path, message))

    def place(self) -> tuple[int, int]:
        """Line and column, from 1; zeros where they are not known."""
        mark = self.node.start_mark if self.node is not None else None
        if mark:
            return mark.line + 1, mark.column + 1
        return (1, 1) if self.node is None else (0, 0)

    def finish(self) -> None:
        """Raises DefinitionErrors where anything was noted."""
        if self.problems:
            place = lambda each: (each.file != self.file, each.file, each.line, each.column)  # noqa: E731
            raise DefinitionErrors(sorted(self.problems, key=place))

    def record(self, known: Sequence[str], required: Sequence[str] = ()) -> dict[str, Cursor] | None:
        """The fields of a mapping by name; unknown, duplicate and missing ones are noted, null ones left out."""
        entries = self.entries()
        if entries is None:
            return None
        fields: dict[str, Cursor] = {}
        for name, named, at in entries:
            if name not in known:
                named.fail(f"unknown field {shown(name)}; known: {', '.join(known)}.{suggestion(name, known)}")
            elif at.value() is not None or not isinstance(at.node, yaml.ScalarNode):
                fields[name] = at
        for name in required:
            if name not in fields:
                self.fail(f"the field {name!r} is missing")
        return fields

    def items(self) -> list[Cursor]:
        if not isinstance(self.node, yaml.SequenceNode):
            self.fail(f"expected a list, got {self.kind()}")
            return []
        return [self.below(node, f"{self.path}[{place}]") for place, node in enumerate(self.node.value)]

    def text(self, pattern: re.Pattern[str], accepted: str) -> str | None:
        """A string that matches in full. accepted: in words, for the message."""
        value = self.value()
        if type(value) is not str:
            quote = " (put it in quotes)" if isinstance(self.node, yaml.ScalarNode) and value is not None else ""
            self.fail(f"expected text{quote}, got {self.kind()}; accepted: {accepted}")
            return None
        if not pattern.fullmatch(value):
            self.fail(f"{shown(value)} is not accepted; accepted: {accepted}")
            return None
        return value

    def integer(self, low: int, high: int) -> int | None:
        value = self.value()
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            got = shown(value) if isinstance(value, int) else self.kind()
            self.fail(f"expected a whole number from {low} to {high}, got {got}")
            return None
        return value

    def texts(self, key: re.Pattern[str], value: re.Pattern[str], accepted: str, most: int) -> dict[str, str] | None:
        """A mapping of text to text, at most `most` entries."""
        entries = self.entries()
        if entries is None:
            return None
        if len(entries) > most:
            self.fail(f"{len(entries)} entries; at most {most} are accepted")
        found: dict[str, str] = {}
        for name, named, at in entries:
            if not key.fullmatch(name):
                named.fail(f"the name {shown(name)} is not accepted; accepted: {accepted}")
            elif (given := at.text(value, accepted)) is not None:
                found[name] = given
        return found

    def value(self) -> Any:
        """The scalar's value: str, int, float, bool or None; None for anything else."""
        if not isinstance(self.node, yaml.ScalarNode):
            return None
        return _scalar(self.node)

    def plain(self) -> Any:
        """The whole tree as plain data; of a field that is given twice the first."""
        return plain(self.node)

    def kind(self) -> str:
        """What it is, in words, with its value where that helps."""
        if self.node is None:
            return "nothing"
        if isinstance(self.node, yaml.MappingNode):
            return "a mapping"
        if isinstance(self.node, yaml.SequenceNode):
            return "a list"
        value = self.value()
        words = {bool: "the boolean", int: "the number", float: "the number", str: "the text", _Tagged: "the tagged"}
        return "nothing" if value is None else f"{words[type(value)]} {shown(self.node.value)}"

    def entries(self) -> list[tuple[str, Cursor, Cursor]] | None:
        """(name, the name's place, the value's) for each text name; other names and repeated ones are noted."""
        if not isinstance(self.node, yaml.MappingNode):
            self.fail(f"expected a mapping, got {self.kind()}")
            return None
        first: dict[str, int] = {}
        entries = []
        for name_node, node in self.node.value:
            if not isinstance(name_node, yaml.ScalarNode):
                self.below(name_node, self.path).fail("a field's name must be text")
                continue
            name = name_node.value
            label = name if _PLAIN_NAME.fullmatch(name) else shown(name)
            at = self.below(name_node, f"{self.path}.{label}" if self.path else label)
            if name in first:
                at.fail(f"the field {shown(name)} is already given{in_line(first[name])}")
                continue
            first[name] = at.place()[0]
            entries.append((name, at, self.below(node, at.path)))
        return entries

    def below(self, node: yaml.Node, path: str) -> Cursor:
        return Cursor(node, self.file, path, self.problems)


def plain(node: yaml.Node | None) -> Any:
    """As Cursor.plain."""
    if isinstance(node, yaml.MappingNode):
        fields: dict[str, Any] = {}
        for name, below in node.value:
            fields.setdefault(str(name.value), plain(below))
        return fields
    if isinstance(node, yaml.SequenceNode):
        return [plain(below) for below in node.value]
    return _scalar(node) if isinstance(node, yaml.ScalarNode) else None


def computed(value: Any, shown_as: str) -> Cursor:
    """Plain data (of JSON, TOML, KCL) as the root of such a tree; its values know their path, but no line.

    Raises DefinitionErrors where it is nested as deep as no file in YAML may be.
    """
    try:
        return Cursor(_node(value, DEPTH_MAX), shown_as, "", [])
    except RecursionError:
        raise _alone(shown_as, 1, 1, f"nested more than {DEPTH_MAX} levels deep") from None


def _node(value: Any, levels: int) -> yaml.Node:
    if levels < 0:
        raise RecursionError
    if isinstance(value, dict):
        pairs = [(yaml.ScalarNode(_TAG + "str", str(name)), _node(below, levels - 1)) for name, below in value.items()]
        return yaml.MappingNode(_TAG + "map", pairs)
    if isinstance(value, list):
        return yaml.SequenceNode(_TAG + "seq", [_node(below, levels - 1) for below in value])
    if value is None or isinstance(value, bool):
        return yaml.ScalarNode(_TAG + ("null" if value is None else "bool"), str(value).lower())
    kind = "int" if isinstance(value, int) else "float" if isinstance(value, float) else "str"
    return yaml.ScalarNode(_TAG + kind, str(value))


# --- YAML 1.2's core schema ------------------------------------------------------------------------------------------

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # a PyYAML built without libyaml is slower, and as good


class _Core(_Base):  # type: ignore[misc]
    """Composes only; every plain scalar resolves to `str` unless the core schema says otherwise."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 - PyYAML's own interface


_TAG = "tag:yaml.org,2002:"
_CORE = (
    ("null", re.compile(r"~|null|Null|NULL|"), "~nN"),
    ("bool", re.compile(r"true|True|TRUE|false|False|FALSE"), "tTfF"),
    ("int", re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"), "-+0123456789"),
    (
        "float",
        re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?(\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN"),
        "-+.0123456789",
    ),
)
for _name, _pattern, _first in _CORE:
    # PyYAML matches from the start only, so the end is added; an empty scalar is looked up under "".
    _Core.add_implicit_resolver(_TAG + _name, re.compile(f"(?:{_pattern.pattern})\\Z"), list(_first))
_Core.add_implicit_resolver(_TAG + "null", re.compile(r"\Z"), [""])


class _Tagged(str):
    """A scalar with a tag that the core schema does not have."""


def _scalar(node: yaml.ScalarNode) -> Any:
    text = node.value
    if node.tag == _TAG + "str" or node.tag == "!":
        return text
    if node.tag == _TAG + "null":
        return None
    if node.tag == _TAG + "bool":
        return text.lower() == "true"
    if node.tag == _TAG + "int":
        # int() refuses thousands of digits, rightly: such a number is no number that anyone means.
        if len(text) > 100:
            return _Tagged(text)
        try:
            return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
        except ValueError:  # an explicit `!!int x`
            return _Tagged(text)
    if node.tag == _TAG + "float":
        try:
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError:
            return _Tagged(text)
    return _Tagged(text)


def _bound(text: str, file: str) -> None:
    """Refuse what would overwhelm the composer or the walk. Raises DefinitionErrors, yaml.YAMLError."""
    depth = aliases = 0
    open_anchors: list[str | None] = []
    events: Iterator[Any] = yaml.parse(text, Loader=_Core)
    for nodes, event in enumerate(events):
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            open_anchors.append(event.anchor)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
            open_anchors.pop()
        elif isinstance(event, yaml.AliasEvent):
            aliases += 1
            if event.anchor in open_anchors:
                raise _alone(file, line, column, f"the alias *{event.anchor} stands inside of what it repeats")
        if depth > DEPTH_MAX:
            raise _alone(file, line, column, f"nested more than {DEPTH_MAX} levels deep")
        if aliases > ALIASES_MAX:
            raise _alone(file, line, column, f"more than {ALIASES_MAX} aliases")
        if nodes > NODES_MAX:
            raise _alone(file, line, column, f"more than {NODES_MAX} values")


def _alone(file: str, line: int, column: int, message: str) -> DefinitionErrors:
    return DefinitionErrors([Problem(file, line, column, "", message)])
