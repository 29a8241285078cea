"""checks/await {infra, name, targets, sources?, tcp | http | command, deadline_s?, interval_s?}: until all answer.

Without sources each target is asked from itself; with sources each source asks each target. Fails at the deadline, and
says who could not reach whom, and the last answer.
"""

from provisioning_core.checks.waiting import await_check
from provisioning_core.operation import Task, run


def main(task: Task) -> object:
    return await_check(task.workspace(), task.params, task.progress)


if __name__ == "__main__":
    run(main)
