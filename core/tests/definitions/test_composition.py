"""Defaults and templates: what an item says in the end, and at which place a fault in it is told."""

from __future__ import annotations

from typing import Any

import pytest

from provisioning_core.infra import Infra, Server, load_infra
from provisioning_core.workspace import load_workspace
from provisioning_core.yamlfile import DefinitionErrors


def load(workspace: Any, text: str) -> Infra:
    workspace.define("x", text)
    return load_infra(load_workspace(workspace.path), "x")


def faults(workspace: Any, text: str) -> list[str]:
    with pytest.raises(DefinitionErrors) as caught:
        load(workspace, text)
    return [line.removeprefix("infra/x.yaml:") for line in str(caught.value).splitlines()]


def server(workspace: Any, text: str) -> Server:
    return load(workspace, text).servers[-1]


def test_own_fields_win_over_the_templates_over_its_bases_over_the_defaults(workspace: Any) -> None:
    text = """
    defaults: {server: {plan: 1cpu-1gb, zone: z0, image: i0, disk_gb: 1}}
    templates:
      base: {kind: server, body: {zone: z1, image: i1, disk_gb: 2}}
      above: {kind: server, body: {template: base, image: i2, disk_gb: 3}}
    servers: [{name: a, template: above, disk_gb: 4}]
    """
    made = server(workspace, text)
    assert (made.plan, made.zone, made.image, made.disk_gb) == ("1cpu-1gb", "z1", "i2", 4)


def test_mappings_merge_and_lists_are_replaced(workspace: Any) -> None:
    text = """
    defaults:
      server:
        plan: 1cpu-1gb
        labels: {a: default, b: default}
        policy: {timeout_s: 10, retry: {attempts_max: 9, jitter: 0}}
        firewall: [{protocol: tcp, ports: 22}]
      taskserv: {params: {deep: {a: 1, b: 2}, list: [1, 2]}}
    servers: [{name: a, labels: {b: own, c: own}, policy: {retry: {jitter: 1}}, firewall: [{protocol: icmp}]}]
    taskservs: [{name: t, on: [a], params: {deep: {b: 3}, list: [3]}}]
    """
    infra = load(workspace, text)
    made = infra.servers[0]
    assert made.labels == {"a": "default", "b": "own", "c": "own"}
    assert (made.policy.timeout_s, made.policy.retry) == (10, {"jitter": 1, "attempts_max": 9})
    assert [rule.protocol for rule in made.firewall] == ["icmp"]
    assert infra.taskservs[0].params == {"deep": {"b": 3, "a": 1}, "list": [3]}


def test_null_takes_away_what_the_lower_ones_say(workspace: Any) -> None:
    text = """
    defaults: {server: {plan: 1cpu-1gb, zone: z, labels: {a: x, b: y}, firewall: [{protocol: icmp}]}}
    servers: [{name: a, zone: null, labels: {a: null}, firewall: null}]
    """
    made = server(workspace, text)
    assert (made.zone, made.labels, made.firewall) == (None, {"b": "y"}, ())


@pytest.mark.parametrize(
    ("own", "size"),
    [
        ("", ("1cpu-1gb", 1, 1)),
        (", plan: 2cpu-4gb", ("2cpu-4gb", 2, 4)),
        (", cpus: 3, memory_gb: 5", (None, 3, 5)),
        (", plan: null, cpus: 3, memory_gb: 5", (None, 3, 5)),
    ],
)
def test_who_says_a_size_takes_none_from_below(workspace: Any, own: str, size: object) -> None:
    made = server(workspace, f"defaults: {{server: {{plan: 1cpu-1gb}}}}\nservers: [{{name: a{own}}}]")
    assert (made.plan, made.cpus, made.memory_gb) == size


def test_who_says_a_plan_takes_no_cpus_from_below_and_a_check_asks_once(workspace: Any) -> None:
    text = """
    defaults: {server: {cpus: 8, memory_gb: 8}, check: {tcp: 22}}
    servers: [{name: a, plan: 2xCPU-4GB}, {name: b, memory_gb: 2}]
    checks: [{name: c, on: [a], command: "true"}, {name: d, on: [a]}]
    """
    infra = load(workspace, text)
    assert [(one.plan, one.cpus, one.memory_gb) for one in infra.servers] == [("2xCPU-4GB", None, None), (None, 8, 2)]
    assert [(one.tcp, one.command) for one in infra.checks] == [(None, "true"), (22, None)]


