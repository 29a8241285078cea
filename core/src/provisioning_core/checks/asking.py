"""One question of a check, put through SSH: is there a port, does a page come, does a command succeed?

TCP and HTTP go through the SSH connection itself (a forwarded channel), so that the server asked from needs no program
for it. Where it forbids that (AllowTcpForwarding no), its bash asks instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import asyncssh

from ..login import login

ANSWER_S = 10.0
CONNECT_S = 15.0
LINE_MAX = 200
_FORBIDDEN = 1  # SSH_OPEN_ADMINISTRATIVELY_PROHIBITED


@dataclass(frozen=True, slots=True)
class Question:
    """Exactly one of the three: a port, `:8080/path` (any 2xx or 3xx), or a line of shell (exit code 0)."""

    tcp: int | None = None
    http: str | None = None
    command: str | None = None

    @property
    def port(self) -> int:
        if self.tcp is not None:
            return self.tcp
        return int((self.http or "").removeprefix(":").partition("/")[0])

    @property
    def path(self) -> str:
        return "/" + (self.http or "").partition("/")[2]

    def __str__(self) -> str:
        if self.tcp is not None:
            return f"tcp {self.tcp}"
        return f"http :{self.port}{self.path}" if self.http is not None else f"`{shorten(self.command or '', 60)}`"


@dataclass(frozen=True, slots=True)
class Answer:
    """text: what came back, for people: one line."""

    good: bool
    text: str


async def connect(ssh: Mapping[str, Any]) -> asyncssh.SSHClientConnection:
    """ssh: a server's attribute. Raises OSError, asyncssh.Error."""
    return await asyncssh.connect(**login(ssh, CONNECT_S), keepalive_interval=15)


async def ask(source: asyncssh.SSHClientConnection, question: Question, name: str, hosts: list[str]) -> Answer:
    """From that server; the first of the hosts that answers well counts. name, hosts: of the target.

    Raises asyncssh.Error or OSError where the connection itself is lost.
    """
    if question.command is not None:
        return await _command(source, f"TARGET={shlex.quote(hosts[0])} TARGET_NAME={name}; {question.command}")
    answer = Answer(False, "it has no address")
    for host in hosts:
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await _port(source, question, host)
        except TimeoutError:
            answer = Answer(False, f"no answer within {ANSWER_S:.0f} s")
        if answer.good:
            break
    return answer


def shorten(text: str, most: int = LINE_MAX) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


async def _port(source: asyncssh.SSHClientConnection, question: Question, host: str) -> Answer:
    try:
        reader, writer = await source.open_connection(host, question.port, encoding=None)
    except asyncssh.ChannelOpenError as error:
        if error.code == _FORBIDDEN:
            return await _by_programs(source, question, host)
        return Answer(False, shorten(error.reason) or "connection refused")
    try:
        if question.tcp is not None:
            return Answer(True, "connected")
        writer.write(_request(question, host).encode())
        head = await reader.readuntil(b"\n")
        return _http_answer(head)
    except asyncio.IncompleteReadError as error:
        return Answer(False, f"it closed the connection after {len(error.partial)} bytes")
    finally:
        with contextlib.suppress(OSError, asyncssh.Error):
            writer.close()


def _request(question: Question, host: str) -> str:
    head = f"GET {question.path} HTTP/1.1\r\nHost: {host}:{question.port}\r\nUser-Agent: provisioning\r\n"
    return head + "Accept: */*\r\nConnection: close\r\n\r\n"


def _http_answer(head: bytes) -> Answer:
    line = shorten(head.decode("ascii", "backslashreplace"))
    words = line.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdecimal():
        return Answer(False, f"no HTTP: {line!r}")
    return Answer(200 <= int(words[1]) < 400, " ".join(words))


async def _by_programs(source: asyncssh.SSHClientConnection, question: Question, host: str) -> Answer:
    script = f"exec 3<>/dev/tcp/{host}/{question.port}"
    if question.tcp is None:
        script += f" && printf %s {shlex.quote(_request(question, host))} >&3 && IFS= read -r head <&3"
        script += " && printf '%s\\n' \"$head\""
    answer = await _command(source, f"timeout {int(ANSWER_S)} bash -c {shlex.quote(script)}")
    return _http_answer(answer.text.encode()) if answer.good and question.tcp is None else answer


async def _command(source: asyncssh.SSHClientConnection, line: str) -> Answer:
    done = await source.run(line, stdin=asyncssh.DEVNULL, encoding="utf-8", errors="replace")
    said = shorten(str(done.stderr or "") or str(done.stdout or ""))
    if done.exit_status == 0:
        return Answer(True, shorten(str(done.stdout or "")) or "exit code 0")
    ended = f"exit code {done.exit_status}" if done.exit_status is not None else f"ended by {done.exit_signal}"
    return Answer(False, f"{ended}: {said}" if said else ended)
