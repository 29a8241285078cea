"""Networks and servers: what can be said of them, and what no schema could say about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provisioning_core.infra import FirewallRule, Infra, Server, Storage, load_infra
from provisioning_core.workspace import load_workspace
from provisioning_core.yamlfile import DefinitionErrors

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGmvO0WfKtIkzHnUuJYcX1uYvxTJxVwWlYF5BqJrU0aa me@here"
PRIVATE = "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0LWJ5dGVz\n-----END OPENSSH PRIVATE KEY-----\n"


def load(workspace: Any, text: str) -> Infra:
    workspace.define("x", text)
    return load_infra(load_workspace(workspace.path), "x")


def faults(workspace: Any, text: str) -> list[str]:
    with pytest.raises(DefinitionErrors) as caught:
        load(workspace, text)
    return str(caught.value).splitlines()


def server(workspace: Any, fields: str) -> Server:
    return load(workspace, f"servers: [{{name: a, plan: 1cpu-1gb, {fields}}}]").servers[0]


def fault(workspace: Any, fields: str) -> str:
    found = faults(workspace, f"servers: [{{name: a, plan: 1cpu-1gb, {fields}}}]")
    assert len(found) == 1, found
    return found[0]


def test_everything_about_a_server_is_read(workspace: Any) -> None:
    made = server(
        workspace,
        f"""disk_gb: 20, zone: Eu.1, image: "Debian 12 (Bookworm)", ssh_keys: ["{KEY}"], user_data: "#!/bin/sh\\n",
        labels: {{a: b}}, firewall: [{{protocol: tcp, ports: 80}}, {{protocol: icmp}},
        {{protocol: udp, ports: 8000-8100, source: 10.0.0.0/8}}],
        storages: [{{name: data, size_gb: 5}}, {{name: log, size_gb: 1, tier: hdd}}],
        policy: {{timeout_s: 600, retry:
          {{attempts_max: 5, backoff: linear, delay_s: 1, delay_max_s: 2, jitter: 0.5}}}}""",
    )
    assert made.firewall == (
        FirewallRule("tcp", (80, 80)),
        FirewallRule("icmp"),
        FirewallRule("udp", (8000, 8100), "10.0.0.0/8"),
    )
    assert made.storages == (Storage("data", 5), Storage("log", 1, "hdd"))
    assert made.spec() == {
        "plan": "1cpu-1gb", "cpus": 1, "memory_gb": 1, "disk_gb": 20, "zone": "Eu.1", "image": "Debian 12 (Bookworm)",
        "user_data": "#!/bin/sh\n", "ssh_keys": [KEY],
        "firewall": [
            {"protocol": "tcp", "ports": [80, 80]},
            {"protocol": "icmp"},
            {"protocol": "udp", "ports": [8000, 8100], "source": "10.0.0.0/8"},
        ],
        "storages": [{"name": "data", "size_gb": 5}, {"name": "log", "size_gb": 1, "tier": "hdd"}],
    }  # fmt: skip
    assert made.policy.task_fields() == {
        "timeout_s": 600,
        "retry": {"attempts_max": 5, "backoff": "linear", "delay_s": 1, "delay_max_s": 2, "jitter": 0.5},
    }


def test_what_is_read_is_what_operations_take(workspace: Any) -> None:
    from provisioning_core.params import NETWORK_SPEC, SERVER_SPEC

    assert (
        SERVER_SPEC(server(workspace, f"firewall: [{{protocol: tcp, ports: 1}}], ssh_keys: ['{KEY}']").spec()) is None
    )
    infra = load(workspace, "networks: [{name: n, cidr: 10.0.0.0/24, zone: z}]\nservers: []")
    assert NETWORK_SPEC(infra.networks[0].spec()) is None


def test_each_resource_has_the_provider_that_is_nearest(workspace: Any) -> None:
    text = """
    provider: aws
    networks: [{name: n, cidr: 10.0.0.0/24}, {name: m, cidr: 10.0.1.0/24, provider: hetzner}]
    servers: [{name: a, plan: t3.small, network: n}, {name: b, plan: cx22, provider: hetzner, network: m}]
    """
    infra = load(workspace, text)
    assert [*(each.provider for each in infra.networks), *(each.provider for each in infra.servers)] == [
        "aws",
        "hetzner",
        "aws",
        "hetzner",
    ]
    assert (infra.provider, infra.providers()) == ("aws", ("aws", "hetzner"))
    own = load(workspace, "servers: [{name: a, plan: x}]")
    assert own.provider == own.servers[0].provider == load_workspace(workspace.path).provider


def test_a_network_of_another_provider_is_refused(workspace: Any) -> None:
    text = """\