def test_a_parameter_keeps_its_type_as_a_whole_value_and_is_inserted_into_text(workspace: Any) -> None:
    text = """
    templates:
      web:
        kind: server
        parameters: {size: 1cpu-1gb, port: null, rules: [], disk: 10}
        body:
          plan: ${size}
          disk_gb: ${disk}
          labels: {port: "p${port}", both: "${port}-${disk}"}
          firewall: ${rules}
          user_data: "echo $${HOME} ${port}$${port}$$ $x"
    servers:
      - {name: a, template: web, with: {port: 0x50, rules: [{protocol: udp}]}}
      - {name: b, template: web, with: {port: "1.20", size: 2cpu-4gb}}
    """
    a, b = load(workspace, text).servers
    assert (a.plan, a.disk_gb, a.labels) == ("1cpu-1gb", 10, {"port": "p0x50", "both": "0x50-10"})
    assert [rule.protocol for rule in a.firewall] == ["udp"]
    assert a.user_data == "echo ${HOME} 0x50${port}$$ $x"
    assert (b.plan, b.labels["port"], b.firewall) == ("2cpu-4gb", "p1.20", ())


def test_arguments_pass_through_templates_that_build_on_templates(workspace: Any) -> None:
    text = """
    templates:
      base: {kind: server, parameters: {size: null, who: x}, body: {plan: "${size}", labels: {who: "${who}"}}}
      above: {kind: server, parameters: {n: null}, body: {template: base, with: {size: "${n}cpu-${n}gb"}}}
    servers: [{name: a, template: above, with: {n: 4}}]
    """
    made = server(workspace, text)
    assert (made.plan, made.labels) == ("4cpu-4gb", {"who": "x"})


def test_a_cluster_is_made_by_a_template_with_all_that_is_in_it(workspace: Any) -> None:
    text = """
    defaults: {taskserv: {version: "2"}, check: {deadline_s: 9}}
    templates:
      pair:
        kind: cluster
        parameters: {on: null, what: null}
        body:
          roles: [{name: main, servers: "${on}"}]
          taskservs: [{name: "${what}-it", template: thing, with: {port: 1}, on: [main]}]
          checks: [{name: "${what}-up", on: [main], tcp: 5, needs: ["${what}-it"]}]
      thing: {kind: taskserv, parameters: {port: null}, body: {taskserv: thing, params: {port: "${port}"}}}
    servers: [{name: web, count: 2, plan: 1cpu-1gb}, {name: b, plan: 1cpu-1gb}]
    clusters:
      - {name: one, template: pair, with: {on: [web], what: first}}
      - {name: two, template: pair, with: {on: [b], what: second}, needs: [one]}
    """
    one, two = load(workspace, text).clusters
    assert one.servers == ("web-1", "web-2")
    assert (one.taskservs[0].name, one.taskservs[0].taskserv, one.taskservs[0].version) == ("first-it", "thing", "2")
    assert one.taskservs[0].params == {"port": 1}
    assert (two.checks[0].name, two.checks[0].needs, two.checks[0].deadline_s) == ("second-up", ("second-it",), 9)
    assert two.needs == ("one",)


FAULTS = [
    # (templates, fields of the server, what is told): at the sign ¦
    ("a: {kind: server, body: {plan: 1cpu-1gb}}", "template: ¦b", "servers[0].template: no template 'b'; defined: a."),
    ("a: {kind: network, body: {}}", "template: ¦a", "servers[0].template: the template 'a' is one for a network, "),
    ("a: {kind: server, body: {plan: 1cpu-1gb}}", "template: a, with: {¦x: 1}", "servers[0].with.x: the template 'a' "),
    (
        "a: {kind: server, parameters: {p: null}, body: {plan: '${p}'}}",
        "template: ¦a",
        "servers[0].template: the template 'a' needs p; say it in `with`",
    ),
    (
        "a: {kind: server, parameters: {p: null}, body: {plan: '${p}'}}",
        "template: a, with: {p: ¦2 cpu 4 gb}",
        "servers[0].plan: '2 cpu 4 gb' is not a plan; accepted: ",
    ),
    (
        "a: {kind: server, parameters: {p: 1}, body: {plan: ¦'x ${p}'}}",
        "template: a",
        "servers[0].plan: 'x 1' is not a plan",
    ),
    (
        "a: {kind: server, parameters: {¦p: 1}, body: {plan: 1cpu-1gb}}",
        "template: a",
        "templates.a.parameters.p: the parameter 'p' is used nowhere",
    ),
    (
        "a: {kind: server, parameters: {pp: 1}, body: {plan: ¦'${p}', zone: '${pp}'}}",
        "plan: 1cpu-1gb",
        "templates.a.body.plan: '${p}' is no parameter of the template 'a'; known: pp; a literal ${ is written $${.",
    ),
    ("a: {kind: server, body: {plan: ¦'${p'}}", "plan: 1cpu-1gb", "templates.a.body.plan: '${p' is no parameter of "),
    ("a: {kind: server, body: {¦plam: x}}", "plan: 1cpu-1gb", "templates.a.body.plam: unknown field 'plam'; known: "),
    ("a: {kind: server, body: {disk_gb: ¦x}}", "plan: 1cpu-1gb", "templates.a.body.disk_gb: expected a whole number "),
    ("a: {kind: server, body: {template: ¦z}}", "plan: 1cpu-1gb", "templates.a.body.template: no template 'z'"),
    ("a: {kind: ¦serve, body: {}}", "plan: 1cpu-1gb", "templates.a.kind: 'serve' is not accepted; accepted: network, "),
    ("a: {kind: server, body: ¦[]}", "template: a", "templates.a.body: expected a mapping, got a list"),
    ("a: ¦{kind: server}", "template: a", "templates.a: the field 'body' is missing"),
    ("a: {kind: server, body: {¦name: x}}", "plan: 1cpu-1gb", "templates.a.body.name: unknown field 'name'"),
    ("", "plan: 1cpu-1gb, with: ¦{x: 1}", "servers[0].with: parameters are given, but no template that takes them"),
    (
        "a: {kind: server, parameters: {p: [1]}, body: {plan: 'x${p}'}}",
        "¦template: a",
        "servers[0]: the parameter 'p' is a list, and cannot be inserted into text",
    ),
]


