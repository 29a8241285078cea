# A practice cloud, one file per resource: the beginning of a provider of your own, in Nushell.
#
# It is run with a verb as its only argument, reads one line of JSON, and prints one JSON object per line: announcements,
# then its answer. What is asked and answered: contract/provider.json. Words to standard error go to the log.
#
# It may be killed at any instant. So: create finds before it makes (by intent, then by key) and makes by one atomic call
# of the cloud; here that is `ln`, which refuses a name that exists. Everything below `the cloud` is what you replace.

const ZONES = [here there]
const PLANS = [[name cpus memory_gb]; ["1cpu-1gb" 1 1] ["2cpu-4gb" 2 4] ["4cpu-8gb" 4 8]]
const CAPABILITIES = {
    kinds: [network server]
    flags: [labels plans power update zones]
    effects: { server: { labels: in_place, plan: restart }, network: { labels: in_place } }
    normalize: true
}
const KNOWN = { server: [plan cpus memory_gb zone network], network: [cidr zone] }

def main [verb: string]: any -> nothing {
    let asked = ($in | into string | from json)
    say (match $verb {
        "create" => (create $asked.wish)
        "find" => { resource: (found $asked.kind $asked.intent $asked.key) }
        "get" => { resource: (by-id $asked.kind $asked.id) }
        "list" => { resources: (all $asked.kind | where { $asked.infra == null or $in.infra == $asked.infra }) }
        "delete" => { deleted: (remove (by-id $asked.kind $asked.id)) }
        "capabilities" => { capabilities: $CAPABILITIES }
        "normalize" => { spec: (normalized $asked.kind $asked.spec) }
        "update" => { resource: (update-resource (must-get $asked.wish.kind $asked.id) $asked.wish) }
        "power" => {
            let state = (if $asked.action == "stop" { "stopped" } else { "started" })
            { resource: (must-get "server" $asked.id | upsert state $state | replace-file) }
        }
        "zones" => { zones: $ZONES }
        "plans" => { plans: $PLANS }
        _ => { refuse unknown_verb $"no verb ($verb)" }
    })
}

def create [wish: record]: nothing -> record {
    let spec = (normalized $wish.kind $wish.spec)
    if ($wish.name | str length) not-in 1..63 or $wish.name =~ '[\x00-\x1f]' {
        refuse bad_name $"($wish.name | to json --raw) is no name: 1 to 63 characters, none of them a control character"
    }
    mut one = (found $wish.kind $wish.intent $wish.key)
    mut created = false
    if $one == null {
        let new = ($wish | select kind key intent infra name | merge {
            id: (random uuid), state: "started", attributes: { labels: $wish.labels, spec: $spec }
        })
        $created = (publish $new)
        # Somebody else was first: theirs it is.
        $one = (if $created { told $new } else { found $wish.kind $wish.intent $wish.key })
    }
    say { announce: $one }
    let restarted = $one.state == "stopped"
    if $restarted { $one = ($one | upsert state "started" | replace-file) }
    { created: $created, restarted: $restarted, resource: $one }
}

# In this cloud's own terms: each field that it knows, filled in. All that is wrong in one message.
def normalized [kind: string, spec: record]: nothing -> record {
    let known = ($KNOWN | get $kind)
    let zone = ($spec.zone? | default ($ZONES | first))
    let enough = ($PLANS | where cpus >= ($spec.cpus? | default 1) and memory_gb >= ($spec.memory_gb? | default 1))
    let plan = ($spec.plan? | default ($enough | get --optional 0.name))
    let faults = [
        ...($spec | columns | where $it not-in $known | each {|name|
            $"no field ($name | to json --raw); there are: ($known | str join ', ')"
        })
        ...(if $zone in $ZONES { [] } else { [$"no zone ($zone | to json --raw); there are: ($ZONES | str join ', ')"] })
        ...(if $kind != "server" or $plan in $PLANS.name { [] } else {
            [$"no plan ($plan | to json --raw); there are: ($PLANS.name | str join ', ')"]
        })
    ]
    if ($faults | is-not-empty) { refuse bad_spec $"($kind): ($faults | str join '; ')" }
    if $kind == "network" { { zone: $zone, cidr: $spec.cidr? } } else { { zone: $zone, plan: $plan, network: $spec.network? } }
}

def update-resource [one: record, wish: record]: nothing -> record {
    let now = $one.attributes.spec
    let wanted = (normalized $wish.kind $wish.spec)
    let changes = ($CAPABILITIES.effects | get $wish.kind | columns)
    let fixed = ($wanted | columns | where {|name| ($wanted | get $name) != ($now | get $name) and $name not-in $changes })
    if ($fixed | is-not-empty) {
        refuse needs_replacement $"($wish.name): ($fixed | str join ', ') can't be changed in what exists"
    }
    $one | upsert attributes.labels $wish.labels | upsert attributes.spec $wanted | replace-file
}

def must-get [kind: string, id: string]: nothing -> record {
    let one = (by-id $kind $id)
    if $one == null { refuse not_found $"there is no ($kind) ($id | to json --raw)" }
    $one
}

# --- the cloud --------------------------------------------------------------------------------------------------------

def cloud []: nothing -> string {
    let directory = ($env.PROVISIONING_WORKSPACE | path join .practice-nu)
    mkdir $directory
    $directory
}

# A name that follows from the key: so of two creates of one key only one can take it.
def file-of [one: record]: nothing -> string { cloud | path join $"($one.kind)-($one.key | hash sha256).json" }

def write-part [one: record]: nothing -> string {
    let part = (cloud | path join $"(random uuid).part")
    $one | to json --raw | save --raw $part
    $part
}

# Whether it is ours that is there now: whole or not at all, and never in the place of another.
def publish [one: record]: nothing -> bool {
    let part = (write-part $one)
    let done = (^ln $part (file-of $one) | complete)
    rm --force $part
    $done.exit_code == 0
}

# Renamed into place. Where somebody has deleted it meanwhile, it stays deleted.
def replace-file []: record -> record {
    let one = $in
    if (file-of $one | path exists) { mv --force (write-part $one) (file-of $one) }
    told $one
}

def remove [one: any]: nothing -> bool {
    if $one == null { return false }
    rm --force (file-of $one)
    true
}

def all [kind: string]: nothing -> list<any> {
    glob (cloud | path join $"($kind)-*.json") | each {|file| try { open --raw $file | from json } } | each { told $in }
}

# With what is told of a server beyond what is kept.
def told [one: record]: nothing -> record {
    if $one.kind != "server" { return $one }
    # There is no machine: as if each had an address of its own.
    let port = 1024 + ($"0x($one.id | str substring 0..5)" | into int) mod 60000
    let ssh = { host: "192.0.2.1", port: $port, user: "root", identity_file: "", known_hosts_file: "" }
    let spec = $one.attributes.spec
    $one | merge deep { attributes: { address: "192.0.2.1", zone: $spec.zone, plan: $spec.plan, ssh: $ssh } }
}

def found [kind: string, intent: any, key: any]: nothing -> any {
    let every = (all $kind)
    let by_intent = ($every | where { $intent != null and $in.intent == $intent })
    $by_intent ++ ($every | where { $key != null and $in.key == $key }) | get --optional 0
}

def by-id [kind: string, id: string]: nothing -> any { all $kind | where { $in.id == $id } | get --optional 0 }

# --- the protocol -----------------------------------------------------------------------------------------------------

def say [answer: record]: nothing -> nothing { print ($answer | to json --raw) }

# End with an error that would only come again.
def refuse [code: string, message: string]: nothing -> nothing {
    say { error: { code: $code, message: $message, retryable: false } }
    exit 0
}
