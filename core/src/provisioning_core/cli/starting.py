"""Starts the orchestrator's program in a session of its own and waits until it answers.

The two distributions share no code and may be installed apart: the program is found by name, and told where the core's
interpreter and operations are.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import AuthError, ConflictError, NotFoundError, ProvisioningError, UnreachableError, UsageError
from ..plugins import passed_variables
from ..render.text import as_called
from . import exits
from .exits import Exit
from .logfile import log_file
from .port import option_of, owner_of
from .presence import check_ours, describe
from .session import Session

PROGRAM = "provisioning-orchestrator"
ANSWER_MAX_S = 60.0  # after an unclean stop of a large database it checks that before it serves; it answers meanwhile
LOOK_EVERY_S = 0.02
LOG_LINES = 12


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line asks for; None: not said."""

    port: int | None = None
    nu_library: bool = False
    slots: int | None = None
    nu: str | None = None
    no_auth: bool = False


def start_daemon(session: Session, wishes: Wishes) -> None:
    """Return when it answers. Raises ConflictError: the port is taken; NotFoundError: there is no such program."""
    port = wishes.port or _port_of(session)
    if wishes.port is not None:
        session.settings = session.settings.with_flags({"url": f"http://127.0.0.1:{port}"})
    health = _answers(session)
    if health is not None:
        _check_ours(session, health, port)
        _tell(session, health, "runs already")
        return
    owner = owner_of(port)
    if owner is not None:
        raise ConflictError(
            f"port {port} is taken by {owner}, which is not an orchestrator",
            code="port_taken",
            hint=f"provisioning orchestrator start --port {_other_port(port)}",
        )
    process = _spawn(session, wishes, port)
    health = _wait(session, process, port)
    _warn(session, wishes)
    _tell(session, health, "runs")


def _check_ours(session: Session, health: dict[str, Any], port: int) -> None:
    try:
        check_ours(session)
    except AuthError as error:
        data_dir = option_of(health["pid"], "--data-dir")
        raise ConflictError(
            f"port {port} is taken by another orchestrator (pid {health['pid']}"
            + (f", data {data_dir}" if data_dir else "")
            + "), which does not take our token",
            code="port_taken",
            hint=f"provisioning orchestrator start --port {_other_port(port)}",
        ) from error


def _warn(session: Session, wishes: Wishes) -> None:
    """What it serves all the same, but somebody may regret."""
    warning = session.err.paint("warning:", "warn")
    if wishes.no_auth:
        session.err.say(f"{warning} no token is asked for: every user and program of this machine can run operations")
    if wishes.nu_library and not wishes.nu and shutil.which("nu") is None:
        session.err.say(f"{warning} there is no `nu` on PATH: operations in Nushell will fail; --nu PATH names one")


def _answers(session: Session) -> dict[str, Any] | None:
    """What an orchestrator that is there says of itself, None where none is."""
    try:
        health = session.orchestrator.health(timeout_s=2.0)
    except ProvisioningError:
        return None
    return health


def _port_of(session: Session) -> int:
    url = session.settings.url()
    parts = urlsplit(url.value)
    if parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise UsageError(
            f"the URL {url.value} (from {url.origin}) is another machine's; an orchestrator is started on this one",
            code="not_this_machine",
            hint="provisioning orchestrator start --url http://127.0.0.1:9090",
        )
    return parts.port or 80


def _other_port(port: int) -> int:
    """A free one to suggest: 9190 for 9090."""
    for candidate in range(port + 100, min(port + 2000, 65536), 100):
        if owner_of(candidate) is None:
            return candidate
    return 9190


def _spawn(session: Session, wishes: Wishes, port: int) -> subprocess.Popen[bytes]:
    program = find_program(session)
    libraries = _libraries(session, nu=wishes.nu_library)
    data_dir = Path(session.settings.data_dir().value)
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = [program, "serve", "--port", str(port), "--data-dir", str(data_dir.resolve())]
    for library in libraries:
        command += ["--library", str(library)]
    # The interpreter's own path, links unresolved: a virtual environment is known by the link.
    command += ["--workspace", str(Path(session.settings.workspace().value).resolve()), "--python", sys.executable]
    command += ["--slots", str(wishes.slots)] if wishes.slots else []
    command += ["--secrets-command", shlex.join([sys.executable, "-P", "-m", "provisioning_core", "secret", "resolve"])]
    for name in passed_variables():  # names only: values are in the environment that it inherits
        command += ["--pass-environment", name]
    command += ["--nu", wishes.nu] if wishes.nu else []
    command += ["--auth", "none"] if wishes.no_auth else []
    with log_file(session).open("ab") as log:
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(),
                cwd="/",  # it must not keep a file system busy that somebody wants to unmount
                start_new_session=True,
            )
        except OSError as error:
            raise ProvisioningError(f"cannot start {program}: {error.strerror}", code="start_failed") from error


