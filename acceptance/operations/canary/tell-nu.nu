# Tells its secrets in every way that Nushell has.
def main [] {
    let task = ($in | from json)
    let secrets = (open --raw $env.PROVISIONING_SECRETS | from json | values)
    for value in $secrets {
        print $value
        print --stderr ($value | encode base64) ($value | encode hex) ($value | url encode --all) ($value | url encode)
        print ($value | to json) ($value | to nuon) ({ a: $value } | to json --raw)
        $"({ type: "progress", message: $value } | to json --raw)\n" | save --append --raw $env.PROVISIONING_EVENTS
    }
    let part = $"($env.PROVISIONING_RESULT).part"
    { result: $secrets } | to json --raw | save --raw --force $part
    mv --force $part $env.PROVISIONING_RESULT
    if $task.params.how == "raise" { error make { msg: $"bad: ($secrets | str join ' ')" } }
}
