"""infra/apply {plan, infra?}: make exactly this plan true, one task per change. Makes nothing itself.

Each task refuses (`plan_stale`) where the world has gone on since the plan was made.
"""

from provisioning_core.errors import NotFoundError, UsageError
from provisioning_core.infra import load_infra
from provisioning_core.operation import Result, Task, run
from provisioning_core.params import infra_name
from provisioning_core.plan.applying import apply_tasks
from provisioning_core.plan.document import plan_of, unsealed
from provisioning_core.plan.programs import check_programs
from provisioning_core.plan.words import summary
from provisioning_core.yamlfile import shown


def main(task: Task) -> Result:
    task.check({"plan": lambda _: None}, {"infra": infra_name})
    workspace, plan = task.workspace(), plan_of(task.params["plan"])
    if task.params.get("infra") not in (None, plan.infra):
        raise UsageError(f"the plan is for {shown(plan.infra)}, not for {task.params['infra']}", code="bad_params")
    if plan.workspace != workspace.id:
        raise UsageError(
            f"the plan is for the workspace {shown(plan.workspace)}, this is {workspace.id}", code="other_workspace"
        )
    try:
        definition = load_infra(workspace, plan.infra)
    except NotFoundError:
        definition = None
    tasks = apply_tasks(unsealed(plan, definition), workspace.provider)
    check_programs(workspace, plan.operations, tasks)
    task.progress(f"{plan.infra}: {summary(plan)}")
    return Result({"infra": plan.infra, "plan": plan.id, "tasks": len(tasks)}, tasks=tasks)


if __name__ == "__main__":
    run(main)
