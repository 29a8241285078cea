"""children/raise-one {child: operation, infra}: submits it as a child, waits for it, and says which child it was."""

import os
from pathlib import Path

from provisioning_core.children import await_child, submit_child
from provisioning_core.operation import Task, run


def main(task: Task) -> object:
    child = submit_child(task.params["child"], "wuji", task.params.get("given"))
    task.progress(f"child {child}")
    with Path(os.environ["PROVISIONING_WORKSPACE"], "children").open("a") as ledger:
        print(task.attempt, child, file=ledger, flush=True)
    return {"child": child, "status": await_child(child)["status"]}


if __name__ == "__main__":
    run(main)
