"""taskservs/delete {infra, taskservs?, servers?, purge?}: one task per taskserv and server, dependants first."""

from provisioning_core.operation import Result, Task, run
from provisioning_core.params import infra_name, server_names
from provisioning_core.plan.servicing import delete_tasks
from provisioning_core.render.text import plural


def main(task: Task) -> Result:
    flag = lambda value: None if isinstance(value, bool) else "true or false is expected"  # noqa: E731
    task.check({"infra": infra_name}, {"taskservs": server_names, "servers": server_names, "purge": flag})
    params = task.params
    tasks = delete_tasks(
        task.workspace(),
        params["infra"],
        params.get("taskservs"),
        params.get("servers"),
        purge=bool(params.get("purge")),
    )
    task.progress(f"{params['infra']}: {plural(len(tasks), 'taskserv')} to remove")
    return Result({"infra": params["infra"], "taskservs": [child["id"] for child in tasks]}, tasks=tasks)


if __name__ == "__main__":
    run(main)
