# servers/delete {infra, servers?, unlabelled?}: one task per server, without `servers` the networks after them. Deletes nothing.
use ../_provisioning.nu *

def main []: any -> nothing {
    $in | run-operation {|task|
        let tasks = (load-provider | tasks-of-delete $task.params)
        let servers = ($tasks | where operation == "servers/delete-one")
        let networks = ($tasks | length) - ($servers | length)
        let infra = $task.params.infra
        progress $"($infra): (plural ($servers | length) server), (plural $networks network)"
        { result: { infra: $infra, servers: ($servers | get params.name) }, tasks: $tasks }
    }
}
