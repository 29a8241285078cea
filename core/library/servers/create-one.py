"""servers/create-one {infra, name, spec, labels?}: make the server, or find the one that is there (created: false)."""

from provisioning_core.operation import Result, Task, run
from provisioning_core.resources import create_resource


def main(task: Task) -> Result:
    made = create_resource(
        task.workspace(), "server", task.params, intent=task.intent, key=task.key, announce=task.resource_created
    )
    found = "was stopped: started again" if made.get("restarted") else "is there: nothing to do"
    task.progress(f"server {made['name']} {'created' if made['created'] else found}")
    return Result(made, resources=[{"kind": "server", "id": made["id"]}] if made["created"] else [])


if __name__ == "__main__":
    run(main)
