"""ansible/playbook {infra, playbook, servers?, variables?, tags?, skip_tags?, check?, diff?, forks?}: a playbook on
our servers.

playbook: a file below the workspace. The inventory is made from the servers that exist: groups are counted names,
`<cluster>`, `<cluster>_<role>` and `label_<name>_<value>`. The results of the tasks that this one needs are in the
variable `provisioning_results`. Result: {hosts, facts, stats, changed}: what set_fact and set_stats said.
"""

from provisioning_core.operation import Result, Task, run
from provisioning_core.tools.ansible import play_as_told


def main(task: Task) -> Result:
    return Result(play_as_told(task))


if __name__ == "__main__":
    run(main)
