"""One look at a server, in one command: which taskservs are on it, and what it offers to new ones.

A server that shares the file system of the host that we run on (a local machine of level `process`) offers nothing:
what is installed there would be installed on the host. Its markers lie in the home of who logs in, as they do where
nobody is root.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from ..errors import ConflictError, ProviderError
from .manifest import OFFERS, Manifest, Offer
from .marker import DIRECTORY, Marker, decode_marker
from .remote import Remote, as_root

_LOOK = """
directory="$HOME/.provisioning/taskservs"
[ {shared} = no ] && [ "$(id -u)" = 0 ] && directory={directory}
echo "directory $directory"; echo "sudo ${{SUDO_UID:-none}}"
for file in "$directory"/*.json; do
  [ -f "$file" ] && {{ printf 'marker '; head -n 1 "$file"; }}
done
[ {shared} = no ] && [ "$(id -u)" = 0 ] || exit 0
echo 'offers root'
many=0; while read -r _ _ count; do many=$((many + count)); done </proc/self/uid_map
[ "$many" -gt 1 ] && echo 'offers users'
[ "$many" -gt 1 ] && command -v apt-get >/dev/null && [ -w /var/lib/dpkg ] && [ -w /usr/bin ] && echo 'offers apt'
[ -d /run/systemd/system ] && echo 'offers systemd'
# With fewer ids than all it is somebody's user namespace, whose root is nobody to the kernel.
[ "$many" -ge 4294967295 ] && [ -w /proc/sys/net/ipv4/ip_forward ] && [ -w /sys/fs/cgroup ] && echo 'offers kernel'
unshare --mount --pid --uts --fork sh -c 'mount -t proc proc /proc' 2>/dev/null && echo 'offers containers'
exit 0
"""


@dataclass(frozen=True, slots=True)
class Look:
    """directory: of the markers. sudo: root is had that way. markers: by the wish's name."""

    directory: str
    sudo: bool
    offers: frozenset[Offer] = frozenset()
    markers: Mapping[str, Marker] = field(default_factory=dict)


async def look(remote: Remote, attributes: Mapping[str, Any]) -> Look:
    """attributes: the server's. Raises ProviderError."""
    shared = "file system" in (attributes.get("shared_with_host") or ())
    script = _LOOK.format(shared="yes" if shared else "no", directory=DIRECTORY)
    done = await remote.run(script if shared else as_root(script))
    if done.code != 0:
        raise ProviderError(f"cannot look at the server: {done.last_words}", code="look_failed")
    return _decoded(done.out)


def check_supported(manifest: Manifest, server: str, seen: Look, attributes: Mapping[str, Any]) -> None:
    """Raises ConflictError (`unsupported_server`) that says what is missing."""
    missing = [name for name in manifest.supports if name not in seen.offers]
    if not missing:
        return
    level = attributes.get("isolation")
    what = f"a local machine of level {level!r}" if level else "a server"
    said = "; ".join(f"{name} ({OFFERS[name]})" for name in missing)
    there = ", ".join(name for name in OFFERS if name in seen.offers) or "nothing of that kind"
    raise ConflictError(
        f"taskserv {manifest.name} cannot be on {server}: it needs {said}",
        code="unsupported_server",
        hint=f"{server} is {what} that offers {there}",
    )


def check_needs(manifest: Manifest, server: str, seen: Look) -> None:
    """Raises ProviderError (`missing_taskservs`): they may still be on their way."""
    there = [marker.taskserv for marker in seen.markers.values() if marker.done]
    missing = [name for name in manifest.needs if name not in there]
    if missing:
        raise ProviderError(
            f"taskserv {manifest.name} needs {', '.join(missing)} on {server} first",
            code="missing_taskservs",
            hint="declare it for the same server; taskservs/create then puts it before",
        )


def _decoded(out: str) -> Look:
    told: dict[str, str] = {}
    offers: set[Offer] = set()
    markers: dict[str, Marker] = {}
    for line in out.splitlines():
        word, _, rest = line.partition(" ")
        if word == "offers":
            offers.add(cast(Offer, rest))
        elif word == "marker":
            marker = decode_marker(rest)
            if marker is not None:
                markers[marker.name] = marker
        else:
            told[word] = rest
    return Look(told.get("directory", DIRECTORY), told.get("sudo", "none") != "none", frozenset(offers), markers)
