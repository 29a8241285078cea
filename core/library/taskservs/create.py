"""taskservs/create {infra, taskservs?, servers?}: one task per taskserv and server, in the order of their needs."""

from provisioning_core.infra import load_infra
from provisioning_core.operation import Result, Task, run
from provisioning_core.params import infra_name, server_names
from provisioning_core.plan.servicing import create_tasks
from provisioning_core.render.text import plural


def main(task: Task) -> Result:
    task.check({"infra": infra_name}, {"taskservs": server_names, "servers": server_names})
    workspace = task.workspace()
    infra = load_infra(workspace, task.params["infra"], manifests=True)
    tasks = create_tasks(workspace, infra, task.params.get("taskservs"), task.params.get("servers"))
    task.progress(f"{infra.name}: {plural(len(tasks), 'taskserv')} to look after")
    return Result({"infra": infra.name, "taskservs": [child["id"] for child in tasks]}, tasks=tasks)


if __name__ == "__main__":
    run(main)
