"""infra/create {infra, allow?}: bring everything up: networks, servers, clusters, taskservs, checks.

Makes nothing itself. What exists and is defined otherwise now is changed. What would have to be replaced or deleted is
left and named, unless `allow` has "replace" or "delete".
"""

from provisioning_core.clouds import Clouds
from provisioning_core.operation import Result, Task, run
from provisioning_core.params import infra_name, list_of, one_of
from provisioning_core.plan.bringing import ALLOWED, bring_up
from provisioning_core.plan.words import change_words, summary


def main(task: Task) -> Result:
    task.check({"infra": infra_name}, {"allow": list_of(one_of(*ALLOWED), len(ALLOWED))})
    infra = task.params["infra"]
    plan, tasks, left = bring_up(Clouds(task.workspace()), infra, task.params.get("allow") or ())
    task.progress(f"{infra}: {summary(plan)}")
    for change in left:
        task.progress(f"left as it is, not allowed to {change.action}: {change_words(change)}")
    told = [{"action": each.action, "kind": each.kind, "name": each.name, "id": each.id} for each in left]
    counts = {action: plan.count(action) for action in ("create", "start", "update", "replace", "delete")}
    changed = {action: count for action, count in counts.items() if count}
    return Result({"infra": infra, "changes": changed, "left": told}, tasks=tasks)


if __name__ == "__main__":
    run(main)
