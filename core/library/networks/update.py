"""networks/update {infra, name, id, spec, labels?, provider?, expect?}: change the fields that differ."""

from provisioning_core.alteration import update_resource
from provisioning_core.operation import Task, run
from provisioning_core.resources import Origin


def main(task: Task) -> object:
    origin = Origin(task.workflow_id, task.operation)
    made = update_resource(task.workspace(), "network", task.params, intent=task.intent, key=task.key, origin=origin)
    fields = ", ".join(made["updated"])
    task.progress(f"network {made['name']}: {f'{fields} changed' if fields else 'is so already, nothing to do'}")
    return made


if __name__ == "__main__":
    run(main)
