# servers/create-one {infra, name, spec, labels?, provider?, expect?}: make the server, or find the one that is there (created: false).
use ../_provisioning.nu *
use create.nu create-server

def main []: any -> nothing {
    $in | run-operation {|task|
        let made = (create-server (name-of $task) (wish-of $task))
        progress (words-of-create $made)
        { result: $made, resources: (if $made.created { [{ kind: "server", id: $made.id }] } else { [] }) }
    }
}
