"""`opentofu/apply`: plan, apply exactly that plan, outputs as the result. Terraform's command line is the same.

What a kill leaves is OpenTofu's own promise, not ours: its state is written at most every 20 s, so a resource made just
before a kill can be lost from it. Its lock on a local state ends with its process.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import params as check
from ..errors import ProviderError, UsageError
from ..params import Check
from .command import CAPTURED_BYTES_MAX, Ran, find_program, run_here, to_log
from .references import resolved, workplace, write
from .running import directory_below

if TYPE_CHECKING:
    from ..operation import Task

INSTALL = "install OpenTofu (`tofu`), or give program: terraform"
PROGRAMS = ("tofu", "terraform")
ERRORS_SHOWN = 5
HAS_CHANGES = 2  # exit code of plan -detailed-exitcode
DOCUMENT_BYTES_MAX = 64 * 1024 * 1024  # a plan holds the state before, the configuration and the schema of each value
ENVIRONMENT = {"TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "CHECKPOINT_DISABLE": "1", "NO_COLOR": "1"}


def apply_as_told(task: Task) -> dict[str, Any]:
    """{changes: [{address, actions}], applied, outputs: {name: value}, sensitive: names of outputs not among them}"""
    task.check({"directory": check.text(1_000)}, FIELDS)
    params = task.params
    variables = params.get("variables") or {}
    directory = directory_below(task.workspace(), params["directory"])
    tofu = _Tofu(find_program(params.get("program") or "tofu", INSTALL), directory)
    with workplace(variables) as scratch:
        plan = scratch / "plan"  # it holds the values of the variables
        given = write(scratch / "variables.tfvars.json", json.dumps(resolved(variables)))
        tofu("init", "-input=false")
        changes, applied = _applied(task, tofu, plan, given)
        for file in (plan, given):
            file.unlink(missing_ok=True)
    outputs = {} if params.get("plan_only") else tofu.document("output", "-json")
    sensitive = sorted(name for name, output in outputs.items() if output.get("sensitive"))
    values = {name: output.get("value") for name, output in outputs.items() if not output.get("sensitive")}
    return {"changes": changes, "applied": applied, "outputs": values, "sensitive": sensitive}


def _applied(task: Task, tofu: _Tofu, plan: Path, variables: Path) -> tuple[list[dict[str, Any]], bool]:
    """The changes of the plan, and whether they were made."""
    params = task.params
    options = [f"-out={plan}", f"-var-file={variables}", *(["-destroy"] if params.get("destroy") else [])]
    planned = tofu("plan", "-input=false", "-detailed-exitcode", *options, ok=(0, HAS_CHANGES))
    changes = _changes(tofu.document("show", "-json", str(plan)))
    applied = planned.exit_code == HAS_CHANGES and not params.get("plan_only")
    task.progress(f"{len(changes)} changes" + ("" if applied else ": nothing is applied"))
    if applied:
        tofu("apply", "-input=false", str(plan))
    return changes, applied


class _Tofu:
    def __init__(self, program: str, directory: Path) -> None:
        self._program = program
        self._directory = directory

    def __call__(self, verb: str, *options: str, ok: tuple[int, ...] = (0,), quiet: bool = False) -> Ran:
        argv = [self._program, verb, "-no-color", *options]  # Terraform does not look at NO_COLOR
        heard = _unheard if quiet else to_log
        most = DOCUMENT_BYTES_MAX if quiet else CAPTURED_BYTES_MAX
        ran = run_here(
            argv,
            directory=self._directory,
            environment=ENVIRONMENT,
            heard=heard,
            most=most,
            errors_too=not quiet,
        )
        if ran.exit_code not in ok:
            message = f"{Path(self._program).name} {verb} ended with exit code {ran.exit_code}: {_reason(ran.text)}"
            raise ProviderError(message, code="tofu_failed", retryable=False)
        return ran

    def document(self, verb: str, *options: str) -> dict[str, Any]:
        """Not into the log: it may hold what is sensitive."""
        ran = self(verb, *options, quiet=True)
        if ran.cut:
            size = len(ran.output) + ran.cut
            message = f"{verb} {' '.join(options)} printed {size} bytes; at most {DOCUMENT_BYTES_MAX} are read"
            raise UsageError(message, code="bad_output")
        try:
            found = json.loads(ran.output)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{verb} {' '.join(options)} printed no JSON: {error}", code="bad_output") from error
        if not isinstance(found, dict):
            raise UsageError(f"{verb} {' '.join(options)} printed no object", code="bad_output")
        return found


def _reason(said: str) -> str:
    """The errors as it words them, each in a frame of its own; else the last line."""
    lines = [line.lstrip("│╷╵ ").strip() for line in said.splitlines()]
    errors = list(dict.fromkeys(line for line in lines if line.startswith("Error: ")))
    last = [line for line in lines if line][-1:] or ["see the log"]
    return "; ".join(errors[:ERRORS_SHOWN] or last)[:1_000]


def _unheard(_: bytes) -> None:
    pass


def _changes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    changes = [
        {"address": each.get("address"), "actions": each.get("change", {}).get("actions", [])}
        for each in plan.get("resource_changes") or []
    ]
    return [each for each in changes if each["actions"] not in (["no-op"], ["read"])]


FIELDS: dict[str, Check] = {
    "infra": check.infra_name,
    "variables": check.mapping,
    "program": check.one_of(*PROGRAMS),
    "destroy": check.boolean,
    "plan_only": check.boolean,
}
