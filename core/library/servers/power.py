"""servers/power {infra, name, action, provider?}: start, stop or reboot a server.

{infra, servers, action}: several, or those of a group: a task of its own for each that exists."""

from provisioning_core.alteration import POWER_ACTIONS, power_resource
from provisioning_core.clouds import Clouds
from provisioning_core.operation import Result, Task, run
from provisioning_core.params import infra_name, one_of, server_names
from provisioning_core.plan.powering import power_tasks

DONE = {"start": "started", "stop": "stopped", "reboot": "rebooted"}


def main(task: Task) -> object:
    params = task.params
    if "servers" in params:
        task.check({"infra": infra_name, "servers": server_names, "action": one_of(*POWER_ACTIONS)})
        tasks = power_tasks(Clouds(task.workspace()), params["infra"], params["servers"], params["action"])
        return Result({"infra": params["infra"], "servers": [each["params"]["name"] for each in tasks]}, tasks=tasks)
    server = power_resource(task.workspace(), task.params, key=task.key)
    done = DONE[params["action"]]
    task.progress(f"server {server['name']} {done if server['changed'] else f'is {done} already: nothing to do'}")
    return server


if __name__ == "__main__":
    run(main)
