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
from .references import refuse_references
from .running import directory_below

if TYPE_CHECKING:
    from ..operation import Task

INSTALL = "install OpenTofu (`tofu`), or give program: terraform"
PROGRAMS = ("tofu", "terraform")
HAS_CHANGES = 2  # exit code of plan -detailed-exitcode
DOCUMENT_BYTES_MAX = 64 * 1024 * 1024  # a plan holds the state before, the configuration and the schema of each value
ENVIRONMENT = {"TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "CHECKPOINT_DISABLE": "1", "NO_COLOR": "1"}


def apply_as_told(task: Task) -> dict[str, Any]:
    """{changes: [{address, actions}], applied, outputs: {name: value}, sensitive: names of outputs not among them}"""
    task.check({"directory": check.text(1_000)}, FIELDS)
    params = task.params
    refuse_references(params, ("variables",), "they go through a file; have OpenTofu's own configuration look it up")
    directory = directory_below(task.workspace(), params["directory"])
    tofu = _Tofu(find_program(params.get("program") or "tofu", INSTALL), directory)
    plan, variables = Path.cwd() / "plan", Path.cwd() / "variables.tfvars.json"
    variables.touch(mode=0o600)
    variables.write_text(json.dumps(params.get("variables") or {}), "utf-8")
    tofu("init", "-input=false")
    options = ["-destroy"] if params.get("destroy") else []
    planned = tofu(
        "plan", "-input=false", "-detailed-exitcode", f"-out={plan}", f"-var-file={variables}", *options, ok=(0, 2)
    )
    changes = _changes(tofu.document("show", "-json", str(plan)))
    applied = planned.exit_code == HAS_CHANGES and not params.get("plan_only")
    task.progress(f"{len(changes)} changes" + ("" if applied else ": nothing is applied"))
    if applied:
        tofu("apply", "-input=false", str(plan))
    outputs = {} if params.get("plan_only") else tofu.document("output", "-json")
    for file in (plan, variables):
        file.unlink(missing_ok=True)
    sensitive = sorted(name for name, output in outputs.items() if output.get("sensitive"))
    values = {name: output.get("value") for name, output in outputs.items() if not output.get("sensitive")}
    return {"changes": changes, "applied": applied, "outputs": values, "sensitive": sensitive}


class _Tofu:
    def __init__(self, program: str, directory: Path) -> None:
        self._program = program
        self._directory = directory

    def __call__(self, verb: str, *options: str, ok: tuple[int, ...] = (0,), quiet: bool = False) -> Ran:
        argv = [self._program, verb, *options]
        heard = _unheard if quiet else to_log
        most = DOCUMENT_BYTES_MAX if quiet else CAPTURED_BYTES_MAX
        ran = run_here(argv, directory=self._directory, environment=ENVIRONMENT, heard=heard, most=most)
        if ran.exit_code not in ok:
            said = [line for line in ran.text.splitlines() if line.strip()][-1:] or ["see the log"]
            message = f"{Path(self._program).name} {verb} ended with exit code {ran.exit_code}: {said[0][:300]}"
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
