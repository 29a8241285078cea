"""Connections of an SSH client into the machine's own network (`ssh -L`, `-W`, `-D`).

asyncssh has a forwarder of its own, which loses what the other side sends before the channel stands, such as the
greeting of a database or a mail server, or its end: then the client waits for ever. This one connects first, opens the
channel next, and only then begins to read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import asyncssh
from asyncssh.stream import SSHTCPStreamSession, SSHUNIXStreamSession

_CHUNK = 65536


async def to_port(host: str, port: int) -> SSHTCPStreamSession[bytes]:
    """Raises ChannelOpenError with the system's reason where nobody listens."""
    try:
        ends = await asyncio.open_connection(host, port)
    except OSError as error:
        raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, str(error)) from error
    return SSHTCPStreamSession(lambda reader, writer: _join(ends, (reader, writer)))


async def to_path(path: str) -> SSHUNIXStreamSession[bytes]:
    """Raises ChannelOpenError with the system's reason where nobody listens."""
    try:
        ends = await asyncio.open_unix_connection(path)
    except OSError as error:
        raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, str(error)) from error
    return SSHUNIXStreamSession(lambda reader, writer: _join(ends, (reader, writer)))


def _join(inner: tuple[Any, Any], outer: tuple[Any, Any]) -> Coroutine[Any, Any, None]:
    async def join() -> None:
        try:
            await asyncio.gather(_pump(inner[0], outer[1]), _pump(outer[0], inner[1]))
        except (OSError, asyncssh.Error):
            pass  # one of the two has gone: so does the other
        finally:
            inner[1].close()
            outer[1].close()

    return join()


async def _pump(source: Any, target: Any) -> None:
    while data := await source.read(_CHUNK):
        target.write(data)
        await target.drain()
    target.write_eof()
