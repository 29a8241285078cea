"""A server through SSH: commands, their output, and connections into its network. For everything but pyinfra.

Host keys are checked strictly against the provider's known_hosts file; nothing of the user's own SSH settings is read.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import ProviderError
from ..login import login

if TYPE_CHECKING:
    import asyncssh

CONNECT_S = 20.0
KEEPALIVE_S = 15.0
OUTPUT_CHARS_MAX = 200_000


@dataclass(frozen=True, slots=True)
class Ended:
    """code: None where a signal ended it or the connection broke."""

    code: int | None
    out: str
    error: str

    @property
    def last_words(self) -> str:
        """For a message: what it said last, on standard error where it said anything there."""
        lines = [line.strip() for line in (self.error.strip() or self.out.strip()).splitlines() if line.strip()]
        return " · ".join(lines[-3:]) or f"exit code {self.code}"


class Remote:
    def __init__(self, connection: asyncssh.SSHClientConnection, ssh: Mapping[str, Any]) -> None:
        self.connection = connection
        self.ssh = ssh

    async def run(self, line: str, *, input: str = "") -> Ended:
        """A line of shell as the user that logs in. Raises ProviderError (`connection_lost`)."""
        with _told(self.ssh):
            done = await self.connection.run(line, input=input, check=False, errors="replace")
        return Ended(done.exit_status, str(done.stdout), str(done.stderr))

    async def stream(self, line: str, *, input: str, hear: Callable[[str], None]) -> Ended:
        """The same; hear: gets each line of its output, standard error included, as it comes."""
        said: list[str] = []
        with _told(self.ssh):
            import asyncssh

            process = await self.connection.create_process(line, stderr=asyncssh.STDOUT, errors="replace")
            process.stdin.write(input)
            process.stdin.write_eof()
            async for text in process.stdout:
                hear(str(text).rstrip("\n"))
                said = [*said[-50:], str(text)]
            done = await process.wait()
        return Ended(done.exit_status, "", "".join(said)[-OUTPUT_CHARS_MAX:])

    async def dial(self, host: str, port: int) -> tuple[Any, Any]:
        """A connection from inside of the server: reader and writer of bytes. Raises OSError where nobody listens."""
        import asyncssh

        try:
            return await self.connection.open_connection(host, port, encoding=None)
        except asyncssh.ChannelOpenError as error:
            raise ConnectionRefusedError(error.reason) from error
        except asyncssh.Error as error:
            raise ConnectionError(str(error)) from error


@contextlib.asynccontextmanager
async def connected(ssh: Mapping[str, Any]) -> AsyncIterator[Remote]:
    """ssh: the attribute `ssh` of a server. Raises ProviderError (`unreachable`), to be tried again."""
    import asyncssh

    try:
        async with asyncio.timeout(CONNECT_S):
            connection = await asyncssh.connect(**login(ssh, CONNECT_S), keepalive_interval=KEEPALIVE_S)
    except (OSError, asyncssh.Error, TimeoutError) as error:
        where = f"{ssh['user']}@{ssh['host']} port {ssh['port']}"
        raise ProviderError(f"cannot connect to {where}: {error or 'no answer'}", code="unreachable") from error
    async with connection:
        yield Remote(connection, ssh)


def as_root(script: str) -> str:
    """The line of shell that runs a script as root: by login, else by sudo, else as whoever logs in."""
    quoted = shlex.quote(script)
    return (
        f'if [ "$(id -u)" = 0 ]; then exec sh -c {quoted}; '
        f"elif sudo -n true 2>/dev/null; then exec sudo -n sh -c {quoted}; else exec sh -c {quoted}; fi"
    )


@contextlib.contextmanager
def _told(ssh: Mapping[str, Any]) -> Any:
    import asyncssh

    try:
        yield
    except (asyncssh.Error, OSError) as error:
        raise ProviderError(
            f"the connection to {ssh['host']} port {ssh['port']} was lost: {error}", code="connection_lost"
        ) from error