@pytest.mark.parametrize(("templates", "use", "told"), FAULTS)
def test_a_fault_in_a_template_or_its_use_is_told_at_its_place(
    workspace: Any, templates: str, use: str, told: str
) -> None:
    opening = "¦{" if use.startswith("¦") else "{"  # of the server itself
    text = f"templates: {{{templates}}}\nservers: [{opening}name: a, {use.removeprefix('¦')}}}]"
    before = text[: text.index("¦")]
    where = f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
    found = faults(workspace, text.replace("¦", ""))
    assert any(line.startswith(f"{where}  {told}") for line in found), found
    assert not any("'plan' is missing" in line for line in found), "what a broken template would say is not asked for"


def test_templates_that_build_on_each_other_in_a_circle_are_named_in_full(workspace: Any) -> None:
    text = """\
templates:
  a: {kind: server, body: {template: b}}
  b: {kind: server, body: {template: c}}
  c: {kind: server, body: {template: b}}
servers: [{name: x, template: a}, {name: y, template: c}]
"""
    assert faults(workspace, text) == ["3:6  templates.b: templates build on each other in a circle: b → c → b"]


def test_a_long_chain_of_templates_is_refused_and_overflows_nothing(workspace: Any) -> None:
    chain = "".join(f"  t{n}: {{kind: server, body: {{template: t{n + 1}}}}}\n" for n in range(900))
    text = (
        f"templates:\n{chain}  t900: {{kind: server, body: {{plan: 1cpu-1gb}}}}\nservers: [{{name: x, template: t0}}]"
    )
    assert "more than 20 templates build on each other" in faults(workspace, text)[0]


def test_templates_cannot_double_a_text_without_end(workspace: Any) -> None:
    chain = "".join(
        f"  t{n}: {{kind: server, parameters: {{x: 1}}, body: {{template: t{n + 1}, with: {{x: '${{x}}${{x}}'}}}}}}\n"
        for n in range(15)
    )
    last = "  t15: {kind: server, parameters: {x: null}, body: {plan: 1cpu-1gb, user_data: '${x}'}}\n"
    text = f"templates:\n{chain}{last}servers: [{{name: x, template: t0, with: {{x: {'x' * 20}}}}}]"
    assert any("more than 65536 characters" in line for line in faults(workspace, text))


def test_one_fault_of_a_template_is_told_once_however_often_it_is_used(workspace: Any) -> None:
    text = """\
templates:
  a: {kind: server, parameters: {d: 1}, body: {plan: 1cpu-1gb, disk_gb: "${d}", labels: {n: "a b ${d}"}}}
servers: [{name: x, template: a}, {name: y, template: a}, {name: z, template: a}]
"""
    found = faults(workspace, text)
    assert len(found) == 1
    assert found[0].startswith("2:93  servers[0].labels.n: 'a b 1' is not accepted")


def test_defaults_are_checked_where_they_stand(workspace: Any) -> None:
    text = "defaults:\n  server: {plan: 1cpu-1gb, zone: a b, name: x}\nservers: [{name: a}, {name: b}]"
    assert [line.split(": ")[0] for line in faults(workspace, text)] == [
        "2:34  defaults.server.zone", "2:39  defaults.server.name",
    ]  # fmt: skip


def test_dollars_outside_of_templates_are_just_text(workspace: Any) -> None:
    made = server(workspace, "servers: [{name: a, plan: 1cpu-1gb, user_data: 'echo ${HOME} $${x}'}]")
    assert made.user_data == "echo ${HOME} $${x}"


def test_a_placeholder_that_wants_quotes_says_so(workspace: Any) -> None:
    text = "templates:\n  a: {kind: server, parameters: {p: 1}, body: {plan: ${p}}}\nservers: []"
    assert faults(workspace, text) == [
        "2:55  not YAML: did not find expected ',' or '}', while parsing a flow mapping; "
        "inside of { } and [ ] quotes are needed around ${…}"
    ]
