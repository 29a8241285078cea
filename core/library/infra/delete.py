"""infra/delete {infra, unlabelled?}: all its servers at all providers, then its networks; also without its file."""

from provisioning_core.operation import Result, Task, new_task, run
from provisioning_core.params import infra_name


def main(task: Task) -> Result:
    task.check({"infra": infra_name}, {"unlabelled": lambda _: None})
    return Result({"infra": task.params["infra"]}, tasks=[new_task("servers", "servers/delete", dict(task.params))])


if __name__ == "__main__":
    run(main)
