# Sourced by the commands of bin/. Given: $root, the clone. Gives: ready(), and the demo's daemon and workspace in the
# environment, where the caller has not named others.

# ready NAME: is .state/NAME there, complete, made at this path and newer than what it is made from?
# Shell builtins only. A "no" costs a look by bin/setup, which compares digests instead of times.
ready() {
    made_at=
    [ -x "$root/.state/$1/bin/python" ] && read -r made_at 2>/dev/null <"$root/.state/$1/stamp" || return 1
    [ "$made_at" = "$root" ] || return 1
    for source in "$root/requirements/$1.txt" "$root/requirements/build.txt" \
        "$root/core/pyproject.toml" "$root/orchestrator/pyproject.toml"; do
        [ ! "$source" -nt "$root/.state/$1/stamp" ] || return 1
    done
}

# Where one works in a workspace of one's own, neither the demo's workspace nor its daemon is meant.
own=
if [ -z "${PROVISIONING_WORKSPACE:-}" ]; then
    own=$(pwd -P)
    while [ -n "$own" ] && [ "$own" != "$root" ] && [ ! -f "$own/provisioning.yaml" ]; do own=${own%/*}; done
    case $own in "$root" | "$root/.state/demo/workspace" | "$root"/examples/*) own= ;; esac
    if [ -z "$own" ]; then
        export PROVISIONING_WORKSPACE="$root/.state/demo/workspace"
        [ -d "$PROVISIONING_WORKSPACE" ] || "$root/bin/setup" workspace
    fi
fi
# These three belong together: the demo's token is not sent to a daemon that somebody names.
if [ -z "$own" ] && [ -z "${PROVISIONING_URL:-}" ]; then
    port=9090
    [ ! -r "$root/.state/demo/port" ] || read -r port <"$root/.state/demo/port"
    export PROVISIONING_URL="http://127.0.0.1:$port"
    export PROVISIONING_DATA_DIR="${PROVISIONING_DATA_DIR:-$root/.state/demo/orchestrator}"
    export PROVISIONING_TOKEN_FILE="${PROVISIONING_TOKEN_FILE:-$PROVISIONING_DATA_DIR/token}"
fi
# The CLI starts this program as the daemon; a Nushell that bin/setup brought comes before another.
export PROVISIONING_ORCHESTRATOR="${PROVISIONING_ORCHESTRATOR:-$root/bin/provisioning-orchestrator}"
[ ! -x "$root/.state/nu/bin/nu" ] || export PATH="$root/.state/nu/bin:$PATH"
