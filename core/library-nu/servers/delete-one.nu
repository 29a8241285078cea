# servers/delete-one {infra, name, provider?, expect?}: delete the server where it is there (deleted: false where it is not).
use ../_provisioning.nu *

def main []: any -> nothing {
    $in | run-operation {|task|
        let gone = (load-provider | delete-vm (name-of $task) ($task.params | merge { key: $task.key }))
        progress $"server ($gone.name) (if $gone.deleted { 'deleted' } else { 'is not there: nothing to do' })"
        { result: $gone }
    }
}
