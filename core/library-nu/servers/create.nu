# servers/create {infra, servers?}: one task per network that is needed, and one per server. Makes nothing itself.
use ../_provisioning.nu *

# Make one server, or find the one that is there. wish: infra, spec, labels, intent, key.
export def create-server [name: string, wish: record]: nothing -> record {
    let provider = (load-provider)
    $provider | create-vm $name $wish
}

def main []: any -> nothing {
    $in | run-operation {|task|
        let infra = (load-provider | definition $task.params)
        let networks = ($infra.networks | each {|network|
            task $"network.($network.name)" "networks/create" $infra.infra $network
        })
        let servers = ($infra.servers | each {|server|
            let task = (task $server.name "servers/create-one" $infra.infra $server)
            if "network" in $server.spec { $task | merge { needs: [$"network.($server.spec.network)"] } } else { $task }
        })
        progress $"($infra.infra): (plural ($servers | length) server), (plural ($networks | length) network)"
        { result: { infra: $infra.infra, servers: ($infra.servers | get name) }, tasks: ($networks | append $servers) }
    }
}

def task [id: string, operation: string, infra: string, of: record]: nothing -> record {
    let params = { infra: $infra, name: $of.name, spec: $of.spec, labels: $of.labels }
    { id: $id, operation: $operation, params: $params, key: $of.key }
}
