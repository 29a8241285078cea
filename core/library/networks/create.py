"""networks/create {infra, name, spec, labels?, provider?, expect?}: make the network, or find it (created: false)."""

from provisioning_core.operation import Result, Task, run
from provisioning_core.resources import Origin, create_resource, created_words


def main(task: Task) -> Result:
    made = create_resource(
        task.workspace(),
        "network",
        task.params,
        intent=task.intent,
        key=task.key,
        announce=task.resource_created,
        origin=Origin(task.workflow_id, task.operation),
    )
    task.progress(created_words(made))
    return Result(made, resources=[{"kind": "network", "id": made["id"]}] if made["created"] else [])


if __name__ == "__main__":
    run(main)
