"""What the daemon asks the frozen helper to run, as one message of a SOCK_SEQPACKET socket.

Fields are separated by NUL, which no path, argument or environment entry can hold; the input comes last. One that is
too large (or holds a NUL) travels beside the message, as a descriptor of an anonymous file.
"""

from __future__ import annotations

MESSAGE_BYTES_MAX = 128 * 1024
INPUT_BYTES_MAX = 32 * 1024
SECRETS_VARIABLE = "PROVISIONING_SECRETS"
TOKEN_VARIABLE = "PROVISIONING_TOKEN_FILE"  # noqa: S105 - in a request it holds the token itself


class Wanted:
    """The secrets that an attempt refers to. names: of them. command: is asked for their values. timeout_s: how long.

    directory: of this attempt, in memory: for what it writes before that is redacted. environment: entries that the
    command gets beside the helper's own.
    """

    __slots__ = ("command", "directory", "environment", "names", "timeout_s")

    def __init__(
        self, names: list[str], command: list[str], timeout_s: float, directory: str, environment: list[str]
    ) -> None:
        self.names = names
        self.command = command
        self.timeout_s = timeout_s
        self.directory = directory
        self.environment = environment

    def fields(self) -> list[str]:
        counts = [str(len(self.names)), str(len(self.command))]
        return [repr(self.timeout_s), self.directory, *counts, *self.names, *self.command, *self.environment]

    @classmethod
    def of(cls, fields: list[str]) -> Wanted:
        command_at = 4 + int(fields[2])
        environment_at = command_at + int(fields[3])
        return cls(
            fields[4:command_at],
            fields[command_at:environment_at],
            float(fields[0]),
            fields[1],
            fields[environment_at:],
        )


class Request:
    """number: of the request, repeated in the answer. id: the attempt's. state: its state file, which the shim makes.

    head: the header of that. input: the operation's line of JSON; None: it is beside the message, with its newline.
    keep: where the working directory goes if the attempt left something in it.
    leave: the file that names handed-over processes. environment: entries added to the helper's own environment.
    sync: the claim and the outcome are synced to the disk. wanted: None: it refers to no secrets.
    """

    __slots__ = (
        "arguments", "environment", "grace_s", "head", "id", "input", "keep", "leave", "log", "number", "state", "sync",
        "timeout_s", "wanted", "work",
    )  # fmt: skip

    def __init__(
        self,
        *,
        number: int,
        id: str,
        state: str,
        head: str,
        input: bytes | None,
        log: str,
        work: str,
        keep: str,
        leave: str,
        timeout_s: float,
        grace_s: float,
        sync: bool,
        arguments: list[str],
        environment: list[str],
        wanted: Wanted | None = None,
    ) -> None:
        self.number = number
        self.id = id
        self.state = state
        self.head = head
        self.input = input
        self.log = log
        self.work = work
        self.keep = keep
        self.leave = leave
        self.timeout_s = timeout_s
        self.grace_s = grace_s
        self.sync = sync
        self.arguments = arguments
        self.environment = environment
        self.wanted = wanted

    def encode(self) -> bytes:
        """Raises ValueError where a field holds a NUL or the whole is longer than MESSAGE_BYTES_MAX."""
        size = str(len(self.input)) if self.input is not None else ""
        fields = [
            str(self.number), size, self.id, self.state, self.head, self.log, self.work, self.keep, self.leave,
            repr(self.timeout_s), repr(self.grace_s), "1" if self.sync else "0",
            str(len(self.arguments)), str(len(self.environment)), *self.arguments, *self.environment,
            *(self.wanted.fields() if self.wanted is not None else ()), "",
        ]  # fmt: skip
        data = "\0".join(fields).encode("utf-8", "surrogateescape")
        if data.count(0) != len(fields) - 1:
            raise ValueError(f"starting {self.id}: a path, argument or variable holds a NUL character")
        data += self.input or b""
        if len(data) > MESSAGE_BYTES_MAX:
            raise ValueError(f"starting {self.id}: paths and arguments take {len(data)} bytes, {MESSAGE_BYTES_MAX} fit")
        return data

    @classmethod
    def decode(cls, data: bytes) -> Request:
        _, carried = number_and_carried(data)
        size = 0 if carried else int(data.split(b"\0", 2)[1])
        end = len(data) - size
        fields = data[: end - 1].decode("utf-8", "surrogateescape").split("\0")
        arguments_end = 14 + int(fields[12])
        environment_end = arguments_end + int(fields[13])
        return cls(
            number=int(fields[0]),
            id=fields[2],
            state=fields[3],
            head=fields[4],
            input=None if carried else data[end:],
            log=fields[5],
            work=fields[6],
            keep=fields[7],
            leave=fields[8],
            timeout_s=float(fields[9]),
            grace_s=float(fields[10]),
            sync=fields[11] == "1",
            arguments=fields[14:arguments_end],
            environment=fields[arguments_end:environment_end],
            wanted=Wanted.of(fields[environment_end:]) if len(fields) > environment_end else None,
        )


def number_and_carried(data: bytes) -> tuple[int, bool]:
    """Of an encoded request: its number, and whether a descriptor with the input comes beside it."""
    number, size, _ = data.split(b"\0", 2)
    return int(number), not size