networks: [{name: n, cidr: 10.0.0.0/24, provider: aws}]
servers: [{name: a, plan: 1cpu-1gb, network: n, provider: hetzner}]"""
    found = faults(workspace, text)
    assert found == [
        "infra/x.yaml:2:46  servers[0].network: the network 'n' is one of aws, the server one of hetzner; "
        "a server can only be in a network of its own provider"
    ]


def test_a_class_is_named_by_the_workspaces_file_only(workspace: Any) -> None:
    assert "is not named by provisioning.yaml" in fault(workspace, "provider: 'some.module:Cloud'")
    file = workspace.path / "provisioning.yaml"
    file.write_text(file.read_text() + "providers: {'some.module:Cloud': {}}\n")
    assert server(workspace, "provider: 'some.module:Cloud'").provider == "some.module:Cloud"


LOCAL = "<cpus>cpu-<memory>gb, like 2cpu-4gb (the provider local has no plans of its own)."


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (
            "plan: 2xCPU-4GB",
            f"1:55  servers[0].plan: '2xCPU-4GB' is not a plan; accepted: {LOCAL} Did you mean '2cpu-4gb'",
        ),
        ("plan: t3.small", f"1:55  servers[0].plan: 't3.small' is not a plan; accepted: {LOCAL}"),
        (
            "plan: 2 cpu 4 gb",
            "1:55  servers[0].plan: '2 cpu 4 gb' is not a plan; accepted: <cpus>cpu-<memory>gb, like ",
        ),
        ("cpus: 2", "1:11  servers[0]: the field 'memory_gb' is missing"),
        ("cpus: 2, plan: 1cpu-1gb", "1:55  servers[0].cpus: the size is given twice; accepted: plan, or cpus and mem"),
        ("zone: z", "1:11  servers[0]: the field 'plan' is missing (or cpus and memory_gb)"),
    ],
)
def test_a_size_that_the_local_provider_cannot_make_is_refused(workspace: Any, fields: str, told: str) -> None:
    found = faults(workspace, f"servers: [{{provider: local, name: local-server, {fields}}}]")
    assert len(found) == 1
    assert found[0].startswith(f"infra/x.yaml:{told}"), found


def test_any_other_provider_has_plans_of_its_own(workspace: Any) -> None:
    made = load(workspace, "servers: [{name: a, provider: upcloud, plan: 2xCPU-4GB}]").servers[0]
    assert made.spec() == {"plan": "2xCPU-4GB"}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ("firewall: [{protocol: tpc}]", "'tpc' is not accepted; accepted: tcp, udp, icmp. Did you mean 'tcp'?"),
        ("firewall: [{protocol: tcp, ports: 9-1}]", "'9-1' is not a range of ports"),
        ("firewall: [{protocol: tcp, ports: 1-70000}]", "'1-70000' is not a range of ports"),
        ("firewall: [{protocol: tcp, ports: 0}]", "expected a whole number from 1 to 65535, got 0"),
        (
            "firewall: [{protocol: tcp, ports: [80]}]",
            "a list is not accepted; accepted: a port from 1 to 65535, or a r",
        ),
        ("firewall: [{protocol: icmp, ports: 80}]", "icmp has no ports"),
        ("firewall: [{protocol: tcp, source: 10.0.0.1/8}]", "has host bits set. Did you mean '10.0.0.0/8'?"),
        ("firewall: [{protocol: tcp, source: everyone}]", "accepted: an IPv4 network"),
        ("firewall: {protocol: tcp}", "expected a list, got a mapping"),
        ("storages: [{name: a, size_gb: 1}, {name: a, size_gb: 2}]", "the storage 'a' is already defined in line 1"),
        ("storages: [{name: a}]", "the field 'size_gb' is missing"),
        ("policy: {retry: {attempts_max: 0}}", "expected a whole number from 1 to 1000, got 0"),
        ("policy: {retry: {backof: linear}}", "Did you mean 'backoff'?"),
        ("policy: {timeout_s: 0}", "expected a number above 0"),
        ("policy: {timeout_s: .inf}", "expected a number above 0"),
        ("image: ' '", "accepted: 1 to 200 characters on one line"),
        ("user_data: {}", "the field 'file' is missing"),
        ("user_data: [a]", "a list is not accepted; accepted: text, or {file: path below the workspace}"),
        (f"user_data: '{'é' * 9000}'", "18000 bytes; at most 16384"),
        ("ssh_keys: [1]", "the number '1' is not accepted; accepted: a public key"),
        ("ssh_keys: [ssh-ed25519 AAAA]", "is not accepted; accepted: a public key: ssh-ed25519, "),
        (f"ssh_keys: ['ssh-rsa {KEY.split()[1]}']", "is no public key (its base64 is cut or another's)"),
        (f"ssh_keys: ['{KEY.split()[0]} {KEY.split()[1][:40]}=x']", "is not accepted; accepted: a public key"),
        ("labels: !own {a: b}, labls: {}", "unknown field 'labls'"),
        ("image: !own x", "expected text (put it in quotes), got the tagged 'x'"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(workspace: Any, fields: str, told: str) -> None:
    assert told in fault(workspace, fields)


def test_a_name_is_a_servers_or_a_groups(workspace: Any) -> None:
    text = """\
