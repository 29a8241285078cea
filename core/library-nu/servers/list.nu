# servers/list {infra?, after?}: the servers that exist, as a list; where they are too many for one result, a part of them.
use ../_provisioning.nu *

def main []: any -> nothing {
    $in | run-operation {|task|
        let page = (load-provider | page-vms $task.params)
        let more = (if $page.after == null { "" } else { $", and ($page.rest) more after ($page.after)" })
        progress $"(plural ($page.items | length) server)($more)"
        { status: (if $page.after == null { "success" } else { "partial" }), result: $page.items }
    }
}
