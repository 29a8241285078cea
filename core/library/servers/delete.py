"""servers/delete {infra, servers?, unlabelled?}: one task per server, without `servers` the networks after them.

Deletes nothing itself. unlabelled: the ids of what has lost our labels and is to go too; else that is refused.
"""

from provisioning_core.clouds import Clouds
from provisioning_core.operation import Result, Task, run
from provisioning_core.params import infra_name, list_of, server_names, text
from provisioning_core.plan import delete_tasks
from provisioning_core.render.text import plural

IDS_MAX = 10_000


def main(task: Task) -> Result:
    task.check({"infra": infra_name}, {"servers": server_names, "unlabelled": list_of(text(500), IDS_MAX)})
    infra = task.params["infra"]
    unlabelled = task.params.get("unlabelled") or ()
    tasks = delete_tasks(Clouds(task.workspace()), infra, task.params.get("servers"), unlabelled)
    servers = [child["params"]["name"] for child in tasks if child["operation"] == "servers/delete-one"]
    task.progress(f"{infra}: {plural(len(servers), 'server')}, {plural(len(tasks) - len(servers), 'network')}")
    return Result({"infra": infra, "servers": servers}, tasks=tasks)


if __name__ == "__main__":
    run(main)
