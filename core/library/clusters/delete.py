"""clusters/delete {infra, cluster, unlabelled?}: the servers of the cluster, and what is on them, as tasks."""

from provisioning_core.infra import load_infra
from provisioning_core.operation import Result, Task, new_task, run
from provisioning_core.params import infra_name, server_name


def main(task: Task) -> Result:
    task.check({"infra": infra_name, "cluster": server_name}, {"unlabelled": lambda _: None})
    infra = load_infra(task.workspace(), task.params["infra"])
    cluster = infra.cluster(task.params["cluster"])
    params = {"infra": infra.name, "servers": list(cluster.servers)}
    params |= {name: task.params[name] for name in ("unlabelled",) if name in task.params}
    value = {"infra": infra.name, "cluster": cluster.name, "servers": list(cluster.servers)}
    return Result(value, tasks=[new_task("servers", "servers/delete", params)])


if __name__ == "__main__":
    run(main)
