"""servers/update-one {infra, name, id, spec, labels?, provider?, expect?}: change the fields that differ.

The result is the server, and `updated`: the fields that were changed, none where it was so already.
"""

from provisioning_core.alteration import update_resource
from provisioning_core.operation import Task, run
from provisioning_core.resources import Origin


def main(task: Task) -> object:
    origin = Origin(task.workflow_id, task.operation)
    made = update_resource(task.workspace(), "server", task.params, intent=task.intent, key=task.key, origin=origin)
    fields = ", ".join(made["updated"])
    started = "started again" if made.get("restarted") else ""
    done = ", ".join(part for part in (f"{fields} changed" if fields else "", started) if part)
    task.progress(f"server {made['name']}: {done or 'is so already, nothing to do'}")
    return made


if __name__ == "__main__":
    run(main)
