"""Runs an `install.sh` on the server, or an `install.nu` here for the server.

install.sh      is called as `install` or `remove` ($1), as root where the login allows it, in a directory that holds
                the taskserv's files and `params.json`. Each parameter is also a variable: PARAM_PORT (lists and the
                like as JSON); a secret is never one: PARAM_PASSWORD_FILE names a file that is gone afterwards.
                VERSION, PURGE (yes or no), SERVER. Its shebang says by what it is run.
install.nu      reads one line of JSON {verb, server: {name, infra, address, command}, version, params, purge};
                `command` is the argv after which a line of shell for the server follows.

Both tell by lines of their output: `changed: WHAT` for what they have changed, `fact: {"ports": [80]}`; any other line
is progress. Called again after a kill at any instant they must end in the same state: test before you change.
"""

from __future__ import annotations

import asyncio
import io
import json
import shlex
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import ProviderError, UsageError
from .deployed import Deployed
from .manifest import Manifest
from .remote import Remote, as_root
from .server import Server

Verb = Literal["install", "remove"]
FILES_BYTES_MAX = 32 * 1024 * 1024


@dataclass
class Heard:
    """What the script tells, line by line."""

    tell: Callable[[str], None]
    facts: dict[str, Any] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)

    def line(self, text: str) -> None:
        word, colon, rest = text.partition(":")
        if colon and word == "fact":
            try:
                self.facts |= json.loads(rest)
                return
            except (ValueError, TypeError):
                pass  # then it is a line like any other, and is seen
        if colon and word == "changed":
            self.changed.append(rest.strip())
        if text.strip():
            self.tell(text)

    def deployed(self) -> Deployed:
        return Deployed(self.facts, tuple(self.changed))


async def run_on(
    remote: Remote, server: Server, manifest: Manifest, verb: Verb, params: Mapping[str, Any], *, purge: bool
) -> Deployed:
    """Raises ProviderError (`script_failed`) with its last words."""
    heard = Heard(server.tell)
    # One fixed directory per taskserv: what a killed attempt leaves is cleared by the next one.
    # Where the server offers no root, /run is the host's, and nobody else may write there.
    room = "/run/provisioning" if "root" in server.offers else '"$HOME"/.provisioning'
    work = f"{room}/work/{server.folder.name}"
    unpack = (
        f"umask 077; rm -rf {work}; mkdir -p {work} && cd {work} && base64 -d | tar -xzf - && . ./.environment && "
        f"chmod +x install.sh && ./install.sh {verb} </dev/null; code=$?; cd /; rm -rf {work}; exit $code"
    )
    told = {"VERSION": server.version, "PURGE": "yes" if purge else "no", "SERVER": server.name}
    archive = await asyncio.to_thread(_archive, server, manifest, params, told)
    done = await remote.stream(as_root(unpack), input=archive, hear=heard.line)
    if done.code != 0:
        raise ProviderError(f"{verb} of {server.folder.name} failed: {done.last_words}", code="script_failed")
    return heard.deployed()


def run_here(server: Server, ssh_argv: list[str], verb: Verb, params: Mapping[str, Any], *, purge: bool) -> Deployed:
    """Raises UsageError where there is no Nushell, ProviderError (`script_failed`) with its last words."""
    nu = shutil.which("nu")
    if nu is None:
        raise UsageError(
            f"the taskserv {server.folder.name} is written in Nushell, and there is no `nu` on PATH", code="no_nushell"
        )
    about = {"name": server.name, "infra": server.infra, "address": server.address, "command": ssh_argv}
    told = {"verb": verb, "server": about, "version": server.version, "params": params, "purge": purge}
    heard = Heard(server.tell)
    said: list[str] = []
    process = subprocess.Popen(
        [nu, "--no-config-file", "--stdin", str(server.folder / "install.nu")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdin is not None and process.stdout is not None
    with process:
        try:
            process.stdin.write(json.dumps(told) + "\n")
            process.stdin.close()
        except BrokenPipeError:
            pass  # it ended without reading: its exit code says why
        for text in process.stdout:
            heard.line(text.rstrip("\n"))
            said = [*said[-50:], text]
    if process.returncode != 0:
        words = " · ".join(text.strip() for text in said if text.strip())[-2000:]
        raise ProviderError(
            f"{verb} of {server.folder.name} failed: {words or process.returncode}", code="script_failed"
        )
    return heard.deployed()


def _archive(server: Server, manifest: Manifest, params: Mapping[str, Any], told: Mapping[str, str]) -> str:
    """The folder, the parameters and the environment, as base64 of a compressed tar."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(server.folder, ".", filter=_clean)
        exports = [f"export {name}={shlex.quote(value)}" for name, value in told.items()]
        for name, value, secret in _variables(manifest, params):
            if secret:
                _add(tar, f".secrets/{name}", value)
                exports.append(f'export {name}_FILE="$PWD/.secrets/{name}"')
            else:
                exports.append(f"export {name}={shlex.quote(value)}")
        _add(tar, ".environment", "\n".join(exports) + "\n")
        _add(tar, "params.json", json.dumps(params) + "\n")
    if packed.tell() > FILES_BYTES_MAX:
        raise UsageError(
            f"the files of taskserv {server.folder.name} have more than {FILES_BYTES_MAX} bytes",
            code="taskserv_too_large",
        )
    import base64

    return base64.encodebytes(packed.getvalue()).decode("ascii")


def _variables(manifest: Manifest, params: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """(name, value, secret) of each parameter that is not null."""
    for each in manifest.parameters:
        value = params.get(each.name)
        if value is not None:
            text = value if isinstance(value, str) else json.dumps(value)
            yield f"PARAM_{each.name.upper()}", text, each.holds_secrets


def _clean(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Nobody's here, root's there; no caches."""
    if "__pycache__" in entry.name:
        return None
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _add(tar: tarfile.TarFile, name: str, text: str) -> None:
    data = text.encode()
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), 0o600
    tar.addfile(entry, io.BytesIO(data))
