"""taskservs/remove-one {infra, name, taskserv, server, version?, params?, purge?, expect?}: undo it where it is."""

from provisioning_core.installing import Told, remove_one
from provisioning_core.operation import Task, run


def main(task: Task) -> object:
    told = Told(task.progress, task.intent, task.workflow_id, task.operation)
    return remove_one(task.workspace(), task.params, key=task.key, told=told)


if __name__ == "__main__":
    run(main)
