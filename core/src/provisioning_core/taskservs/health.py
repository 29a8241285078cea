"""Whether a taskserv answers, asked through SSH from inside of its server, until it does or the deadline is over."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

from .manifest import Health, filled
from .remote import Remote, as_root

INTERVAL_S = 0.2
INTERVAL_MAX_S = 2.0
ANSWER_S = 10.0
_HTTP = re.compile(r":(\d+)(/.*)", re.DOTALL)
_STATUS = re.compile(rb"HTTP/1\.[01] ([23]\d\d)\b")


async def wait_healthy(
    remote: Remote, health: Health, params: Mapping[str, Any], *, address: str | None, deadline_s: float
) -> str | None:
    """None once it is healthy; at the deadline what was wrong last. deadline_s 0: asked once.

    address: the server's own, for what does not listen on its loopback.
    """
    loop = asyncio.get_running_loop()
    end, interval_s = loop.time() + deadline_s, INTERVAL_S
    while True:
        left_s = end - loop.time()
        try:
            async with asyncio.timeout(min(ANSWER_S, max(left_s, 2.0))):
                fault = await ask(remote, health, params, address)
        except TimeoutError:
            fault = f"{_what(health, params)} gives no answer"
        if fault is None or loop.time() + interval_s > end:
            return fault
        await asyncio.sleep(interval_s)
        interval_s = min(interval_s * 1.5, INTERVAL_MAX_S)


async def ask(remote: Remote, health: Health, params: Mapping[str, Any], address: str | None) -> str | None:
    """Once: None, or what is wrong, in words."""
    if health.command is not None:
        done = await remote.run(as_root(filled(health.command, params)))
        return None if done.code == 0 else f"{_what(health, params)}: {done.last_words}"
    hosts = ["127.0.0.1", *([address] if address else [])]
    faults = []
    for host in hosts:
        try:
            if health.tcp is not None:
                _, writer = await remote.dial(host, int(filled(health.tcp, params)))
                writer.close()
                return None
            return await _ask_http(remote, host, filled(health.http or "", params))
        except (OSError, ValueError) as error:
            faults.append(str(error))
    return f"{_what(health, params)}: {faults[0]}"


async def _ask_http(remote: Remote, host: str, place: str) -> str | None:
    match = _HTTP.fullmatch(place)
    if match is None:
        raise ValueError(f"{place!r} is no port and path")
    reader, writer = await remote.dial(host, int(match[1]))
    try:
        path = match[2].replace("\r", "").replace("\n", "").replace(" ", "%20")
        writer.write(f"GET {path} HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        line = await reader.readline()
    finally:
        writer.close()
    return None if _STATUS.match(line) else f"http {place} answers {line.decode('latin-1').strip() or 'nothing'}"


def _what(health: Health, params: Mapping[str, Any]) -> str:
    way = "tcp" if health.tcp is not None else "http" if health.http is not None else "command"
    return f"{way} {filled(getattr(health, way), params)}"
