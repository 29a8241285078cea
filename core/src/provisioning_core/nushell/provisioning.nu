# The orchestrator for Nushell: the verbs of the command line, over HTTP, with tables as answers.
#
#     use provisioning.nu *              # `provisioning help nushell` says where this file is
#     server create wuji                 # waits for its end; --detach: answers at once
#     server list wuji | where state != started
#     workflow list --status failed | each { workflow show $in.workflow_id } | get tasks | flatten
#
# Where the orchestrator is, and its token, as for the command line: PROVISIONING_URL, PROVISIONING_TOKEN_FILE,
# PROVISIONING_DATA_DIR, else config.toml, else the defaults. What goes wrong is an error with the orchestrator's words.

const URL_DEFAULT = "http://127.0.0.1:9090"
const ENDED = [succeeded failed cancelled]
const LOOK_EVERY = 200ms
const ASK_FOR = 10sec
const PATIENCE = 30 # times that something is asked again while the orchestrator restarts
const PAGE = 1000

# Create the servers of an infrastructure, or only those named; what exists is left alone. The workflow, with its tasks.
export def "server create" [infra: string, ...servers: string, --detach (-d)]: nothing -> record {
    submit-and-wait servers create $infra (only $servers) $detach
}

# Delete the servers of an infrastructure, or only those named. Asks for the infrastructure's name unless --yes.
export def "server delete" [infra: string, ...servers: string, --yes (-y), --detach (-d)]: nothing -> record {
    confirm $infra $yes
    submit-and-wait servers delete $infra (only $servers) $detach
}

# The servers that exist, of one infrastructure or of all: a table.
export def "server list" [infra?: string]: nothing -> table {
    let only = (if $infra == null { {} } else { { infra: $infra } })
    mut servers: list<any> = []
    mut after: any = null
    loop {
        let params = (if $after == null { $only } else { $only | merge { after: $after } })
        let tasks = [{ id: "root", operation: "servers/list", params: $params }]
        let id = (submit [workflows] { name: "servers/list", tasks: $tasks })
        let task = (succeeded (wait-for $id) | get tasks | first)
        $servers ++= $task.result
        if not $task.partial { break }
        $after = ($task.result | last | get key)
    }
    $servers
}

# Bring an infrastructure up whole: networks, servers, clusters, taskservs, checks. allow: "replace", "delete".
export def "infra create" [infra: string, --allow (-a): list<string> = [], --detach (-d)]: nothing -> record {
    submit-and-wait infra create $infra (if ($allow | is-empty) { {} } else { { allow: $allow } }) $detach
}

# Delete all of it. Asks for its name unless --yes.
export def "infra delete" [infra: string, --yes (-y), --detach (-d)]: nothing -> record {
    confirm $infra $yes
    submit-and-wait infra delete $infra {} $detach
}

# Install the taskservs of an infrastructure, or only those named.
export def "taskserv create" [infra: string, ...taskservs: string, --detach (-d)]: nothing -> record {
    submit-and-wait taskservs create $infra (if ($taskservs | is-empty) { {} } else { { taskservs: $taskservs } }) $detach
}

# Create one cluster of an infrastructure: its servers and what runs on them.
export def "cluster create" [infra: string, cluster: string, --detach (-d)]: nothing -> record {
    submit-and-wait clusters create $infra { cluster: $cluster } $detach
}

# All workflows, newest first. status: queued, running, succeeded, failed, cancelled.
export def "workflow list" [--status (-s): string, --limit (-l): int = 50]: nothing -> table {
    let asked = (if $status == null { {} } else { { status: $status } })
    items [workflows] ($asked | merge { limit: ([$limit $PAGE] | math min) }) $limit | each { told }
}

# One workflow, with its tasks. id: whole, without `wf_`, or `@last` for the newest.
export def "workflow show" [id: string]: nothing -> record { show (named $id) }

