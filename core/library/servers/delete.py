"""servers/delete {infra, servers?}: one task per server, without `servers` the networks after them. Deletes nothing."""

from provisioning_core.clouds import Clouds
from provisioning_core.operation import Result, Task, run
from provisioning_core.params import infra_name, server_names
from provisioning_core.plan import delete_tasks
from provisioning_core.render.text import plural


def main(task: Task) -> Result:
    task.check({"infra": infra_name}, {"servers": server_names})
    infra = task.params["infra"]
    tasks = delete_tasks(Clouds(task.workspace()), infra, task.params.get("servers"))
    servers = [child["params"]["name"] for child in tasks if child["operation"] == "servers/delete-one"]
    task.progress(f"{infra}: {plural(len(servers), 'server')}, {plural(len(tasks) - len(servers), 'network')}")
    return Result({"infra": infra, "servers": servers}, tasks=tasks)


if __name__ == "__main__":
    run(main)
