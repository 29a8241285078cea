"""All that can be set, as one frozen value: the command line, then PROVISIONING_ORCHESTRATOR_*, then defaults."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

PREFIX = "PROVISIONING_ORCHESTRATOR_"
PORT_DEFAULT = 9090
MIB = 1024 * 1024


class BadSettings(ValueError):
    """A setting has a value that it can't have. The text names it, the value, and what would be accepted."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may take of the daemon. All are settings: PROVISIONING_ORCHESTRATOR_BODY_BYTES_MAX and so on.

    body_bytes_max: of one body; 100,000 tasks with 300,000 edges and short parameters are some 20 MiB.
    bodies_bytes_max: of all bodies that are in memory at one time. inline_bytes_max: larger ones are read in a thread.
    head_timeout_s, body_timeout_s: from the first byte of each to its last. write_timeout_s: a client that takes
    nothing for so long is cut off. keep_alive_s: an idle connection is closed after it.
    stream_bytes_max: of events that wait for a slow client before it is dropped.
    start_wait_s: how long a request waits for the daemon to be ready before it is refused (503).
    stop_s: how long requests in flight may go on after the daemon was told to stop.
    """

    connections_max: int = 1000
    head_bytes_max: int = 32 * 1024
    head_timeout_s: float = 10.0
    body_bytes_max: int = 64 * MIB
    bodies_bytes_max: int = 256 * MIB
    body_timeout_s: float = 30.0
    inline_bytes_max: int = 32 * 1024
    json_depth_max: int = 64
    string_characters_max: int = MIB
    tasks_max: int = 200_000
    keep_alive_s: float = 75.0
    write_timeout_s: float = 60.0
    stream_bytes_max: int = 256 * 1024
    ping_s: float = 15.0
    backoff_s: float = 1.0
    start_wait_s: float = 2.0
    stop_s: float = 1.5


@dataclass(frozen=True, slots=True)
class Settings:
    """What `provisioning-orchestrator serve` runs with.

    port: of both 127.0.0.1 and [::1]; 0 takes a free one. libraries: where operations are looked up, the first wins.
    workspace: handed to operations. python, nu: what runs `.py` and `.nu` operations; nu None: the one on PATH.
    auth: `token`, or `none` on a machine of one's own. slots: attempts at a time. grace_s: between TERM and KILL.
    loans_max: how many more attempts of one depth of child workflows may be alive, because they wait for children.
    children_max: workflows that one task may have submitted and that have not ended.
    sync_attempts: sync the files of attempts too: fewer `unknown` after a power cut, some milliseconds per task.
    secrets_command: a command line that is asked for the values of `secret://` references; empty: there are none.
    pass_environment: names of variables that operations get too.
    log_file: None for standard error.
    """

    data_dir: Path
    port: int = PORT_DEFAULT
    libraries: tuple[Path, ...] = ()
    slots: int = 10
    loans_max: int = 20
    children_max: int = 1_000
    workspace: Path | None = None
    python: Path | None = None
    nu: Path | None = None
    auth: str = "token"
    grace_s: float = 10.0
    sync_attempts: bool = False
    secrets_command: str = ""
    secrets_timeout_s: float = 30.0
    pass_environment: tuple[str, ...] = ()
    log_level: str = "info"
    log_file: Path | None = None
    limits: Limits = field(default_factory=Limits)


CHOICES = {"auth": ("token", "none"), "log_level": ("debug", "info", "warning", "error")}
_PATHS = ("data_dir", "workspace", "python", "nu", "log_file")


def read_settings(given: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
    """The settings. given: what the command line said, absent or None where it said nothing. Raises BadSettings."""
    words: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    limits: dict[str, Any] = {}
    limit_names = {one.name for one in fields(Limits)}
    names = {one.name for one in fields(Settings)} - {"limits"}
    for variable, text in environ.items():
        if not variable.startswith(PREFIX) or not text:
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name in limit_names:
            limits[name] = text
        elif name in names:
            words.setdefault(name, text.split(os.pathsep) if name in ("libraries", "pass_environment") else text)
        else:
            raise _unknown(variable, names | limit_names)
    for name in tuple(words):
        if name in limit_names:
            limits[name] = words.pop(name)
    settings = Settings(**{"data_dir": default_data_dir(environ), **_converted(words, Settings)})
    _check(settings)
    chosen = Limits(**_converted(limits, Limits))
    for one in fields(Limits):
        if not getattr(chosen, one.name) > 0:
            raise BadSettings(f"the setting {one.name} is {getattr(chosen, one.name)}; something above 0 is expected")
    return replace(settings, limits=chosen)


def default_data_dir(environ: Mapping[str, str]) -> Path:
    """$XDG_STATE_HOME/provisioning/orchestrator, by default below ~/.local/state."""
    state = environ.get("XDG_STATE_HOME", "")
    base = Path(state) if state.startswith("/") else Path(environ.get("HOME") or Path.home()) / ".local" / "state"
    return base / "provisioning" / "orchestrator"


def _converted(words: Mapping[str, Any], shape: type) -> dict[str, Any]:
    types = {one.name: str(one.type) for one in fields(shape)}
    return {name: _value(name, types[name], value) for name, value in words.items()}


def _value(name: str, type_: str, value: Any) -> Any:
    try:
        if name == "libraries":
            return tuple(Path(one).absolute() for one in value)
        if name == "pass_environment":
            return tuple(str(one) for one in value)
        if name in _PATHS:
            # Not resolved: a virtual environment's python is a link, and is another program without its name.
            return Path(value).expanduser().absolute()
        if type_ == "bool":
            return _BOOLEANS[str(value).lower()]
        if type_ == "int":
            return int(value)
        if type_ == "float":
            return float(value)
    except (ValueError, KeyError, TypeError):
        wanted = {"int": "a whole number", "float": "a number", "bool": "true or false"}.get(type_, "a path")
        raise BadSettings(f"the setting {name} is {value!r}; {wanted} is expected") from None
    return str(value)


_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def _check(settings: Settings) -> None:
    for name, allowed in CHOICES.items():
        if getattr(settings, name) not in allowed:
            raise BadSettings(
                f"the setting {name} is {getattr(settings, name)!r}; one of {', '.join(allowed)} is expected"
            )
    if not 0 <= settings.port <= 65_535:
        raise BadSettings(f"the port is {settings.port}; 0 (any free one) to 65535 is expected")
    if settings.slots < 1:
        raise BadSettings(f"the number of slots is {settings.slots}; 1 or more is expected")
    if settings.loans_max < 0:
        raise BadSettings(f"the setting loans_max is {settings.loans_max}; 0 or more is expected")
    if settings.children_max < 1:
        raise BadSettings(f"the setting children_max is {settings.children_max}; 1 or more is expected")
    if not 0 <= settings.grace_s <= 3600:
        raise BadSettings(f"the setting grace_s is {settings.grace_s}; 0 to 3600 seconds are expected")
    if not 0 < settings.secrets_timeout_s <= 3600:
        raise BadSettings(
            f"the setting secrets_timeout_s is {settings.secrets_timeout_s}; up to 3600 seconds are expected"
        )
    resolver_command(settings)
    for library in settings.libraries:
        if not library.is_dir():
            raise BadSettings(
                f"the library {str(library)!r} is no directory; --library takes one that holds operations"
            )
    if settings.workspace is not None and not settings.workspace.is_dir():
        raise BadSettings(f"the workspace {str(settings.workspace)!r} is no directory")
    for name, program in (("--python", settings.python), ("--nu", settings.nu)):
        if program is not None and not os.access(program, os.X_OK):
            raise BadSettings(f"{name} {str(program)!r} is no program that can be run")


def resolver_command(settings: Settings) -> tuple[str, ...]:
    """The program and its arguments, the program by its whole path; empty where none was given. Raises BadSettings."""
    try:
        words = shlex.split(settings.secrets_command)
    except ValueError as error:
        raise BadSettings(f"--secrets-command {settings.secrets_command!r} is no command line: {error}") from None
    if not words:
        return ()
    program = shutil.which(words[0])
    if program is None:
        raise BadSettings(f"--secrets-command {settings.secrets_command!r}: there is no program {words[0]!r}")
    return (os.path.abspath(program), *words[1:])  # noqa: PTH100 - links stay: a virtual environment is known by them


def _unknown(variable: str, names: Sequence[str] | set[str]) -> BadSettings:
    close = get_close_matches(variable, [PREFIX + name.upper() for name in names], n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return BadSettings(f"no setting is called {variable}{hint}")
