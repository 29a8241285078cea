"""`provisioning operation run`: one operation by its name, here and now or by the orchestrator; its result."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..describing import describe
from ..errors import NotFoundError, ProvisioningError, UsageError
from ..render.documents import line
from ..render.text import clean
from ..yamlfile import shown
from . import exits
from .call import Call, Manner
from .exits import Exit
from .inventory import workspace_here
from .libraries import library_roots
from .parameters import read_params
from .performing import check_confirmed, check_workspace, confirmed, refused, submit_and_follow
from .session import Session, nearest

TASK = "root"
TAKING = ("delete", "remove")


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asks for. typed, texts, files: of parameters, as they were given."""

    name: str
    infra: str | None
    typed: tuple[str, ...]
    texts: tuple[str, ...]
    files: tuple[str, ...]
    manner: Manner

    @property
    def command(self) -> str:
        """What to type to do it again."""
        words = ["run", self.name, *(["--infra", self.infra] if self.infra is not None else [])]
        for flag, values in (("--param", self.typed), ("--param-text", self.texts), ("--param-file", self.files)):
            for value in values:
                words += [flag, value]
        words += ["--orchestrated"] if self.manner.orchestrated else []
        return f"provisioning operation {shlex.join(words)}"


def call_operation(session: Session, wish: Wish) -> None:
    """Raises Exit with the code that tells how it ended."""
    manner, timeout_s = wish.manner, wish.manner.timeout_s()
    params = read_params(wish.typed, wish.texts, wish.files, _schema(session, wish))
    resource, _, action = wish.name.rpartition("/")
    if wish.infra is not None and params.setdefault("infra", wish.infra) != wish.infra:
        raise UsageError(f"--infra {wish.infra} and the parameter infra={shown(params['infra'])}", code="bad_flags")
    call = Call(resource, action, wish.infra, params, wish.command)
    subject = str(call.given.get("infra") or wish.name)
    takes = action.startswith(TAKING)
    taking = f"{wish.name} of {subject}" if takes and not manner.check else None
    check_confirmed(session, manner, subject, taking, wish.command)
    if manner.check:
        _print_check(session, call, manner)
        raise Exit(exits.CHANGES if manner.exit_code else exits.SUCCEEDED)
    if taking and not (manner.yes or manner.confirm is not None):
        session.err.say(f"{clean(taking)} takes something. Type {clean(subject)} to go on, anything else to stop.")
        if not confirmed(session, "Go on:", subject):
            raise refused(session)
    if manner.orchestrated:
        _orchestrated(session, call, manner, timeout_s)
    else:
        _directly(session, call)


def _schema(session: Session, wish: Wish) -> Mapping[str, Any] | None:
    """Raises NotFoundError in direct mode; what the orchestrator has is looked up by it."""
    try:
        return describe(library_roots(session.settings), wish.name).params_schema
    except NotFoundError:
        if wish.manner.orchestrated:
            return None
        raise


def _directly(session: Session, call: Call) -> None:
    from .directly import run_directly

    outcome = run_directly(session, call, Path(session.settings.workspace().value))
    root = outcome.tasks[0].outcome
    _tell_result(session, call, {"status": outcome.status, "partial": root.partial, "result": root.result})


def _orchestrated(session: Session, call: Call, manner: Manner, timeout_s: float | None) -> None:
    if workspace_here(session) is not None:
        check_workspace(session)

    def send(key: str) -> str:
        try:
            return session.orchestrator.submit_body(_document(call), key)
        except ProvisioningError as error:
            raise _in_words(error) from error

    picture = submit_and_follow(session, send, manner, timeout_s, call.again)
    task = session.orchestrator.task(picture.workflow, TASK)
    about = {"status": picture.status, "partial": bool(task.get("partial")), "result": task.get("result")}
    _tell_result(session, call, about, picture.workflow)


def _document(call: Call) -> dict[str, Any]:
    return {"name": call.title, "tasks": [{"id": TASK, "operation": call.operation, "params": call.given}]}


def _in_words(error: ProvisioningError) -> ProvisioningError:
    """The same error, its faults by the names of parameters instead of by pointers into what was sent."""
    if not error.body_faults:
        return error
    lines = []
    for fault in error.body_faults:
        path = fault.pointer.removeprefix("/tasks/0").strip("/").replace("/", ".")
        where = f"{path}: " if path.startswith("params") else ""
        lines.append(f"{where}{fault.detail}" + (f" ({fault.hint})" if fault.hint else ""))
    hint = "provisioning operation list --orchestrated" if error.code == "unknown_operation" else error.hint
    return type(error)("\n".join(lines), code=error.code, hint=hint)


def _print_check(session: Session, call: Call, manner: Manner) -> None:
    """The workflow that would be submitted, as `workflow submit` takes it. Raises NotFoundError for an unknown name."""
    from .submitting import KIND

    if manner.orchestrated:
        known = [str(item["name"]) for item in session.orchestrator.operations()]
        if call.operation not in known:
            hint = nearest(call.operation, known) or "provisioning operation list --orchestrated"
            detail = f"the orchestrator has no operation {call.operation!r}"
            raise NotFoundError(detail, code="unknown_operation", hint=hint)
    document = _document(call)
    if session.for_people:
        session.print(in_yaml(document))
        session.say("Nothing was done.")
    else:
        session.print_document(KIND, document, "name")


def _tell_result(session: Session, call: Call, about: Mapping[str, Any], workflow: str | None = None) -> None:
    """What it returned is the result of the command."""
    item = {**({"workflow_id": workflow} if workflow else {}), "operation": call.operation, **about}
    if session.form == "jsonl" and workflow is not None:
        session.print(line({"type": "summary", **item}))
    elif not session.for_people:
        session.print_document("OperationResult", item, "workflow_id" if workflow else "operation")
    elif about["result"] is None:
        session.say(f"{call.operation} is done; it returned nothing.")
    else:
        session.print(in_yaml(about["result"]))
    if about["partial"]:
        session.say(f"{session.err.paint('note:', 'warn')} {call.operation} says that not all was done")


def in_yaml(value: Any) -> str:
    """For people: text of several lines as it is, every control character escaped."""
    import yaml

    class Dumper(yaml.SafeDumper):
        pass

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    dumped = yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=4096)
    return dumped.removesuffix("\n").removesuffix("\n...")
