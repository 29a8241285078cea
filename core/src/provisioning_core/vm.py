"""`provisioning vm VERB`: the providers and definitions for operations in other languages, as JSON in and JSON out.

One JSON object on standard input, one JSON value on standard output, words on standard error. Exit code 0; 1 with
{"error": {code, message, retryable, retry_after_s}} as the answer; 2 for a verb that there is not. Values never go
through argv. The workspace is PROVISIONING_WORKSPACE's; `resource.created` goes to PROVISIONING_EVENTS at once.

    definition {infra, servers?}      what the file says: {workspace, provider, infra, networks, servers}, the last two
                                      lists of {name, key, spec, labels, provider?, policy?}
    tasks {infra, servers?, networks?}    the expansion of servers/create: [{id, operation, params, needs?, key, …}]
    deletions {infra, servers?}       the expansion of servers/delete
    create {kind?, infra, name, spec, labels?, provider?, expect?, intent?, key?, workflow_id?, operation?}
                                      the resource, and `created`
    find {kind?, infra, name | key | intent | id, provider?}      the resource, or null
    list {kind?, infra?, provider?}                               the resources, of all providers or of that one
    page {kind?, infra?, after?}      as many as a result can hold: {items, rest, after}; after: the key to go on from
    delete {kind?, infra, name, provider?, expect?, key?}         {name, id, deleted}

kind: server (the default) or network. A resource: {kind, id, key, infra, name, state, address, ssh, …}.
provider is only said where it is not the workspace's own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO, cast

from . import params as check
from .clouds import Clouds
from .errors import UsageError
from .infra import Network, Server, load_infra
from .operation import INPUT_BYTES_MAX, announce, error_document
from .params import Check, check_params
from .plan import create_tasks, delete_tasks
from .plan.tasks import provider_param
from .provider import Kind
from .resources import NAMES, Origin, create_resource, delete_resource, describe, list_resources, page_of
from .workspace import Workspace, load_workspace
from .yamlfile import shown, suggestion


def main(argv: Sequence[str], stdin: TextIO, stdout: TextIO) -> int:
    """argv: the verb alone. Returns the exit code; nothing is raised."""
    try:
        answer = _answer(argv, stdin)
        code = 0
    except _NoVerb as error:
        print(f"provisioning vm: {error.message}", file=sys.stderr)
        answer, code = {"error": error_document(error)}, 2
    except Exception as error:
        answer, code = {"error": error_document(error)}, 1
    stdout.write(json.dumps(answer) + "\n")
    stdout.flush()
    return code


class _NoVerb(UsageError):
    pass


def _answer(argv: Sequence[str], stdin: TextIO) -> Any:
    if len(argv) != 1 or argv[0] not in VERBS:
        given = shown(" ".join(argv)) if argv else "nothing"
        known = ", ".join(VERBS)
        guess = suggestion(argv[0] if argv else "", list(VERBS))
        raise _NoVerb(f"no verb {given}; there are: {known}.{guess}".removesuffix("."))
    data = getattr(stdin, "buffer", stdin).read(INPUT_BYTES_MAX)
    try:
        request = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"standard input is not JSON: {error}", code="bad_input") from error
    if not isinstance(request, dict):
        raise UsageError(f"standard input holds {shown(request)}; an object is expected", code="bad_input")
    kind = request.pop("kind", None) or "server"
    if kind not in NAMES:
        raise UsageError(f"kind is {shown(kind)}; accepted: server, network", code="bad_params")
    return VERBS[argv[0]](load_workspace(), cast(Kind, kind), request)


def _definition(workspace: Workspace, _: Kind, request: dict[str, Any]) -> Any:
    check_params(request, {"infra": check.infra_name}, {"servers": check.server_names})
    infra = load_infra(workspace, request["infra"])
    servers = infra.select(request.get("servers"))

    def shape(kind: Kind, resource: Network | Server) -> dict[str, Any]:
        key = workspace.key(infra.name, kind, resource.name)
        said = {"name": resource.name, "key": key, "spec": resource.spec(), "labels": resource.labels}
        policy = resource.policy.task_fields()
        return said | provider_param(resource.provider, workspace.provider) | ({"policy": policy} if policy else {})

    return {
        "workspace": workspace.id,
        "provider": workspace.provider,
        "infra": infra.name,
        "networks": [shape("network", network) for network in infra.networks_of(servers)],
        "servers": [shape("server", server) for server in servers],
    }


def _tasks(workspace: Workspace, _: Kind, request: dict[str, Any]) -> Any:
    check_params(request, {"infra": check.infra_name}, {"servers": check.server_names, "networks": check.flag})
    infra = load_infra(workspace, request["infra"])
    return create_tasks(workspace, infra, request.get("servers"), networks=request.get("networks") is not False)


def _deletions(workspace: Workspace, _: Kind, request: dict[str, Any]) -> Any:
    ids = check.list_of(check.text(500), 10_000)
    check_params(request, {"infra": check.infra_name}, {"servers": check.server_names, "unlabelled": ids})
    unlabelled = request.get("unlabelled") or ()
    return delete_tasks(Clouds(workspace), request["infra"], request.get("servers"), unlabelled)


def _create(workspace: Workspace, kind: Kind, request: dict[str, Any]) -> Any:
    intent, key = request.pop("intent", None), request.pop("key", None)
    origin = Origin(str(request.pop("workflow_id", "")), str(request.pop("operation", "")))
    return create_resource(workspace, kind, request, intent=intent or "", key=key, announce=announce, origin=origin)


def _find(workspace: Workspace, kind: Kind, request: dict[str, Any]) -> Any:
    text: Check = lambda value: None if isinstance(value, str) else f"text is expected, got {shown(value)}"  # noqa: E731
    named = request.pop("provider", None)
    check_params({"provider": named}, {}, {"provider": check.provider_name})
    provider = workspace.load_provider(named)
    if "id" in request:
        check_params(request, {"id": text})
        found = provider.get(kind, request["id"])
    elif "name" in request:
        check_params(request, {"infra": check.infra_name, "name": NAMES[kind]})
        if named is None:
            there = Clouds(workspace).find(kind, request["infra"], request["name"])
            found = there.resource if there else None
        else:
            found = provider.find(kind, key=workspace.key(request["infra"], kind, request["name"]))
    else:
        check_params(request, {}, {"key": text, "intent": text})
        if not request:
            raise UsageError("find what? give infra and name, or key, intent or id", code="bad_params")
        found = provider.find(kind, key=request.get("key"), intent=request.get("intent"))
    return describe(found) if found else None


def _list(workspace: Workspace, kind: Kind, request: dict[str, Any]) -> Any:
    check_params(request, {}, {"infra": check.infra_name, "provider": check.provider_name})
    if named := request.get("provider"):
        there = workspace.load_provider(named).list(kind, infra=request.get("infra"))
        return [describe(each) for each in there if workspace.owns(each)]
    return list_resources(workspace, kind, request.get("infra"))


def _page(workspace: Workspace, kind: Kind, request: dict[str, Any]) -> Any:
    check_params(request, {}, {"infra": check.infra_name, "after": check.text(500)})
    return page_of(list_resources(workspace, kind, request.get("infra")), request.get("after"))._asdict()


def _delete(workspace: Workspace, kind: Kind, request: dict[str, Any]) -> Any:
    key = request.pop("key", None)
    return delete_resource(workspace, kind, request, key=key)


VERBS: Mapping[str, Callable[[Workspace, Kind, dict[str, Any]], Any]] = {
    "definition": _definition,
    "tasks": _tasks,
    "deletions": _deletions,
    "create": _create,
    "find": _find,
    "list": _list,
    "page": _page,
    "delete": _delete,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdin, sys.stdout))