servers:
  - {name: web, count: 2, plan: 1cpu-1gb}
  - {name: web, plan: 1cpu-1gb}
  - {name: web-1, plan: 1cpu-1gb}
"""
    assert [line.split("  ")[0] + line[-60:] for line in faults(workspace, text)] == [
        "infra/x.yaml:3:12" + "s[1].name: 'web' is already the name of a group of servers in line 2"[-60:],
        "infra/x.yaml:4:12" + "servers[2].name: the server 'web-1' is already defined in line 2"[-60:],
    ]


# --- files -----------------------------------------------------------------------------------------------------------


def test_keys_and_user_data_come_from_files_of_the_workspace(workspace: Any) -> None:
    (workspace.path / "keys").mkdir()
    (workspace.path / "keys" / "team.pub").write_text(f"# the team\n{KEY}\n\n{KEY}\n")
    (workspace.path / "init.sh").write_text("#!/bin/sh\necho ${HOME}\n")
    made = server(workspace, "ssh_keys: [{file: keys/team.pub}], user_data: {file: init.sh}")
    assert made.ssh_keys == (KEY,)
    assert made.user_data == "#!/bin/sh\necho ${HOME}\n"


@pytest.mark.parametrize("file", ["../outside", "/etc/passwd", "link", "keys/../../outside", ".provisioning/secret"])
def test_a_file_never_comes_from_outside_of_the_workspace(workspace: Any, tmp_path: Path, file: str) -> None:
    (tmp_path / "outside").write_text(KEY)
    (workspace.path / "keys").mkdir()
    (workspace.path / ".provisioning").mkdir(exist_ok=True)
    (workspace.path / ".provisioning" / "secret").write_text(KEY)
    (workspace.path / "link").symlink_to(tmp_path / "outside")
    for field in ("ssh_keys: [{file: %s}]", "user_data: {file: %s}"):
        told = fault(workspace, field % file)
        assert "below the workspace" in told or "leaves the workspace" in told or "not definitions" in told


def test_files_that_cannot_be_read_are_named(workspace: Any) -> None:
    (workspace.path / "empty").touch()
    (workspace.path / "bytes").write_bytes(b"\xff")
    (workspace.path / "large").write_text("x" * 20_000)
    for file, told in {
        "missing": "there is no file 'missing' in the workspace",
        "infra": "there is no file 'infra'",
        "bytes": "'bytes' is not UTF-8 text",
        "large": "'large' has more than 16384 bytes",
        "empty": "the file 'empty' is empty",
    }.items():
        assert told in fault(workspace, f"user_data: {{file: {file}}}")
    assert "'empty' holds no public key" in fault(workspace, "ssh_keys: [{file: empty}]")


def test_a_private_key_is_refused_loudly_and_never_shown(workspace: Any) -> None:
    (workspace.path / "id").write_text(PRIVATE)
    for field in ("{file: id}", '"' + PRIVATE.replace("\n", "\\n") + '"'):
        told = fault(workspace, f"ssh_keys: [{field}]")
        assert "PRIVATE key" in told
        assert "c2VjcmV0" not in told
