"""A JSON Schema (draft 2020-12, the keywords below) walked beside a tree of nodes that know their place.

It agrees with any JSON Schema validator on what is good; it differs in what it says: every fault at its line and
column, the offending value, what is accepted in words (the annotation `x-accepted`; beside a pattern
`patternErrorMessage`, which editors show, too), and did-you-mean.

Of one value it knows more than a schema can say: `guesses` maps the `title` of a schema to a function that offers what
was meant. A schema of ours uses no keyword but KEYWORDS (a test reads them all), so that none is ignored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import yaml

from ..yamlfile import Cursor, shown, suggestion

ANNOTATIONS = frozenset(
    {
        "$schema",
        "$id",
        "$defs",
        "title",
        "description",
        "examples",
        "default",
        "x-accepted",
        "x-refused",
        "patternErrorMessage",
    }
)
KEYWORDS = frozenset(
    {"$ref", "type", "enum", "const", "anyOf", "allOf", "if", "then"}
    | {"pattern", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum"}
    | {"items", "minItems", "maxItems"}
    | {"properties", "required", "additionalProperties", "propertyNames", "maxProperties"}
)
TYPES: Mapping[str, str] = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
    "null": "nothing",
}
PRIVATE = "PRIVATE KEY"

Schema = Mapping[str, Any] | bool


class Checker:
    """For one document. bad: the ids of the nodes at which a fault was noted; they live as long as the checker."""

    def __init__(self, root: Mapping[str, Any], guesses: Mapping[str, Callable[[str], str]] = {}) -> None:
        self._root = root
        self._guesses = guesses
        self._seen: dict[tuple[int, int], bool] = {}
        self._kept: list[yaml.Node | None] = []  # an id is only good as long as its node lives
        self.bad: set[int] = set()

    def check(self, at: Cursor, schema: Schema | None = None) -> bool:
        """Whether the value is good; what is wrong is noted at the cursor. A node is asked once for each schema."""
        schema = self._root if schema is None else schema
        if isinstance(schema, bool):
            return schema or self._fail(at, "nothing is accepted here")
        known = (id(at.node), id(schema))
        if known not in self._seen:
            self._kept.append(at.node)
            self._seen[known] = self._checked(at, schema)
        return self._seen[known]

    def definition(self, name: str) -> Mapping[str, Any]:
        """One of the schema's `$defs`."""
        found: Mapping[str, Any] = self._root["$defs"][name]
        return found

    def good(self, node: yaml.Node | None) -> bool:
        """Nothing is wrong with it, nor below it."""
        if id(node) in self.bad:
            return False
        if isinstance(node, yaml.MappingNode):
            return all(self.good(name) and self.good(below) for name, below in node.value)
        return not isinstance(node, yaml.SequenceNode) or all(self.good(below) for below in node.value)

    def _checked(self, at: Cursor, schema: Mapping[str, Any]) -> bool:
        if "$ref" in schema and not self.check(at, self.definition(schema["$ref"].removeprefix("#/$defs/"))):
            return False
        if "type" in schema and not self._type(at, schema):
            return False
        good = "anyOf" not in schema or self._any_of(at, schema)
        if "enum" in schema or "const" in schema:
            good &= self._enum(at, schema.get("enum") or [schema["const"]])
        for each in schema.get("allOf", ()):
            good &= self.check(at, each)
        if "if" in schema and self._quietly(at, schema["if"]):
            good &= self.check(at, schema.get("then", True))
        if isinstance(at.node, yaml.MappingNode):
            good &= self._mapping(at, schema)
        elif isinstance(at.node, yaml.SequenceNode):
            good &= self._list(at, schema)
        elif at.node is not None:
            good &= self._scalar(at, schema)
        return good

    # --- by what it is -----------------------------------------------------------------------------------------------

    def _type(self, at: Cursor, schema: Mapping[str, Any]) -> bool:
        accepted = _types(schema)
        kinds = kinds_of(at)
        if kinds & set(accepted):
            return True
        words = [TYPES[name] for name in accepted if name != "null"]
        if words and words[0].endswith("number") and "maximum" in schema:
            return self._fail(at, f"expected {_range(schema)}, got {at.kind()}")
        wanted = " or ".join(words)
        quote = " (put it in quotes)" if accepted[0] == "string" and _looks_quotable(at) else ""
        tail = f"; accepted: {words_of(schema)}" if words_of(schema) else ""
        return self._fail(at, f"expected {wanted}{quote}, got {at.kind()}{tail}")

    def _scalar(self, at: Cursor, schema: Mapping[str, Any]) -> bool:
        value = at.value()
        if isinstance(value, bool) or value is None:
            return True
        if isinstance(value, int | float):
            return self._number(at, schema, value)
        if type(value) is not str:
            return self._fail(at, f"{at.kind()} is no plain value; leave the tag out")
        if "pattern" in schema and not compiled(schema["pattern"]).search(value):
            return self._fail(at, self._unmatched(value, schema))
        if "maxLength" in schema and len(value) > schema["maxLength"]:
            return self._fail(at, f"{len(value)} characters; at most {schema['maxLength']} are accepted")
        if "minLength" in schema and len(value) < schema["minLength"]:
            return self._fail(at, f"{shown(value)} is not accepted; accepted: {words_of(schema)}")
        return True

    def _unmatched(self, value: str, schema: Mapping[str, Any]) -> str:
        if PRIVATE in value:  # not a character of it goes into a message
            return f"this is a PRIVATE key: take it out, it belongs to nobody else; accepted: {words_of(schema)}"
        title: str | None = schema.get("title")
        what = "not accepted" if title is None else f"not a {title}"
        guess = self._guesses[title](value) if title and title in self._guesses else ""
        return f"{shown(value)} is {what}; accepted: {words_of(schema) or schema['pattern']}" + (
            f".{guess}" if guess else ""
        )

    def _number(self, at: Cursor, schema: Mapping[str, Any], value: float) -> bool:
        low, above, high = schema.get("minimum"), schema.get("exclusiveMinimum"), schema.get("maximum")
        inside = (low is None or value >= low) and (above is None or value > above) and (high is None or value <= high)
        # .nan and .inf are YAML's, but no JSON.
        if inside and math.isfinite(value):
            return True
        return self._fail(at, f"expected {_range(schema)}, got {shown(value)}")

    def _list(self, at: Cursor, schema: Mapping[str, Any]) -> bool:
        items = at.items()
        low, high = schema.get("minItems", 0), schema.get("maxItems", len(items))
        if len(items) < low:
            return self._fail(at, f"the list is empty; at least {low} is expected")
        if len(items) > high:
            return self._fail(at, f"{len(items)} entries; at most {high} are accepted")
        each = schema.get("items", _ANYTHING)
        checked = [self.check(item, each) for item in items]  # all of them, whatever the first one is
        return all(checked)

    def _mapping(self, at: Cursor, schema: Mapping[str, Any]) -> bool:
        before = len(at.problems)
        entries = at.entries() or []
        good = len(at.problems) == before or self._fail(at, None)
        if len(entries) > schema.get("maxProperties", len(entries)):
            good = self._fail(at, f"{len(entries)} entries; at most {schema['maxProperties']} are accepted")
        fields: Mapping[str, Schema] = schema.get("properties", {})
        others: Schema = schema.get("additionalProperties", _ANYTHING)
        for name, named, below in entries:
            if name in fields and fields[name] is False:
                good = self._fail(named, f"the name {shown(name)} {schema.get('x-refused', 'is not accepted')}")
            elif name not in fields and others is False:
                good = self._unknown(named, name, list(fields))
            else:
                if "propertyNames" in schema:
                    good &= self._name(named, name, schema["propertyNames"])
                good &= self.check(below, fields.get(name, others))
        missing = set(schema.get("required", ())) - {name for name, _, _ in entries}
        for name in schema.get("required", ()):
            if name in missing:
                good = self._fail(at, f"the field {name!r} is missing")
        return good

    def _name(self, named: Cursor, name: str, schema: Mapping[str, Any]) -> bool:
        while "$ref" in schema:
            schema = self.definition(schema["$ref"].removeprefix("#/$defs/"))
        if "enum" in schema and name not in schema["enum"]:
            return self._unknown(named, name, schema["enum"])
        if "pattern" in schema and not compiled(schema["pattern"]).search(name):
            return self._fail(named, f"the name {shown(name)} is not accepted; accepted: {words_of(schema)}")
        return True

    def _unknown(self, named: Cursor, name: str, known: Sequence[str]) -> bool:
        return self._fail(
            named, f"unknown field {shown(name)}; known: {', '.join(known)}.{suggestion(name, known)}".rstrip()
        )

    # --- several schemas ---------------------------------------------------------------------------------------------

    def _enum(self, at: Cursor, accepted: Sequence[Any]) -> bool:
        value = at.value() if isinstance(at.node, yaml.ScalarNode) else _ANYTHING
        if any(type(value) is type(each) and value == each for each in accepted):
            return True
        known = [str(each) for each in accepted if each is not None]
        guess = suggestion(value, known) if isinstance(value, str) else ""
        got = shown(value) if isinstance(value, str) else at.kind()
        return self._fail(at, f"{got} is not accepted; accepted: {', '.join(known)}." + guess)

    def _any_of(self, at: Cursor, schema: Mapping[str, Any]) -> bool:
        if any(self._quietly(at, each) for each in schema["anyOf"]):
            return True
        # The one that has its type says best what is wrong with it.
        alike = [each for each in schema["anyOf"] if kinds_of(at) & set(_types(self._resolved(each)))]
        if len(alike) == 1:
            return self.check(at, alike[0])
        return self._fail(at, f"{at.kind()} is not accepted; accepted: {words_of(schema)}")

    def _quietly(self, at: Cursor, schema: Schema) -> bool:
        aside = Checker(self._root)
        return aside.check(Cursor(at.node, at.file, at.path, []), schema)

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.definition(schema["$ref"].removeprefix("#/$defs/")) if "$ref" in schema else schema

    def _fail(self, at: Cursor, message: str | None) -> bool:
        """message: None where the fault is noted already."""
        self.bad.add(id(at.node))
        if message is not None:
            at.fail(message)
        return False


