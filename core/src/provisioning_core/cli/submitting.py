"""`provisioning workflow submit`: a whole workflow from a file; its faults are told where they stand in that file."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

import click

from ..errors import ProvisioningError
from ..pointers import Document, read_document
from ..render.documents import API_VERSION
from ..yamlfile import DefinitionErrors
from .call import Manner
from .inventory import complete_infra, workspace_here
from .lazy import ExamplesCommand
from .parameters import called, read_bytes
from .performing import check_workspace, submit_and_follow
from .session import Session, with_session

KIND = "WorkflowSubmission"


@dataclass(frozen=True, slots=True)
class _Read:
    """body: what is sent. document: where each part of it stands."""

    body: dict[str, Any]
    document: Document


@click.command(
    cls=ExamplesCommand,
    examples="""
        provisioning workflow submit site.yaml
        provisioning workflow submit site.yaml --infra wuji --detach -o name
        provisioning operation run command/run --param argv='["uname"]' --check -o yaml > site.yaml
        generate-tasks | provisioning workflow submit - --idempotency-key nightly-2026-11-24
    """,
)
@click.argument("file", type=click.Path(allow_dash=True))
@click.option(
    "--infra", metavar="INFRA", shell_complete=complete_infra, help="The parameter `infra` of tasks that say none."
)
@click.option(
    "--wait/--no-wait", " /--detach", default=True, help="Stay until it has ended, or print the id and leave."
)
@click.option("--timeout", metavar="DURATION", help="Wait no longer (exit 124); the workflow goes on.")
@click.option("--idempotency-key", metavar="KEY", help="The same key again: the same workflow (random).")
@with_session
def submit(
    session: Session, file: str, infra: str | None, wait: bool, timeout: str | None, idempotency_key: str | None
) -> None:
    """Submit the workflow in FILE (YAML or JSON; `-`: standard input) to the orchestrator, and stay until it ends.

    FILE is {name, tasks: [{id, operation, params, needs, …}]}: the body of POST /workflows. It is taken whole or not at
    all; everything that is wrong with it is told at once, with line and column.
    """
    from .workflow import print_summary

    manner = Manner(True, False, False, False, wait, timeout, idempotency_key)
    timeout_s = manner.timeout_s()
    read = _read(file, infra)
    if workspace_here(session) is not None:
        check_workspace(session)
    words = ["provisioning workflow submit", shlex.quote(file), *(["--infra", shlex.quote(infra)] if infra else [])]

    def send(key: str) -> str:
        try:
            return session.orchestrator.submit_body(read.body, key)
        except ProvisioningError as error:
            raise _placed(error, read.document) from error

    picture = submit_and_follow(session, send, manner, timeout_s, " ".join(words))
    print_summary(session, picture)
    if session.for_people:
        session.next_commands(("look", f"provisioning workflow show {picture.workflow}"))


def _read(file: str, infra: str | None) -> _Read:
    """Raises DefinitionErrors, UsageError, NotFoundError."""
    data = read_bytes(file, "workflow file")
    document = read_document(data, called(file), json_only=file.endswith(".json"))
    if not isinstance(document.value, dict):
        got = "nothing" if document.value is None else "something else"
        raise DefinitionErrors([document.problem("", f"a mapping {{name, tasks}} is expected, got {got}")])
    body = dict(document.value)
    if body.get("apiVersion") == API_VERSION and body.get("kind") == KIND:
        del body["apiVersion"], body["kind"]  # as `operation run --check -o yaml` prints it
    tasks = body.get("tasks")
    if infra is not None and isinstance(tasks, list):
        body["tasks"] = [_with_infra(task, infra) for task in tasks]
    return _Read(body, document)


def _with_infra(task: Any, infra: str) -> Any:
    params = task.get("params", {}) if isinstance(task, dict) else None
    return task | {"params": {"infra": infra, **params}} if isinstance(params, dict) else task


def _placed(error: ProvisioningError, document: Document) -> ProvisioningError:
    """The same error, its faults at their places in the file."""
    if not error.body_faults:
        return error
    problems = {document.problem(fault.pointer, _words(fault.detail, fault.hint)) for fault in error.body_faults}
    lines = [str(each) for each in sorted(problems, key=lambda each: (each.line, each.column, each.message))]
    hint = "provisioning operation list --orchestrated" if error.code == "unknown_operation" else error.hint
    return type(error)("\n".join(lines), code=error.code, hint=hint)


def _words(detail: str, hint: str | None) -> str:
    return f"{detail} ({hint})" if hint else detail
