"""Whom an instance lets in: the key pair that it was started with, and what its user data says to cloud-init."""

from __future__ import annotations

import base64
import binascii
from email import message_from_bytes

import yaml


def keys_of(pair: str | None, user_data: str | None) -> list[str]:
    """Public keys. pair, user_data: in base64, as the API has them."""
    keys = [_decoded(pair).decode(errors="replace").strip()] if pair else []
    message = message_from_bytes(_decoded(user_data or ""))
    for part in message.walk():
        if part.get_content_type() == "text/cloud-config":
            content = part.get_payload(decode=True)
            try:
                config = yaml.safe_load(content if isinstance(content, bytes) else b"")
            except yaml.YAMLError:
                continue
            keys += config.get("ssh_authorized_keys") or [] if isinstance(config, dict) else []
    return [key for key in dict.fromkeys(map(str, keys)) if key]


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except binascii.Error:
        return b""
