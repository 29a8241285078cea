# What every operation of this library stands on: the task it is told, its result, and the providers.
#
# Data comes in as JSON on standard input and goes to the core as JSON on standard input: never through argv, never
# through `nu -c`, which Nushell would parse again (a name with a newline once ran a command).
#
# The providers are the core's, reached by its machine-readable command `provisioning vm VERB`. Installed into a virtual
# environment, this library uses the `provisioning` of that environment; else the one on PATH, which is the
# orchestrator's (`provisioning orchestrator start` sees to it).

const HERE = path self
const ANSWER = ".provisioning-vm-answer.json"
const RESERVED = [kind intent key id workflow_id operation] # of a request to the core: no parameter of an operation has such a name

# Run an operation: give it its task, write down its result. What goes wrong becomes the error document, and exit code 1.
export def run-operation [operation: closure]: any -> nothing {
    let given = $in
    try {
        let task = ($given | read-task)
        do $operation $task | write-result
    } catch {|error|
        print --stderr ($error.rendered? | default $error.msg)
        end-with { code: "internal", message: $error.msg, retryable: false }
    }
}

# A provider: a record for the commands below to act on. Without a name it is each resource's own, or the workspace's.
export def load-provider [name?: string]: nothing -> record {
    { provider: $name, vm: (core-command) }
}

# Make the server, or find the one that is there. wish: infra, spec, labels, intent, key.
export def create-vm [name: string, wish: record]: record -> record {
    $in | ask create ($wish | merge { kind: "server", name: $name })
}

export def delete-vm [name: string, target: record]: record -> record {
    $in | ask delete ($target | merge { kind: "server", name: $name })
}

# The server, or null. which: id, or infra and name, or key, or intent.
export def find-vm [which: record]: record -> any {
    $in | ask find ($which | merge { kind: "server" })
}

export def list-vms [filter: record]: record -> list<any> {
    $in | ask list ($filter | merge { kind: "server" })
}

export def create-network [name: string, wish: record]: record -> record {
    $in | ask create ($wish | merge { kind: "network", name: $name })
}

export def delete-network [name: string, target: record]: record -> record {
    $in | ask delete ($target | merge { kind: "network", name: $name })
}

# As many servers as a result can hold: items, how many are left (rest), and the key to go on from (after).
export def page-vms [filter: record]: record -> record {
    $in | ask page ($filter | merge { kind: "server" })
}

# What the workspace's file says of an infrastructure: networks and servers, each with name, key, spec, labels, and, where
# they are said, provider and policy.
export def definition [wanted: record]: record -> record { $in | ask definition $wanted }

# The tasks that make these servers, and, unless `networks` is false, the networks that they need.
export def tasks-of-create [wanted: record]: record -> list<any> { $in | ask tasks $wanted }

# The tasks that delete all that is defined or exists at any provider: the servers first.
export def tasks-of-delete [wanted: record]: record -> list<any> { $in | ask deletions $wanted }

# The `name` of a task's parameters: text, whatever the text. The core has the last word on it.
export def name-of [task: record]: nothing -> string {
    let name = $task.params.name?
    if ($name | describe) != "string" {
        let message = (if $name == null { "name is missing" } else { $"name: ($name | to json --raw) is no text" })
        fail { code: "bad_params", message: $message, retryable: false }
    }
    $name
}

# The wish that a task is: its parameters, with its intent and key.
export def wish-of [task: record]: nothing -> record {
    let told = { intent: $task.intent, key: $task.key }
    $task.params | merge $told | merge { workflow_id: $task.workflow_id, operation: $task.operation }
}

# Tell people how it goes: a line in the log, an event in the workflow's feed.
export def progress [message: string]: nothing -> nothing {
    print $message
    if $env.PROVISIONING_EVENTS? != null {
        $"({ type: "progress", message: $message } | to json --raw)\n" | save --append --raw $env.PROVISIONING_EVENTS
    }
}

# `1 server`, `2 servers`.
export def plural [count: int, noun: string]: nothing -> string {
    $"($count) ($noun)(if $count == 1 { '' } else { 's' })"
}

