"""The schemas: what editors get is what the reader checks with, and any other validator agrees with ours."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provisioning_core import names
from provisioning_core.infra import load_infra
from provisioning_core.params import SERVER_SPEC
from provisioning_core.schema import NAMES, Checker, load_schema, schema_text
from provisioning_core.schema.interpreter import ANNOTATIONS, KEYWORDS, compiled
from provisioning_core.settings import COLORS, OUTPUTS, PROGRESSES
from provisioning_core.workspace import load_workspace
from provisioning_core.yamlfile import DefinitionErrors, computed, read_yaml

DOCS = Path(__file__).parents[3] / "docs" / "schema"

GOOD: dict[str, Any] = {
    "provider": "upcloud",
    "defaults": {"server": {"plan": "1cpu-1gb", "policy": {"retry": {"backoff": None}}}, "network": None},
    "templates": {
        "web": {"kind": "server", "parameters": {"size": None}, "body": {"plan": "${size}", "count": "x"}},
        "pair": {"kind": "cluster", "body": {"roles": 3}},
    },
    "networks": [{"name": "net", "cidr": "10.0.0.0/24", "zone": None, "labels": {"a": "b", "c": None}}],
    "servers": [
        {
            "name": "web",
            "count": 2.0,
            "cpus": 2,
            "memory_gb": 4,
            "disk_gb": 10,
            "image": "Debian 12 (Bookworm)",
            "network": "net",
            "ssh_keys": [
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGmvO0WfKtIkzHnUuJYcX1uYvxTJxVwWlYF5BqJrU0aa me",
                {"file": "a.pub"},
            ],
            "user_data": {"file": "x"},
            "firewall": [{"protocol": "tcp", "ports": "80-90", "source": "0.0.0.0/0"}, {"protocol": "icmp"}],
            "storages": [{"name": "data", "size_gb": 5, "tier": "ssd"}],
            "policy": {"timeout_s": 1.5, "retry": {"attempts_max": 3, "jitter": 0}},
        },
        {"name": "x", "template": "web", "with": {"size": [1]}, "user_data": "#!/bin/sh", "firewall": None},
    ],
    "taskservs": [{"name": "t", "on": ["web"], "params": {"a": [None, {"b": 1}]}, "version": "1.0", "needs": ["c"]}],
    "checks": [{"name": "c", "on": ["web-1"], "from": ["x"], "http": ":80/", "deadline_s": 0.5}],
    "clusters": [
        {
            "name": "k",
            "roles": [{"name": "a", "servers": ["x"]}],
            "taskservs": [{"name": "u"}],
            "checks": [{"name": "d", "tcp": 1}],
        }
    ],
}
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 70_000, 1.5, 2.0, "", "a", "A", "x-", "web", "tcp", "server", "network", "10.0.0.0/8",
    "80-90", "2cpu-4gb", "2 cpu", ":80/", "../x", "/x", "${a}", "a\nb", "é", "a" * 64, [], ["a"], ["A"], [1], {},
    {"a": "b"}, {"file": "x"}, {"file": 1}, {"name": "a"}, {"key": "x"}, {"kind": "check", "body": {"tcp": []}},
    {"kind": "check", "body": {"plan": 1}}, [{"name": "a"}], [{"name": "a", "name2": 1}], [[]],
    "-----BEGIN OPENSSH PRIVATE KEY-----",
]  # fmt: skip
FIELDS = ["name", "plan", "on", "key", "file", "kind", "body", "template", "x", "A B", "size_gb", "retry", "servers"]


def ours(name: str, document: Any) -> list[str]:
    at = computed(document, "x.yaml")
    good = Checker(load_schema(name)).check(at)
    assert good == (not at.problems)
    return [str(problem) for problem in at.problems]


def theirs(name: str, document: Any) -> list[str]:
    return [error.message for error in jsonschema.Draft202012Validator(load_schema(name)).iter_errors(document)]


@st.composite
def definitions(draw: st.DrawFn) -> Any:
    """The good one, with some values replaced, added or taken away, anywhere."""
    document = copy.deepcopy(GOOD)
    for _ in range(draw(st.integers(1, 4))):
        holders = [holder for holder in _holders(document) if holder]
        holder = draw(st.sampled_from(holders))
        place = draw(st.sampled_from(list(holder) if isinstance(holder, dict) else range(len(holder))))
        change = draw(st.sampled_from(["replace", "add", "drop"]))
        value = copy.deepcopy(draw(st.sampled_from(VALUES)))
        if change == "replace":
            holder[place] = value
        elif change == "drop":
            holder.pop(place)
        elif isinstance(holder, dict):
            holder[draw(st.sampled_from(FIELDS))] = value
        else:
            holder.append(value)
    return document


def _holders(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        yield value
        for each in value.values() if isinstance(value, dict) else value:
            yield from _holders(each)


@pytest.mark.parametrize("name", NAMES)
def test_each_is_a_json_schema_and_its_copy_in_the_docs_is_the_same(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(load_schema(name))
    assert (DOCS / f"{name}.schema.json").read_text("utf-8") == schema_text(name)


@pytest.mark.parametrize("name", NAMES)
def test_no_schema_uses_what_the_interpreter_does_not_know(name: str) -> None:
    for schema in _schemas(load_schema(name)):
        assert set(schema) <= KEYWORDS | ANNOTATIONS, schema
        if "pattern" in schema:
            assert schema["pattern"].startswith("^(?:")
            assert schema["pattern"].endswith(")$")
            assert "patternErrorMessage" in schema, "a pattern is nothing that people read"
        if "anyOf" in schema:
            assert "x-accepted" in schema


def test_the_good_one_is_good() -> None:
    assert ours("infra", GOOD) == theirs("infra", GOOD) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_example_of_a_schema_is_good(name: str) -> None:
    root = load_schema(name)
    count = 0
    for schema in _schemas(root):
        for example in schema.get("examples", ()):
            at = computed(example, "example")
            assert Checker(root).check(at, schema), (schema, at.problems)
            count += 1
    assert count > 0 or name == "sidecar"


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("path", ["servers", "networks", "clusters", "templates"])
def test_ours_and_jsonschema_agree_on_single_values(path: str, value: Any) -> None:
    document = GOOD | {path: value}
    assert bool(ours("infra", document)) == bool(theirs("infra", document))


@settings(max_examples=600, deadline=None)
@given(definitions())
def test_ours_and_jsonschema_agree_on_what_is_good(document: Any) -> None:
    mine, others = ours("infra", document), theirs("infra", document)
    assert bool(mine) == bool(others), (mine, others)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(definitions())
def test_no_definition_ends_in_a_traceback(workspace: Any, document: Any) -> None:
    """Whatever is wrong with it, and wherever: it is read, or all that is wrong is told."""
    workspace.define("x", json.dumps(document))
    try:
        infra = load_infra(load_workspace(workspace.path), "x")
    except DefinitionErrors as error:
        assert error.problems  # noqa: PT017 - whether it is raised at all is the data's choice
    else:
        assert theirs("infra", document) == []
        assert all(SERVER_SPEC(server.spec()) is None for server in infra.servers)


@settings(max_examples=100, deadline=None)
@given(definitions())
def test_a_file_says_the_same_as_its_data(tmp_path_factory: pytest.TempPathFactory, document: Any) -> None:
    """Values of a YAML file and computed ones are one thing for the walk; only the places differ."""
    file = tmp_path_factory.mktemp("file") / "x.yaml"
    file.write_text(json.dumps(document), "utf-8")
    written, data = read_yaml(file, "x.yaml"), computed(document, "x.yaml")
    for at in (written, data):
        Checker(load_schema("infra")).check(at)
    assert [problem.message for problem in written.problems] == [problem.message for problem in data.problems]
    assert all(problem.line == 1 and problem.column > 0 for problem in written.problems)


@pytest.mark.parametrize(
    ("definition", "pattern", "words"),
    [
        ("serverName", names.LABEL, names.LABEL_WORDS),
        ("name", names.NETWORK, names.NETWORK_WORDS),
        ("networkName", names.NETWORK, names.NETWORK_WORDS),
        ("zone", names.WORD, names.WORD_RULE),
        ("plan", names.WORD, names.WORD_RULE),
        ("cidr", names.CIDR, ""),
    ],
)
def test_names_look_as_everywhere_else(definition: str, pattern: re.Pattern[str], words: str) -> None:
    """A task's params are checked by names.py: both must take the same."""
    schema = load_schema("infra")["$defs"][definition]
    assert schema["pattern"] == f"^(?:{pattern.pattern})$"
    assert words in schema["patternErrorMessage"]


