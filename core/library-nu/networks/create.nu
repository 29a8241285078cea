# networks/create {infra, name, spec, labels?, provider?, expect?}: make the network, or find the one that is there (created: false).
use ../_provisioning.nu *

def main []: any -> nothing {
    $in | run-operation {|task|
        let made = (load-provider | create-network (name-of $task) (wish-of $task))
        progress (words-of-create $made)
        { result: $made, resources: (if $made.created { [{ kind: "network", id: $made.id }] } else { [] }) }
    }
}
