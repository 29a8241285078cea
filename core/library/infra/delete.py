"""infra/delete {infra}: all servers of it at all providers, then its networks; also where its file is gone."""

from provisioning_core.operation import Result, Task, new_task, run
from provisioning_core.params import infra_name


def main(task: Task) -> Result:
    task.check({"infra": infra_name})
    infra = task.params["infra"]
    return Result({"infra": infra}, tasks=[new_task("servers", "servers/delete", {"infra": infra})])


if __name__ == "__main__":
    run(main)
