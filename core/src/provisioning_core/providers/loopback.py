"""Endpoints on this machine: the only ones that a workspace's file may name, and what doubles say of their servers."""

from __future__ import annotations

import http.client
import ipaddress
import json
from typing import Any
from urllib.parse import urlsplit

_ANSWER_S = 10.0


def is_loopback(url: Any) -> bool:
    """A clone's file must not send somebody's token elsewhere."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except (ValueError, TypeError, AttributeError):
        return False


def ssh_behind(url: str) -> dict[str, dict[str, Any]]:
    """Where the machines behind a double's servers are reached: {id: {host, port, user}}. Empty for what is no double.

    A double's servers are on loopback, where an ordinary user's machine may not listen at port 22; no cloud's API says
    a port.
    """
    if not is_loopback(url):
        return {}
    at = urlsplit(url)
    connection = http.client.HTTPConnection(at.hostname or "", at.port or 80, timeout=_ANSWER_S)
    try:
        connection.request("GET", "/_double/machines")
        answer = connection.getresponse()
        content = answer.read()
        return dict(json.loads(content)) if answer.status == 200 else {}
    except (OSError, ValueError, http.client.HTTPException):
        return {}
    finally:
        connection.close()