def test_labels_look_as_everywhere_else() -> None:
    labels = load_schema("infra")["$defs"]["labels"]
    assert labels["propertyNames"]["pattern"] == f"^(?:{names.LABEL_NAME.pattern})$"
    assert labels["additionalProperties"]["pattern"] == f"^(?:{names.LABEL_VALUE.pattern})$"
    assert {name for name, schema in labels["properties"].items() if schema is False} == names.RESERVED_LABELS


def test_a_workspace_may_set_what_settings_know() -> None:
    fields = load_schema("workspace")["properties"]["settings"]["properties"]
    assert {name: tuple(field["enum"]) for name, field in fields.items()} == {
        "output": OUTPUTS, "progress": PROGRESSES, "color": COLORS,
    }  # fmt: skip


def test_the_end_of_a_pattern_is_the_end() -> None:
    """Python's `$` would take a newline before the end."""
    assert not compiled("^(?:a)$").search("a\n")


def test_every_kind_has_its_fields_in_defaults_and_templates() -> None:
    """The schema says them three times: as items, as defaults, as bodies of templates."""
    root = load_schema("infra")
    bodies = {
        each["if"]["properties"]["kind"]["const"]: list(each["then"]["properties"]["body"]["properties"])
        for each in root["$defs"]["template"]["allOf"]
    }
    assert list(bodies) == root["$defs"]["template"]["properties"]["kind"]["enum"]
    for kind, fields in bodies.items():
        own = list(root["$defs"][kind]["properties"])
        assert fields == [name for name in own if name != "name"]
        defaults = root["$defs"]["defaults"]["properties"][kind]["properties"]
        for name, schema in defaults.items():
            assert root["$defs"][kind]["properties"][name] == schema


def _schemas(schema: Any) -> Iterator[dict[str, Any]]:
    """All that are in it."""
    if not isinstance(schema, dict):
        return
    yield schema
    for keyword, value in schema.items():
        if keyword in ("properties", "$defs"):
            for each in value.values():
                yield from _schemas(each)
        elif keyword in ("items", "additionalProperties", "propertyNames", "if", "then"):
            yield from _schemas(value)
        elif keyword in ("anyOf", "allOf"):
            for each in value:
                yield from _schemas(each)