# What happens in a workflow, as it happens: a stream of events that ends with it.
export def "workflow watch" [id: string]: nothing -> list<any> {
    let id = (named $id)
    generate {|after|
        let events = (items [workflows $id events] { after: $after, limit: $PAGE } null --patient)
        let next = (if ($events | is-empty) { $after } else { $events | last | get sequence })
        let over = ($events | is-empty) and (call get [workflows $id] --patient).status in $ENDED
        if ($events | is-empty) and not $over { sleep $LOOK_EVERY }
        let out = ($events | each {|it| $it | update at { into datetime } | select sequence at type task data })
        if $over { { out: $out } } else { { out: $out, next: $next } }
    } 0 | flatten
}

# End a workflow: what runs is stopped, nothing more is started. Waits for its end unless --detach.
export def "workflow cancel" [id: string, --detach (-d)]: nothing -> record {
    let id = (named $id)
    call post [workflows $id cancel] --body {} | ignore
    if $detach { show $id } else { wait-for $id }
}

# What a task's last attempt has said.
export def "workflow logs" [id: string, task: string]: nothing -> string {
    call get [workflows (named $id) tasks $task log] --text
}

# Whether the orchestrator is there: url, status, version, pid.
export def "orchestrator status" []: nothing -> record {
    { url: (url) } | merge (call get [health])
}

# --- how it is done ---------------------------------------------------------------------------------------------------

def submit-and-wait [resource: string, action: string, infra: string, params: record, detach: bool]: nothing -> record {
    let id = (submit [workflows $resource $action] { infra: $infra, params: $params })
    if $detach { return (show $id) }
    succeeded (wait-for $id)
}

# The same workflow; what went wrong in it is an error.
def succeeded [ended: record]: nothing -> record {
    if $ended.status != "succeeded" {
        let reasons = ($ended.tasks | where error != null | each {|task| $"  ($task.id): ($task.error.message)" })
        error make { msg: ([$"($ended.name) ($ended.status)" ...$reasons] | str join "\n"), help: $"workflow show ($ended.workflow_id)" }
    }
    $ended
}

# The workflow's id. However often it is sent, one workflow comes of it: each time with the same key.
def submit [path: list<string>, body: record]: nothing -> string {
    (call post $path --body $body --key (random uuid)).workflow_id
}

def wait-for [id: string]: nothing -> record {
    while (call get [workflows $id] --patient).status not-in $ENDED { sleep $LOOK_EVERY }
    show $id
}

def show [id: string]: nothing -> record {
    let tasks = (items [workflows $id tasks] { limit: $PAGE } null)
    let about = [id operation status partial result error key]
    call get [workflows $id] | told | merge { tasks: ($tasks | each {|it| $it | select ...$about | insert attempts ($it.attempts | length) }) }
}

def told []: record -> record {
    let it = $in
    let when = {|text| if $text == null { null } else { $text | into datetime } }
    let times = { created_at: (do $when $it.created_at), started_at: (do $when $it.started_at), ended_at: (do $when $it.ended_at) }
    let took = (if $times.ended_at == null or $times.started_at == null { null } else { $times.ended_at - $times.started_at })
    { workflow_id: $it.workflow_id, name: $it.name, status: $it.status, tasks_total: $it.tasks_total, counts: $it.tasks, took: $took } | merge $times
}

def named [id: string]: nothing -> string {
    if $id != "@last" { return (if ($id | str starts-with "wf_") { $id } else { $"wf_($id)" }) }
    let newest = (items [workflows] { limit: 1 } 1)
    if ($newest | is-empty) { error make { msg: "there is no workflow yet" } }
    $newest.0.workflow_id
}

def only [servers: list<string>]: nothing -> record { if ($servers | is-empty) { {} } else { { servers: $servers } } }

def confirm [infra: string, yes: bool]: nothing -> nothing {
    if $yes { return }
    if not (is-terminal --stdin) { error make { msg: $"nobody can be asked whether ($infra) may be deleted", help: "--yes" } }
    if (input $"Type ($infra) to delete it: ") != $infra { error make { msg: "nothing was deleted" } }
}

