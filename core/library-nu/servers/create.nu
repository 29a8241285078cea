# servers/create {infra, servers?, networks?}: one task per network that is needed (networks: false: they are there), and
# one per server. Makes nothing itself.
use ../_provisioning.nu *

# Make one server, or find the one that is there. wish: infra, spec, labels, intent, key.
export def create-server [name: string, wish: record]: nothing -> record {
    let provider = (load-provider)
    $provider | create-vm $name $wish
}

def main []: any -> nothing {
    $in | run-operation {|task|
        let tasks = (load-provider | tasks-of-create $task.params)
        let servers = ($tasks | where operation == "servers/create-one" | get id)
        let networks = ($tasks | length) - ($servers | length)
        let infra = $task.params.infra
        progress $"($infra): (plural ($servers | length) server), (plural $networks network)"
        { result: { infra: $infra, servers: $servers }, tasks: $tasks }
    }
}