def find_program(session: Session) -> str:
    """Its path: named by PROVISIONING_ORCHESTRATOR, beside our own interpreter, or on PATH."""
    named = session.settings.environment("PROVISIONING_ORCHESTRATOR")
    if named:
        found = shutil.which(named)
        if found is None:
            raise NotFoundError(
                f"PROVISIONING_ORCHESTRATOR is {named!r}: there is no such program", code="no_orchestrator"
            )
        return str(Path(found).absolute())
    found = shutil.which(PROGRAM) or shutil.which(PROGRAM, path=str(Path(sys.executable).parent))
    if found is None:
        raise NotFoundError(
            f"the program {PROGRAM} is neither on PATH nor beside {sys.executable}",
            code="no_orchestrator",
            hint=f"pip install {PROGRAM}, or name it: PROVISIONING_ORCHESTRATOR=/path/to/{PROGRAM}",
        )
    return str(Path(found).absolute())


def _libraries(session: Session, *, nu: bool) -> list[Path]:
    from .libraries import library_roots

    return library_roots(session.settings, nu=nu)


def _environment() -> dict[str, str]:
    """Ours, with the directory of the program `provisioning` first on PATH: operations in Nushell call it."""
    own = Path(sys.argv[0])
    directory = Path(sys.executable).parent
    if not (directory / "provisioning").exists() and own.name == "provisioning" and own.exists():
        directory = own.absolute().parent
    path = os.environ.get("PATH", os.defpath)
    return {**os.environ, "PATH": f"{directory}{os.pathsep}{path}"}


def _wait(session: Session, process: subprocess.Popen[bytes], port: int) -> dict[str, Any]:
    deadline = time.monotonic() + ANSWER_MAX_S
    while time.monotonic() < deadline:
        code = process.poll()
        health = _answers(session)
        if health is not None and health["pid"] == process.pid and health.get("status") != "starting" and code is None:
            return health
        if code is not None:
            raise _ended(session, code, port)
        time.sleep(LOOK_EVERY_S)
    raise UnreachableError(
        f"the orchestrator (pid {process.pid}) does not answer after {ANSWER_MAX_S:.0f} s; it goes on starting",
        code="start_slow",
        hint="provisioning orchestrator logs",
    )


def _ended(session: Session, code: int, port: int) -> ProvisioningError:
    """Why it ended: its own last words."""
    try:
        tail = log_file(session).read_text("utf-8", "replace").splitlines()[-LOG_LINES:]
    except OSError:
        tail = []
    owner = owner_of(port)
    if owner is not None:
        return ConflictError(
            f"port {port} was taken meanwhile by {owner}",
            code="port_taken",
            hint=f"provisioning orchestrator start --port {_other_port(port)}",
        )
    words = "\n".join(f"  {line}" for line in tail)
    how = f"signal {-code}" if code < 0 else f"exit {code}"
    error_class = ConflictError if code == exits.CONFLICT else ProvisioningError
    return error_class(
        f"the orchestrator ended at once ({how}); its log ends with\n{words}",
        code="start_failed",
        hint=f"the whole log: {log_file(session)}",
    )


def _tell(session: Session, health: dict[str, Any], how: str) -> None:
    document = describe(session, health)
    if not session.for_people:
        session.print_document("Orchestrator", document, "url")
        return
    glyph = session.err.paint(session.err.glyphs.good, "good")
    version = f" {document['version']}" if document["version"] else ""
    pid = f"   pid {document['pid']}" if document["pid"] else ""
    session.say(f"{glyph} orchestrator{version} {how}   {document['url']}{pid}")
    session.say(f"  data   {document['data_dir']}")
    named = [f"PROVISIONING_URL={document['url']}"] if session.settings.url().origin == "--url" else []
    if session.settings.data_dir().origin == "--data-dir":  # Its token is there, and where the others look is none.
        named.append(f"PROVISIONING_DATA_DIR={shlex.quote(str(Path(document['data_dir']).absolute()))}")
    if named and how == "runs":
        session.say(f"  for the other commands: export {' '.join(named)}")
    if how == "runs":
        session.say(as_called("  next   provisioning server create INFRA --orchestrated"))
    raise Exit(exits.SUCCEEDED)
