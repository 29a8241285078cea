"""command/run: any command, with inputs and captured results.

argv: [program, argument…], or script: text for `sh`, with arguments: [text…] as its $1, $2 …
environment: {NAME: text}   input: any JSON, on standard input (or stdin: text, as it is)
directory: below the workspace (default: the attempt's own, empty one)   infra, server: on that server instead of here
capture: text (default) | lines | json | none   ok_codes: [0]   retry_codes: codes that are worth another attempt

Result: {exit_code, output, cut}. The file at $COMMAND_INPUT holds {"input", "results"}: the results of the tasks that
this one needs (not on a server: there the input is on standard input alone).
"""

from provisioning_core.operation import Result, Task, run
from provisioning_core.tools.running import run_as_told


def main(task: Task) -> Result:
    return Result(run_as_told(task))


if __name__ == "__main__":
    run(main)
