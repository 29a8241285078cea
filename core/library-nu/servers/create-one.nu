# servers/create-one {infra, name, spec, labels?, provider?, expect?}: make the server, or find the one that is there (created: false).
use ../_provisioning.nu *
use create.nu create-server

def main []: any -> nothing {
    $in | run-operation {|task|
        let made = (create-server (name-of $task) (wish-of $task))
        let found = (if $made.restarted? == true { "was stopped: started again" } else { "is there: nothing to do" })
        progress $"server ($made.name) (if $made.created { 'created' } else { $found })"
        { result: $made, resources: (if $made.created { [{ kind: "server", id: $made.id }] } else { [] }) }
    }
}
