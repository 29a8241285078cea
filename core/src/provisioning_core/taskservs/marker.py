"""What a server itself says of the taskservs on it: one small file each, written whole or not at all, last of all.

`done: false` stands there from before the first change until the last one has held: whoever finds it applies everything
again. So an attempt that was killed in between never passes for the wish before it. The digest of the parameters is
slow to compute and salted, because secrets are in them.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any

from ..errors import ProviderError
from .remote import Remote, as_root

DIRECTORY = "/var/lib/provisioning/taskservs"
PARAMETERS = "parameters"
_SCRYPT = {"n": 2**12, "r": 8, "p": 1, "dklen": 32}


@dataclass(frozen=True, slots=True)
class Marker:
    """name: the wish's; taskserv: the folder's. version: what was asked for; installed: what is there, as it says.

    params: the salted digest. folder: the digest of the taskserv's files. at: when it was written, ISO, UTC.
    """

    name: str
    taskserv: str
    version: str
    params: str
    folder: str
    done: bool
    installed: str | None = None
    facts: Mapping[str, Any] | None = None
    at: str = ""

    def holds(self, version: str, params: Mapping[str, Any], folder: str) -> bool:
        """Whether it is of that very wish, and was finished."""
        return self.done and not self.differences(version, params, folder)

    def differences(self, version: str, params: Mapping[str, Any], folder: str) -> list[str]:
        """What of the wish is another one now, in words."""
        found = [f"version {self.version} → {version}"] if self.version != version else []
        if digest(params, self.params.partition(":")[0]) != self.params:
            found.append(PARAMETERS)
        return found + (["the taskserv's own files"] if self.folder != folder else [])


def digest(params: Mapping[str, Any], salt: str | None = None) -> str:
    """`salt:digest`, with a new salt where none is given."""
    salt = salt or secrets.token_hex(16)
    canonical = json.dumps(params, sort_keys=True, separators=(",", ":")).encode()
    return f"{salt}:{hashlib.scrypt(canonical, salt=salt.encode(), **_SCRYPT).hex()}"


def decode_marker(text: str) -> Marker | None:
    """None for what is no marker: somebody else's file, or a newer format's."""
    try:
        given = json.loads(text)
        return Marker(**{each.name: given[each.name] for each in fields(Marker)})
    except (ValueError, TypeError, KeyError):
        return None


async def write_marker(remote: Remote, directory: str, marker: Marker) -> Marker:
    """Whole or not at all. directory: as `Look` says it. Raises ProviderError."""
    marker = replace(marker, at=datetime.now(UTC).isoformat(timespec="seconds"))
    file = shlex.quote(f"{directory}/{marker.name}.json")
    script = f"umask 077 && mkdir -p {shlex.quote(directory)} && cat >{file}.part && mv {file}.part {file}"
    await _checked(remote, script, input=json.dumps(asdict(marker)) + "\n")
    return marker


async def remove_marker(remote: Remote, directory: str, name: str) -> None:
    """Raises ProviderError."""
    await _checked(remote, f"rm -f {shlex.quote(f'{directory}/{name}.json')}")


async def _checked(remote: Remote, script: str, *, input: str = "") -> None:
    done = await remote.run(as_root(script), input=input)
    if done.code != 0:
        raise ProviderError(
            f"cannot write down on the server what is installed: {done.last_words}", code="marker_unwritable"
        )
