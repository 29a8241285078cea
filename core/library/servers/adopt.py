"""servers/adopt {infra, name, id, spec, labels?, provider?}: make a server that exists ours, under this name."""

from provisioning_core.alteration import adopt_resource
from provisioning_core.operation import Task, run


def main(task: Task) -> object:
    server = adopt_resource(task.workspace(), "server", task.params, intent=task.intent, key=task.key)
    task.progress(f"server {server['name']} is {server['id']} from now on")
    return server


if __name__ == "__main__":
    run(main)
