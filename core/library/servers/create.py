"""servers/create {infra, servers?, networks?}: one task per network that is needed (networks: false: they are there),
and one per server. Makes nothing itself, and nothing is made where a provider would refuse one of them."""

from provisioning_core.clouds import Clouds
from provisioning_core.infra import load_infra
from provisioning_core.operation import Result, Task, run
from provisioning_core.params import flag, infra_name, server_names
from provisioning_core.plan import create_tasks
from provisioning_core.plan.acceptable import check_acceptable
from provisioning_core.render.text import plural


def main(task: Task) -> Result:
    task.check({"infra": infra_name}, {"servers": server_names, "networks": flag})
    workspace = task.workspace()
    infra = load_infra(workspace, task.params["infra"])
    networks = task.params.get("networks") is not False
    chosen = infra.select(task.params.get("servers"))
    check_acceptable(Clouds(workspace), infra, infra.networks_of(chosen), chosen)
    tasks = create_tasks(workspace, infra, task.params.get("servers"), networks=networks)
    servers = [child["params"]["name"] for child in tasks if child["operation"] == "servers/create-one"]
    task.progress(f"{infra.name}: {plural(len(servers), 'server')}, {plural(len(tasks) - len(servers), 'network')}")
    return Result({"infra": infra.name, "servers": servers}, tasks=tasks)


if __name__ == "__main__":
    run(main)
