"""`ansible/playbook`: a playbook on our servers. The inventory is ours, what it found out comes back as the result."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import params as check
from ..errors import ProviderError, UsageError
from ..infra import Infra, load_infra
from ..params import Check
from ..provider import Resource
from ..secrets.reference import REFERENCE_WORDS, is_reference
from ..yamlfile import shown
from .ansible_variables import variable_options
from .command import Ran, find_program, run_here
from .references import resolved, workplace, write
from .targets import servers_of

if TYPE_CHECKING:
    from ..operation import Task

INSTALL = "pip install ansible-core, in this environment or anywhere on PATH"
UNREACHABLE = 4  # a bit of ansible-playbook's exit code
FAILURES_SHOWN = 5


def play_as_told(task: Task) -> dict[str, Any]:
    """{hosts: counts per host, facts: what set_fact set per host, stats, host_stats: set_stats', changed}."""
    task.check({"infra": check.infra_name, "playbook": check.text(1_000)}, FIELDS)
    params, workspace = task.params, task.workspace()
    playbook = (workspace.path / params["playbook"]).resolve()
    if not playbook.is_relative_to(workspace.path) or not playbook.is_file():
        raise UsageError(f"playbook {shown(params['playbook'])}: no file below {workspace.path}", code="bad_params")
    program = find_program("ansible-playbook", INSTALL)
    definition = load_infra(workspace, params["infra"])
    servers = servers_of(workspace, params["infra"], params.get("servers"))
    variables = {**(params.get("variables") or {}), "provisioning_results": task.results}
    work, vault = Path.cwd(), params.get("vault_password")
    task.progress(f"{params['playbook']} on {len(servers)} servers")
    with workplace(variables, vault) as scratch:
        inventory = write(work / "inventory.json", json.dumps(inventory_of(definition, servers)))
        argv = [program, "--inventory", str(inventory), *variable_options(variables, work, scratch), *_options(params)]
        if vault is not None:
            argv.append(f"--vault-password-file={write(scratch / 'vault', resolved(vault))}")
        records = _played([*argv, str(playbook)], playbook.parent, scratch, hidden=scratch != work)
    for file in (inventory, work / "variables.json"):
        file.unlink()  # what is left in the directory would be kept with the attempt
    return _result(records)


def _played(argv: Sequence[str], directory: Path, scratch: Path, *, hidden: bool) -> list[dict[str, Any]]:
    """What happened, as our callback plugin tells it; facts that playbooks set may hold secrets."""
    results = write(scratch / "results.jsonl", "")
    environment = _environment(scratch, results) | (_NOTHING_KEPT if hidden else {})
    ran = run_here(argv, directory=directory, environment=environment)
    records = list(_records(results))
    results.unlink()
    _check_end(ran, records)
    return records


def inventory_of(infra: Infra, servers: Sequence[Resource]) -> dict[str, Any]:
    """Ansible's own form. Groups: each counted name (`web` for web-1, web-2), `<cluster>`, `<cluster>_<role>`, and
    `label_<name>_<value>`; a `-` becomes `_`, as Ansible wants it."""
    hosts = {server.name: _host(server) for server in servers}
    groups: dict[str, dict[str, None]] = {}

    def enter(group: str, name: str) -> None:
        if name in hosts:
            groups.setdefault("".join(c if c.isalnum() else "_" for c in group), {})[name] = None

    for each in infra.servers:
        if each.group and each.group != each.name:
            enter(each.group, each.name)
        for label, value in each.labels.items():
            enter(f"label_{label}_{value}", each.name)
    for cluster in infra.clusters:
        for role, names in cluster.roles.items():
            for name in names:
                enter(cluster.name, name)
                enter(f"{cluster.name}_{role}", name)
    children = {group: {"hosts": dict.fromkeys(names, None)} for group, names in groups.items()}
    return {"all": {"hosts": hosts, "vars": {"provisioning_infra": infra.name}, "children": children}}


def _host(server: Resource) -> dict[str, Any]:
    ssh = server.attributes["ssh"]
    known_hosts = str(ssh["known_hosts_file"]).replace("\\", "\\\\").replace('"', '\\"')
    return {
        "ansible_host": ssh["host"],
        "ansible_port": int(ssh["port"]),
        "ansible_user": ssh["user"],
        "ansible_ssh_private_key_file": str(ssh["identity_file"]),
        # Nothing of the user's own SSH settings, and strict: the provider knows the host keys.
        "ansible_ssh_common_args": f'-F none -o UserKnownHostsFile="{known_hosts}" -o StrictHostKeyChecking=yes',
        "address": server.attributes.get("address"),
        "provisioning_key": server.key,
        "provisioning_labels": dict(server.attributes.get("labels") or {}),
    }


_NOTHING_KEPT = {"ANSIBLE_LOG_PATH": os.devnull, "ANSIBLE_CACHE_PLUGIN": "memory"}
"""Whatever an ansible.cfg says: its log and its cache of facts would be files with secrets."""


def _environment(scratch: Path, results: Path) -> dict[str, str]:
    return {
        "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "callback"),
        "ANSIBLE_CALLBACKS_ENABLED": "ansible_results",
        "PROVISIONING_ANSIBLE_RESULTS": str(results),
        "ANSIBLE_LOCAL_TEMP": str(scratch / "ansible-tmp"),  # what templates make of variables is written there
        "ANSIBLE_HOME": str(Path.cwd() / "ansible-home"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": os.environ.get("TMPDIR") or "/tmp",  # noqa: S108 - a socket's path is short
        "ANSIBLE_SSH_ARGS": "-o ControlMaster=no",  # a master would outlive the playbook, and be ended as a leftover
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_RETRY_FILES_ENABLED": "0",
    }


def _options(params: Mapping[str, Any]) -> Iterator[str]:
    for option in ("tags", "skip_tags"):
        if params.get(option):
            yield f"--{option.replace('_', '-')}={','.join(params[option])}"
    if params.get("check"):
        yield "--check"
    if params.get("diff"):
        yield "--diff"
    if params.get("forks"):
        yield f"--forks={params['forks']}"
    if params.get("verbosity"):
        yield "-" + "v" * params["verbosity"]


def _records(results: Path) -> Iterator[dict[str, Any]]:
    with results.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _check_end(ran: Ran, records: Sequence[Mapping[str, Any]]) -> None:
    if ran.exit_code == 0:
        return
    bad = [each for each in records if each["what"] in ("failed", "unreachable")]
    told = [f"{each['host']}, {each['task']}: {each.get('message') or each['what']}" for each in bad]
    more = f" (and {len(told) - FAILURES_SHOWN} more)" if len(told) > FAILURES_SHOWN else ""
    words = "; ".join(told[:FAILURES_SHOWN]) + more or f"ansible-playbook ended with exit code {ran.exit_code}"
    unreachable = bool(bad) and all(each["what"] == "unreachable" for each in bad)
    raise ProviderError(words, code="unreachable" if unreachable else "playbook_failed", retryable=unreachable)


def _result(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    facts: dict[str, dict[str, Any]] = {}
    stats: Mapping[str, Any] = {"hosts": {}, "custom": {}}
    for record in records:
        if record["what"] == "stats":
            stats = record
        elif record.get("facts"):
            facts.setdefault(record["host"], {}).update(record["facts"])
    hosts: dict[str, dict[str, int]] = stats["hosts"]
    changed = any(host["changed"] for host in hosts.values())
    per_host = dict(stats["custom"])
    run = per_host.pop("_run", {})  # Ansible's word for what is of no host
    return {"hosts": hosts, "facts": facts, "stats": run, "host_stats": per_host, "changed": changed}


def _words(value: Any) -> str | None:
    if isinstance(value, list) and value and all(isinstance(each, str) and each.strip() for each in value):
        return None
    return f"a list of texts is expected, got {shown(value)}"


def _reference(value: Any) -> str | None:
    # The value itself is not shown: it may be the password.
    return None if is_reference(value) else f"{REFERENCE_WORDS} is expected, and no password"


FIELDS: dict[str, Check] = {
    "servers": check.server_names,
    "variables": check.mapping,
    "tags": _words,
    "skip_tags": _words,
    "check": check.boolean,
    "diff": check.boolean,
    "forks": check.number(1, 500),
    "verbosity": check.number(0, 6),
    "vault_password": _reference,
}
