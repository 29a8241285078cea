"""Makes the folder of a new taskserv, small and working: it passes `taskserv test` as it is."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from ..errors import ConflictError, UsageError
from ..names import LABEL, LABEL_WORDS
from ..workspace import Workspace
from ..yamlfile import shown

Kind = Literal["pyinfra", "script", "nu"]
KINDS: tuple[Kind, ...] = ("pyinfra", "script", "nu")
_PART = ".part"


def generate(workspace: Workspace, name: str, kind: Kind, infra: str | None = None) -> Path:
    """The new folder, whole or not at all: in the workspace's layer, or with infra in that one's.

    Raises UsageError for what is no name, NotFoundError for an infrastructure that is not there, ConflictError where
    there is one already.
    """
    if not LABEL.fullmatch(name):
        raise UsageError(
            f"{shown(name)} is not accepted as the name of a taskserv", code="bad_name", hint=f"accepted: {LABEL_WORDS}"
        )
    if infra is not None:
        workspace.infra_file(infra)
    root = workspace.path / "taskservs" if infra is None else workspace.path / "infra" / infra / "taskservs"
    folder = root / name
    if folder.exists():
        raise ConflictError(
            f"{folder} is there already", code="exists", hint=f"provisioning taskserv test {name}, or remove it first"
        )
    root.mkdir(parents=True, exist_ok=True)
    with _alone_in(root):
        part = root / f".{name}.{secrets.token_hex(4)}{_PART}"
        (part / "templates").mkdir(parents=True)
        for path, text in _files(name, kind).items():
            (part / path).write_text(text, "utf-8")
        if kind == "script":
            (part / "install.sh").chmod(0o755)
        part.rename(folder)
    return folder


@contextmanager
def _alone_in(root: Path) -> Iterator[None]:
    """One at a time makes a folder there; what killed ones have left half made goes first."""
    descriptor = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        for left in root.glob(f".*{_PART}"):
            shutil.rmtree(left, ignore_errors=True)
        yield
    finally:
        os.close(descriptor)


def _files(name: str, kind: Kind) -> dict[str, str]:
    files = {"pyinfra": ("install.py", _PYTHON), "script": ("install.sh", _SHELL), "nu": ("install.nu", _NU)}
    file, text = files[kind]
    made = {"taskserv.yaml": _MANIFEST, file: text, "README.md": _README}
    if kind == "pyinfra":
        made["templates/settings.j2"] = _TEMPLATE
    return {path: text.replace("NAME", name).replace("FILE", file) for path, text in made.items()}


_MANIFEST = """\
name: NAME
version: "1"
description: Says a greeting
supports: [root]
parameters:
  greeting: {type: text, default: hello, max: 200, pattern: '[^\\n]*', description: what it says}
health: {command: "grep -q . /etc/NAME.conf"}
"""
_TEMPLATE = """\
# Kept by provisioning: the taskserv NAME.
greeting = {{ greeting }}
"""
_PYTHON = '''\
"""NAME: writes its settings. Beside these operations, all of pyinfra's work: https://docs.pyinfra.com."""

from __future__ import annotations

from typing import Any

from provisioning_core.taskservs.operations import absent, template
from provisioning_core.taskservs.server import Server

SETTINGS = "/etc/NAME.conf"


def install(server: Server, params: dict[str, Any]) -> dict[str, Any]:
    template("settings.j2", SETTINGS, **params)
    return {"settings": SETTINGS}


def remove(server: Server, params: dict[str, Any], purge: bool) -> None:
    absent([SETTINGS], name="remove the settings")
'''
_SHELL = """\
#!/bin/sh
# NAME: runs on the server, in a directory with this folder's files. $1: install or remove.
# Change only what differs, and say so: `changed: WHAT`. A parameter `greeting` is $PARAM_GREETING.
set -eu
settings=/etc/NAME.conf

case "$1" in
install)
    wanted="greeting = $PARAM_GREETING"
    if [ "$(cat $settings 2>/dev/null)" != "$wanted" ]; then
        printf '%s\\n' "$wanted" >$settings.part
        mv $settings.part $settings
        echo "changed: wrote $settings"
    fi
    echo "fact: {\\"settings\\": \\"$settings\\"}"
    ;;
remove)
    if [ -e $settings ]; then
        rm $settings
        echo "changed: removed $settings"
    fi
    ;;
esac
"""
_NU = """\
# NAME: runs here, for the server: `$told.server.command` and a line of shell, run there.
# Change only what differs, and say so: `changed: WHAT`.
def main [] {
    let told = $in | from json
    let settings = "/etc/NAME.conf"
    let command = $told.server.command

    def on-server [line: string] {
        let done = run-external ($command | first) ...($command | skip 1) $line | complete
        if $done.exit_code != 0 { error make {msg: $done.stderr} }
        $done.stdout
    }

    if $told.verb == "install" {
        let wanted = $"greeting = ($told.params.greeting)"
        if (on-server $"cat ($settings) 2>/dev/null; true" | str trim) != $wanted {
            let text = $wanted | encode base64
            on-server $"echo ($text) | base64 -d >($settings).part && mv ($settings).part ($settings)"
            print $"changed: wrote ($settings)"
        }
        print $"fact: ({settings: $settings} | to json -r)"
    } else if (on-server $"ls ($settings) 2>/dev/null; true" | str trim) != "" {
        on-server $"rm ($settings)"
        print $"changed: removed ($settings)"
    }
}
"""
_README = """\
# NAME

Says a greeting.

| parameter | default | what it is |
| --- | --- | --- |
| `greeting` | `hello` | what it says |

`FILE` does it; `provisioning taskserv test NAME` tries it on a throw-away server.
"""
