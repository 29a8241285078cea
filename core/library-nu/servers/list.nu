# servers/list {infra?}: the servers that exist, as a list.
use ../_provisioning.nu *

def main []: any -> nothing {
    $in | run-operation {|task|
        let servers = (load-provider | list-vms $task.params)
        progress (plural ($servers | length) server)
        { result: $servers }
    }
}
