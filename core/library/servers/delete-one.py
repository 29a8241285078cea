"""servers/delete-one {infra, name, provider?, expect?}: delete the server (deleted: false where it is gone)."""

from provisioning_core.operation import Task, run
from provisioning_core.resources import delete_resource


def main(task: Task) -> object:
    gone = delete_resource(task.workspace(), "server", task.params, key=task.key)
    task.progress(f"server {gone['name']} {'deleted' if gone['deleted'] else 'is not there: nothing to do'}")
    return gone


if __name__ == "__main__":
    run(main)
