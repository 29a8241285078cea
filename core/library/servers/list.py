"""servers/list {infra?, after?}: the servers that exist, as a list in the order of their keys, of all providers.

Where they are more than a result can hold, as many as fit (status partial), and the key to ask on `after` is said.
"""

from provisioning_core.operation import Result, Task, run
from provisioning_core.params import infra_name, text
from provisioning_core.render.text import plural
from provisioning_core.resources import list_resources, page_of


def main(task: Task) -> Result:
    task.check({}, {"infra": infra_name, "after": text(500)})
    servers = list_resources(task.workspace(), "server", task.params.get("infra"))
    page = page_of(servers, task.params.get("after"))
    more = f", and {page.rest} more after {page.after}" if page.after else ""
    task.progress(plural(len(page.items), "server") + more)
    return Result(page.items, partial=page.after is not None)


if __name__ == "__main__":
    run(main)
