"""The secrets that an attempt refers to: `secret://name` as a whole text in its parameters, never in results."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioning_orchestrator.ports import AttemptId

SCHEME = "secret://"
INLINE_BYTES_MAX = 64 * 1024
# What a resolver may need beyond what operations get: where its stores and agents are.
_PASSED = ("DBUS_SESSION_BUS_ADDRESS", "SSH_AUTH_SOCK", "GNUPGHOME", "PYTHON_KEYRING_BACKEND")
_PASSED_PREFIXES = (
    "PROVISIONING_",
    "SOPS_",
    "VAULT_",
    "GPG_",
    "AWS_",
    "GOOGLE_",
    "AZURE_",
    "OP_",
    "BW_",
    "PASSWORD_STORE_",
)
_KEPT_BACK = ("PROVISIONING_ORCHESTRATOR", "PROVISIONING_CRASH", "PROVISIONING_TOKEN")


@dataclass(frozen=True, slots=True)
class Resolver:
    """command: names as JSON on its standard input, values on its standard output; empty: there is none.

    directory: in memory where the system has such a one; below it each attempt with secrets has its own.
    """

    command: tuple[str, ...] = ()
    timeout_s: float = 30.0
    directory: str = ""
    environment: tuple[str, ...] = ()

    def directory_of(self, id: AttemptId) -> str:
        return f"{self.directory}/{id.workflow}.{id.task}.{id.number}"


def resolver(command: tuple[str, ...], timeout_s: float, data_dir: Path, environ: Mapping[str, str]) -> Resolver:
    entries = (
        f"{name}={value}"
        for name, value in environ.items()
        if (name in _PASSED or name.startswith(_PASSED_PREFIXES)) and not name.startswith(_KEPT_BACK)
    )
    return Resolver(command, timeout_s, private_root(data_dir), tuple(entries))


def private_root(data_dir: Path) -> str:
    """For what operations with secrets write before it is redacted: memory, so that no disk ever has it.

    Off Linux it is below the data directory, and its files exist as long as their attempts.
    """
    import hashlib

    memory = "/dev/shm"  # noqa: S108 - a directory of our own in it, 0700, made and checked by the shim
    if os.access(memory, os.W_OK | os.X_OK):
        return f"{memory}/provisioning-{os.geteuid()}/{hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]}"
    return f"{data_dir}/private"


def may_refer(input: bytes) -> bool:
    """False: certainly to no secret. A look that costs nothing, for each attempt there is."""
    return b"secret:" in input or b"\\" in input


def references_in(input: bytes) -> list[str]:
    """The names that the params of this input line refer to, each once, in order; well formed or not."""
    try:
        params = json.loads(input).get("params")
    except (ValueError, AttributeError, RecursionError):
        return []  # The operation will say what is wrong with its input.
    return list(dict.fromkeys(text.removeprefix(SCHEME) for text in _texts(params) if text.startswith(SCHEME)))


def _texts(value: Any) -> Iterator[str]:
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            stack.extend(reversed(list(one.values())))
        elif isinstance(one, list):
            stack.extend(reversed(one))
