"""servers/power {infra, name, action, provider?}: start, stop or reboot a server."""

from provisioning_core.alteration import power_resource
from provisioning_core.operation import Task, run

DONE = {"start": "started", "stop": "stopped", "reboot": "rebooted"}


def main(task: Task) -> object:
    server = power_resource(task.workspace(), task.params, key=task.key)
    done = DONE[task.params["action"]]
    task.progress(f"server {server['name']} {done if server['changed'] else f'is {done} already: nothing to do'}")
    return server


if __name__ == "__main__":
    run(main)