_ANYTHING: Mapping[str, Any] = {}


def words_of(schema: Mapping[str, Any]) -> str:
    """What is accepted, for people; empty where the schema does not say."""
    return str(schema.get("patternErrorMessage") or schema.get("x-accepted") or "")


@lru_cache
def compiled(pattern: str) -> re.Pattern[str]:
    """`$` is the end, as in the regular expressions of JSON Schema; Python's would take a newline before it."""
    return re.compile(pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern)


def kinds_of(at: Cursor) -> set[str]:
    """The JSON types that the value has; none for what has a tag."""
    if isinstance(at.node, yaml.MappingNode):
        return {"object"}
    if isinstance(at.node, yaml.SequenceNode):
        return {"array"}
    value = at.value()
    if value is None:
        return {"null"}
    if isinstance(value, bool):
        return {"boolean"}
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return {"integer", "number"}
    if isinstance(value, float):
        return {"number"}
    return {"string"} if type(value) is str else set()


def _types(schema: Mapping[str, Any]) -> list[str]:
    named = schema.get("type", [])
    return [named] if isinstance(named, str) else list(named)


def _range(schema: Mapping[str, Any]) -> str:
    low, above, high = schema.get("minimum"), schema.get("exclusiveMinimum"), schema.get("maximum")
    words = "a whole number" if "integer" in _types(schema) else "a number"
    if above is not None:
        return f"{words} above {above}" + (f", at most {high}" if high is not None else "")
    if low is not None and high is not None:
        return f"{words} from {low} to {high}"
    return words if low is None else f"{words} of at least {low}"


def _looks_quotable(at: Cursor) -> bool:
    return isinstance(at.node, yaml.ScalarNode) and at.value() is not None