# All items of a list, page by page, at most so many (null: all).
def items [path: list<string>, query: record, most: any, --patient]: nothing -> list<any> {
    mut found: list<any> = []
    mut asked: any = $query
    loop {
        let page = (call get $path --query $asked --patient=$patient)
        $found ++= $page.items
        if $page.next_cursor == null or ($most != null and ($found | length) >= $most) { break }
        $asked = ($query | merge { cursor: $page.next_cursor })
    }
    if $most == null { $found } else { $found | first ([$most ($found | length)] | math min) }
}

# One request. A connection that breaks, and an orchestrator that starts just now, are met by asking again; that nobody is
# there at all, only where somebody was a moment ago (patient).
def call [
    method: string, path: list<string>, --body: record, --query: record, --key: string, --text, --patient
]: nothing -> any {
    let asked = (if $query == null { "" } else { $"?($query | url build-query)" })
    let at = $"(url)/($path | each { url encode --all } | str join '/')($asked)"
    let token = (if $path == [health] { {} } else { { Authorization: $"Bearer (token)" } })
    let headers = ($token | merge (if $key == null { {} } else { { Idempotency-Key: $key } }))
    mut broken = $patient
    mut answer: any = null
    for number in 1..$PATIENCE {
        let tried = (try {
            let got = (if $method == "get" {
                http get --full --allow-errors --raw --redirect-mode error --max-time $ASK_FOR --headers $headers $at
            } else {
                http post --full --allow-errors --raw --redirect-mode error --max-time $ASK_FOR --content-type application/json --headers $headers $at ($body | to json --raw)
            })
            { got: $got }
        } catch {|error| { error: $"($error.msg) ($error.debug? | default '')" } })
        if "got" in $tried and $tried.got.status != 503 {
            $answer = $tried.got
            break
        }
        if "error" in $tried and not $broken and ($tried.error | str contains --ignore-case "refused") {
            error make { msg: $"no orchestrator answers at (url)", help: "provisioning orchestrator start" }
        }
        $broken = true
        sleep 500ms
    }
    if $answer == null { error make { msg: $"the orchestrator at (url) does not answer", help: "provisioning orchestrator status" } }
    let said = ($answer.body | into string)
    if $answer.status >= 400 { refuse $answer.status (try { $said | from json } catch { { title: $said } }) }
    if $text { $said } else { $said | from json }
}

def refuse [status: int, problem: record]: nothing -> error {
    let faults = ($problem.errors? | default [] | each {|it| $"\n  ($it.pointer? | default '') ($it.detail? | default '')" } | str join)
    let words = ($problem.detail? | default ($problem.title? | default $"status ($status)"))
    error make { msg: $"($words)($faults)", help: ($problem.hint? | default ($problem.title? | default "")) }
}

def url []: nothing -> string {
    $env.PROVISIONING_URL? | default (configured url) | default $URL_DEFAULT | str trim --right --char '/'
}

def token []: nothing -> string {
    let state = ($env.XDG_STATE_HOME? | default ($nu.home-dir | path join .local state))
    let data = ($env.PROVISIONING_DATA_DIR? | default (configured data_dir) | default ($state | path join provisioning orchestrator))
    let file = ($env.PROVISIONING_TOKEN_FILE? | default (configured token_file) | default ($data | path join token))
    try { open --raw $file | into string | str trim } catch {
        error make { msg: $"no token can be read at ($file)", help: "provisioning orchestrator start, or PROVISIONING_TOKEN_FILE" }
    }
}

def configured [name: string]: nothing -> any {
    let file = ($env.XDG_CONFIG_HOME? | default ($nu.home-dir | path join .config) | path join provisioning config.toml)
    if ($file | path exists) { open $file | get --optional $name } else { null }
}
