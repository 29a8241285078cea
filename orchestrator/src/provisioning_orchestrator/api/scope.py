"""What the token of a task opens: to submit child workflows, to look at them and to end them; nothing else."""

from __future__ import annotations

from ..ports import AttemptId, Submitter
from .backend import Backend
from .problems import Refused
from .routes import Route


async def admitted(attempt: AttemptId, route: Route, parts: dict[str, str], backend: Backend) -> Submitter:
    """Who asks. Raises Refused: the attempt does not run any more, or the route is not for it."""
    if route.scope == "nothing":
        raise Refused("out_of_scope", f"the token of a task does not open {route.method} {route.path}")
    services = await backend.ready()
    submitter = services.engine.submitter(attempt)
    if submitter is None:
        raise Refused("unauthorized", f"this is the token of attempt {attempt}, which does not run or was cancelled")
    if route.scope == "children":
        id = parts.get("workflow") or parts["any_workflow"]
        parent = services.records.workflow(id).row.parent
        if parent != submitter.parent:
            own = f"{submitter.parent.task} of {submitter.parent.workflow}"
            raise Refused("out_of_scope", f"workflow {id} was not submitted by the task {own}, whose token this is")
    return submitter
