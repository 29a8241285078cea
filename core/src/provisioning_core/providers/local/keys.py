"""Key pairs, each made in a child of the room: the room's memory is inherited by every machine and must hold none."""

from __future__ import annotations

from pathlib import Path

import asyncssh

from . import forks
from .registry import Registry, replace_file


def workspace_key(registry: Registry) -> str:
    """The public key that opens every machine; the pair is made where there is none, in a child."""
    keys = registry.root / "keys"
    keys.mkdir(mode=0o700, exist_ok=True)
    private, public = keys / "id_ed25519", keys / "id_ed25519.pub"
    with registry.locked("keys.lock"):
        if not public.exists():

            def make() -> bytes:
                make_pair(private, "provisioning")
                return b""

            forks.answer(make)
    return public.read_text()


def host_key(home: Path) -> str:
    """The public half of the machine's own key, `ssh-ed25519 AAAA…`."""

    def make() -> bytes:
        return make_pair(home / "host_key", "").encode()

    return forks.answer(make).decode().strip()


def make_pair(private: Path, comment: str) -> str:
    key = asyncssh.generate_private_key("ssh-ed25519", comment=comment or None)
    public = key.export_public_key().decode()
    replace_file(private, key.export_private_key(), sync=True)
    replace_file(private.with_name(f"{private.name}.pub"), public.encode(), sync=True)
    return public
