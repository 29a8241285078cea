"""servers/list {infra?}: the servers that exist, as a list."""

from provisioning_core.operation import Task, run
from provisioning_core.params import infra_name
from provisioning_core.render.text import plural
from provisioning_core.resources import list_resources


def main(task: Task) -> object:
    task.check({}, {"infra": infra_name})
    servers = list_resources(task.workspace(), "server", task.params.get("infra"))
    task.progress(plural(len(servers), "server"))
    return servers


if __name__ == "__main__":
    run(main)
