"""Lines of shell that look at and change Debian packages on a server; many may run at once, and any be killed.

`again` repeats only what met somebody else's lock. One lock file of ours puts taskservs on one server one after the
other; apt's own locks are waited for as well, for others (unattended upgrades) know nothing of ours. `flock -o` keeps
the lock out of the hands of the services that a package starts, which would hold it for life.
"""

from __future__ import annotations

import fnmatch
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

LOCK = "/run/lock/provisioning-apt"
LOCK_S = 900
FRESH_MIN = 24 * 60
_OPTIONS = "-o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 -o Dpkg::Use-Pty=0"
_KEEP = "-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold"
_PRELUDE = """set -e
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
again() {
  n=0
  until "$@" >/run/provisioning/apt.last 2>&1; do
    n=$((n + 1)); cat /run/provisioning/apt.last
    grep -q 'lock' /run/provisioning/apt.last && [ "$n" -lt 300 ] || return 1
    sleep 2
  done
  cat /run/provisioning/apt.last
}
if [ -n "$(dpkg --audit)" ] || [ -n "$(ls /var/lib/dpkg/updates)" ]; then
  again dpkg --configure -a --force-confdef --force-confold
fi
"""


@dataclass(frozen=True, slots=True)
class State:
    """installed: with their versions. known: removed ones that left their configuration, too. broken: interrupted."""

    installed: dict[str, str]
    known: frozenset[str]
    broken: bool

    def fits(self, name: str, version: str | None) -> bool:
        there = self.installed.get(name)
        return there is not None and (version is None or fnmatch.fnmatchcase(there, version))


def state_script(names: Sequence[str]) -> str:
    quoted = " ".join(map(shlex.quote, names))
    form = "${Package} ${db:Status-Abbrev} ${Version}\\n"
    return (
        f"dpkg-query -W -f '{form}' {quoted} 2>/dev/null; "
        '[ -n "$(dpkg --audit 2>/dev/null)" ] || [ -n "$(ls /var/lib/dpkg/updates 2>/dev/null)" ] '
        "&& echo '!broken'; exit 0"
    )


def decode_state(lines: Sequence[str]) -> State:
    installed, known = {}, set()
    for words in (line.split() for line in lines):
        if len(words) == 3 and words[1] == "ii":
            installed[words[0]] = words[2]
        if len(words) >= 2 and words[1][1:2] in ("i", "c", "U", "F", "H", "W", "t"):
            known.add(words[0])
    return State(installed, frozenset(known), "!broken" in lines)


def install_script(wanted: Sequence[str], *, proxy: str | None) -> str:
    """wanted: empty: only what was interrupted is set right. proxy: a URL on the server."""
    via = f"-o Acquire::http::Proxy={proxy} -o Acquire::https::Proxy={proxy}" if proxy else ""
    get = f"apt-get -q -y {_OPTIONS} {via}"
    install = f"{get} {_KEEP} --no-install-recommends install {' '.join(map(shlex.quote, wanted))}"
    script = _PRELUDE + (
        f"""update() {{ {get} update && touch /var/lib/apt/lists/.provisioning; }}
lists="-name *_Packages* -o -name .provisioning"
fresh=$(set -f; find /var/lib/apt/lists -maxdepth 1 \\( $lists \\) -mmin -{FRESH_MIN} | head -n 1)
if [ -z "$fresh" ]; then again update; fi
if ! {install}; then again update; {install}; fi
"""
        if wanted
        else ""
    )
    return _locked(script)


def remove_script(names: Sequence[str], *, purge: bool) -> str:
    verb = "purge" if purge else "remove"
    line = f"apt-get -q -y {_OPTIONS} {verb} {' '.join(map(shlex.quote, names))}\n" if names else ""
    clear = f"apt-get -q -y {_OPTIONS} autoremove\n" if names and purge else ""
    return _locked(_PRELUDE + line + clear)


def candidate_script(names: Sequence[str]) -> str:
    """Says `NAME INSTALLED CANDIDATE` for each, `(none)` where there is none."""
    quoted = " ".join(map(shlex.quote, names))
    return (
        f'for name in {quoted}; do LC_ALL=C apt-cache policy "$name" | '
        'awk -v name="$name" \'/^  Installed:/ {i=$2} /^  Candidate:/ {c=$2} '
        'END {print name, i ? i : "(none)", c ? c : "(none)"}\'; done'
    )


def unreachable_script() -> str:
    """Says the hosts of package sources that cannot be reached; nothing where apt has a proxy of its own already."""
    return """
apt-config dump 2>/dev/null | grep -qi '^Acquire::https\\?::Proxy "' && exit 0
apt-get indextargets --format '$(SITE)' 2>/dev/null | sort -u | while read -r site; do
  case "$site" in http://*) port=80 ;; https://*) port=443 ;; *) continue ;; esac
  host=${site#*://}; host=${host%%/*}; host=${host##*@}
  case "$host" in *:*) port=${host##*:}; host=${host%:*} ;; esac
  getent ahosts "$host" >/dev/null 2>&1 || { echo "$host"; continue; }
  command -v bash >/dev/null && command -v timeout >/dev/null || continue
  timeout 5 bash -c '</dev/tcp/$0/$1' "$host" "$port" 2>/dev/null || echo "$host"
done
exit 0"""


def _locked(script: str) -> str:
    line = f"mkdir -p /run/lock; exec flock -w {LOCK_S} -o {LOCK} sh -c {shlex.quote(script)}"
    return unattached(line, "apt")


def unattached(script: str, name: str) -> str:
    """The script with its output in a file, whose end is said where it fails.

    A daemon that the script starts may keep our pipe open, and then the connection would wait for it for ever.
    """
    log = f"/run/provisioning/{name}.log"
    return (
        f"mkdir -p /run/provisioning; sh -c {shlex.quote(script)} </dev/null >{log} 2>&1 "
        f"|| {{ code=$?; tail -n 20 {log} >&2; exit $code; }}"
    )
