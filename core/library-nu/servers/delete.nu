# servers/delete {infra, servers?}: one task per server, without `servers` the networks after them. Deletes nothing.
use ../_provisioning.nu *

def main []: any -> nothing {
    $in | run-operation {|task|
        let infra = $task.params.infra?
        let targets = (load-provider | targets $task.params)
        let servers = ($targets | where kind == "server" | each {|it| task $it.name "servers/delete-one" $infra $it })
        let names = ($servers | get id)
        # Only the first network needs all servers, the others need it: many of both would make a product of edges.
        let networks = ($targets | where kind == "network" | enumerate | each {|it|
            let needs = (if $it.index == 0 { $names } else { [$"network.($targets | where kind == 'network' | first | get name)"] })
            let task = (task $"network.($it.item.name)" "networks/delete" $infra $it.item)
            if ($needs | is-empty) { $task } else { $task | merge { needs: $needs } }
        })
        progress $"($infra): (plural ($servers | length) server), (plural ($networks | length) network)"
        { result: { infra: $infra, servers: $names }, tasks: ($servers | append $networks) }
    }
}

def task [id: string, operation: string, infra: string, of: record]: nothing -> record {
    { id: $id, operation: $operation, params: { infra: $infra, name: $of.name }, key: $of.key }
}