# Say what is wrong in the log, and end at once with this error document: {code, message, retryable, retry_after_s?}.
export def fail [error: record]: nothing -> nothing {
    print --stderr $"error: ($error.message)"
    end-with $error
}

def end-with [error: record]: nothing -> nothing {
    # At a prompt there is no operation to end, and `exit` would end the person's shell.
    if $nu.is-interactive { error make --unspanned { msg: $error.message } }
    write-document { status: "error", error: $error }
    exit 1
}

def read-task []: any -> record {
    let given = $in
    # `nu --stdin FILE` gives the line as input; without that flag it waits in /dev/stdin.
    let line = (if $given == null { open --raw /dev/stdin } else { $given })
    let task = (try { $line | into string | from json } catch { null })
    if ($task | describe --detailed).type != "record" {
        fail { code: "bad_input", message: "standard input holds no JSON object", retryable: false }
    }
    let told = ({ key: null, intent: "", workflow_id: "", operation: "", params: {}, results: {} } | merge $task)
    if ($told.params | describe --detailed).type != "record" {
        fail { code: "bad_params", message: "`params` is not an object", retryable: false }
    }
    let strange = ($told.params | columns | where $it in $RESERVED)
    if ($strange | is-not-empty) {
        let message = $"unknown parameter ($strange | each { to nuon } | str join ', ')"
        fail { code: "bad_params", message: $message, retryable: false }
    }
    $told
}

def write-result []: any -> nothing {
    let document = $in
    write-document ({ status: "success" } | merge $document)
}

def write-document [document: record]: nothing -> nothing {
    let text = ($document | to json --raw)
    if $env.PROVISIONING_RESULT? == null {
        print $text
    } else {
        # Renamed into place: whoever reads it finds all of it or nothing.
        let part = $"($env.PROVISIONING_RESULT).part"
        $text | save --raw --force $part
        mv --force $part $env.PROVISIONING_RESULT
    }
}

# Ask the core. Its words on standard error go to the log as they come; its answer goes through a file, so that they can.
def ask [verb: string, request: record]: record -> any {
    let provider = $in
    let vm = $provider.vm
    # What a task or a definition says of a resource wins; reading a definition has no provider.
    let nobody = $provider.provider == null or $verb in [definition tasks deletions page]
    let named = (if $nobody { {} } else { { provider: $provider.provider } })
    try {
        $named | merge $request | to json --raw | ^$vm vm $verb out> $ANSWER
    } catch { null }
    let text = (try { open --raw $ANSWER | into string } catch { "" })
    rm --force $ANSWER
    # An empty text would be read as null: the core was killed before it could answer.
    let answer = (try { if ($text | str trim | is-empty) { error make { msg: "empty" } } else { $text | from json } } catch {
        fail { code: "no_answer", message: $"`provisioning vm ($verb)` ended without an answer", retryable: true }
    })
    if ($answer | describe --detailed).type == "record" and "error" in $answer {
        end-with $answer.error # the core has said it in the log
    }
    $answer
}

def core-command []: nothing -> string {
    # <environment>/lib/python3.N/site-packages/provisioning_core/library-nu/ is where a wheel puts this file.
    let site = ($HERE | path dirname --num-levels 3)
    let own = ($site | path dirname --num-levels 3 | path join bin provisioning)
    if ($site | path basename) == "site-packages" and ($own | path exists) { return $own }
    if (which provisioning | is-empty) {
        let message = "the command `provisioning` is not on PATH"
        let hint = "start the orchestrator by `provisioning orchestrator start`, or with its directory on PATH"
        fail { code: "no_core_command", message: $"($message) \(($hint))", retryable: false }
    }
    "provisioning"
}

# What came of a create, its answer given: `server web-1 created`.
export def words-of-create [made: record]: nothing -> string {
    let done = (
        if $made.created { "created" }
        else if $made.restarted? == true { "was stopped: started again" }
        else if $made.finished? == true { "was made by an earlier request, which was not seen to end: complete now" }
        else { "is there: nothing to do" }
    )
    $"($made.kind) ($made.name) ($done)"
}
