"""taskservs/install-one {infra, name, taskserv, server, version?, params?, expect?}: install it, or find it so."""

from provisioning_core.installing import Told, install_one
from provisioning_core.operation import Result, Task, run


def main(task: Task) -> Result:
    told = Told(task.progress, task.intent, task.workflow_id, task.operation)
    done = install_one(task.workspace(), task.params, key=task.key, told=told)
    made = [{"kind": "taskserv", "id": f"{done['name']}.{done['server']}"}] if done["outcome"] == "installed" else []
    return Result(done, resources=made)


if __name__ == "__main__":
    run(main)
