"""clusters/create {infra, cluster, networks?}: its servers, then its taskservs and checks. Makes nothing itself."""

from provisioning_core.infra import load_infra
from provisioning_core.operation import Result, Task, run
from provisioning_core.params import flag, infra_name, server_name
from provisioning_core.plan import cluster_tasks
from provisioning_core.render.text import plural


def main(task: Task) -> Result:
    task.check({"infra": infra_name, "cluster": server_name}, {"networks": flag})
    workspace = task.workspace()
    infra = load_infra(workspace, task.params["infra"], manifests=True)
    cluster = infra.cluster(task.params["cluster"])
    tasks = cluster_tasks(workspace, infra, cluster, networks=task.params.get("networks") is not False)
    counts = f"{plural(len(cluster.servers), 'server')}, {plural(len(cluster.taskservs), 'taskserv')}"
    task.progress(f"cluster {cluster.name}: {counts}")
    return Result({"infra": infra.name, "cluster": cluster.name, "servers": list(cluster.servers)}, tasks=tasks)


if __name__ == "__main__":
    run(main)
