"""opentofu/apply {directory, variables?, destroy?, plan_only?, program?}: plan, apply that plan, outputs as the result.

directory: below the workspace; its state is where its own configuration says. program: tofu (default) or terraform.
Result: {changes: [{address, actions}], applied, outputs, sensitive: names of the outputs that are left out}.
"""

from provisioning_core.operation import Result, Task, run
from provisioning_core.tools.opentofu import apply_as_told


def main(task: Task) -> Result:
    return Result(apply_as_told(task))


if __name__ == "__main__":
    run(main)
