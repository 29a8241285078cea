"""What an instance is told at its first start: our part for cloud-init, and the user's after it.

Always the same text for the same spec: EC2 refuses a repeated request that differs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from functools import lru_cache

from ...errors import ProviderError

BYTES_MAX = 16 * 1024
_BOUNDARY = "==provisioning=="
_TYPES = (("#cloud-config", "cloud-config"), ("#include", "x-include-url"), ("#cloud-boothook", "cloud-boothook"))


_OWN_KEY = f"ssh-ed25519 {'A' * 68} provisioning"
"""Stands for the workspace's: as long as every one of them."""


def length(keys: Sequence[str], given: str | None) -> int:
    """Bytes of the whole, whichever the workspace's own key is."""
    return _length(tuple(keys), given)


@lru_cache(256)  # of hundreds of servers most are told the same
def _length(keys: tuple[str, ...], given: str | None) -> int:
    return len(_text([_OWN_KEY, *keys], given).encode())


def user_data(keys: Sequence[str], given: str | None) -> str:
    """root can log in with these keys, as at other clouds. Raises ProviderError (`bad_spec`) where it is too long."""
    text = _text(keys, given)
    if len(text.encode()) > BYTES_MAX:
        raise ProviderError(
            f"user_data and ssh_keys together have {len(text.encode())} bytes; EC2 takes {BYTES_MAX}",
            code="bad_spec",
            hint="let the user data fetch what is long",
            retryable=False,
        )
    return text


def _text(keys: Sequence[str], given: str | None) -> str:
    config = json.dumps({"disable_root": False, "ssh_authorized_keys": list(keys)}, indent=1)
    whole = MIMEMultipart(boundary=_BOUNDARY)
    whole.attach(_part("cloud-config", f"#cloud-config\n{config}\n"))
    if given is not None:
        kind = next((kind for begin, kind in _TYPES if given.startswith(begin)), "x-shellscript")
        whole.attach(_part(kind, given))
    return whole.as_string()


def _part(kind: str, text: str) -> MIMEText:
    return MIMEText(text, kind, "us-ascii" if text.isascii() else "utf-8")
