"""clusters/delete {infra, cluster}: the servers of the cluster, and what is on them. Deletes nothing itself."""

from provisioning_core.infra import load_infra
from provisioning_core.operation import Result, Task, new_task, run
from provisioning_core.params import infra_name, server_name


def main(task: Task) -> Result:
    task.check({"infra": infra_name, "cluster": server_name})
    infra = load_infra(task.workspace(), task.params["infra"])
    cluster = infra.cluster(task.params["cluster"])
    params = {"infra": infra.name, "servers": list(cluster.servers)}
    value = {"infra": infra.name, "cluster": cluster.name, "servers": list(cluster.servers)}
    return Result(value, tasks=[new_task("servers", "servers/delete", params)])


if __name__ == "__main__":
    run(main)
