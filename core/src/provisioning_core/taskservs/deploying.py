"""Runs an `install.py` in this very process: pyinfra over SSH, each operation executed as it is called.

pyinfra usually collects all operations first and executes them afterwards. Here every call is executed at once, so that
facts are true when they are asked for, `if done.did_change():` works, and what is told is what happens. pyinfra brings
gevent and paramiko: this module imports them, and nobody imports this module but the attempt that needs it.
"""

from __future__ import annotations

import importlib.util
import logging
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import ProviderError, ProvisioningError, UsageError
from .deployed import Deployed
from .server import Server

_api: Any = import_module("pyinfra.api")  # its own types say less than it does
_connect: Any = import_module("pyinfra.api.connect")
_context: Any = import_module("pyinfra.context")
_NestedOperationError: Any = import_module("pyinfra.api.exceptions").NestedOperationError
_Stage: Any = import_module("pyinfra.api.state").StateStage
# It would print whatever a failed command says, passwords included; we say the last words ourselves, without them.
logging.getLogger("pyinfra").addHandler(logging.NullHandler())
logging.getLogger("pyinfra").propagate = False
CONNECT_S = 20
_OF_THE_WAY = ("paramiko", "pyinfra")
ERROR_LINES = 5


def load(folder: Path) -> ModuleType:
    """The module `install.py` of that folder. Raises UsageError where it cannot be imported."""
    file = folder / "install.py"
    spec = importlib.util.spec_from_file_location(f"taskserv_{folder.name.replace('-', '_')}", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UsageError(f"cannot import {_told(error, folder)}", code="bad_taskserv") from error
    return module


def deploy(
    ssh: Mapping[str, Any], server: Server, verb: str, arguments: Sequence[Any], *, sudo: bool, temporary: str | None
) -> Deployed:
    """Call `verb` of the folder's install.py with the server and the arguments.

    temporary: a directory on the server that only its user can read. Raises ProviderError (`unreachable`,
    `operation_failed`; `taskserv_failed` for what the function itself raises, with its file and line), UsageError.
    """
    module = load(server.folder)
    function: Callable[..., Any] | None = getattr(module, verb, None)
    if function is None:
        raise UsageError(f"{server.folder / 'install.py'} has no function {verb!r}", code="bad_taskserv")
    state = _connected(ssh, server, sudo=sudo, temporary=temporary)
    host = next(iter(state.inventory))
    ear = _Ear(server.tell)
    state.add_callback_handler(ear)
    try:
        with _context.ctx_state.use(state), _context.ctx_host.use(host):
            facts = function(server, *arguments)
        ear.settle(state, host)
    except _NestedOperationError as error:
        raise _failed(state, host, str(error.args[0])) from error
    except ProvisioningError:
        raise
    except Exception as error:
        # What a server or the way to it says may be better next time, a fault in the taskserv will not.
        passing = isinstance(error, OSError | EOFError) or type(error).__module__.partition(".")[0] in _OF_THE_WAY
        raise ProviderError(_told(error, server.folder), code="taskserv_failed", retryable=passing) from error
    finally:
        _connect.disconnect_all(state)
        # pyinfra forgets the client and leaves its transport's thread, which would end only with the process.
        client = getattr(host.connector, "client", None)
        if client is not None:
            client.close()
    return Deployed(dict(facts or {}), tuple(ear.changed))


def _connected(ssh: Mapping[str, Any], server: Server, *, sudo: bool, temporary: str | None) -> Any:
    data = {
        "ssh_hostname": ssh["host"],
        "ssh_port": int(ssh["port"]),
        "ssh_user": ssh["user"],
        "ssh_key": str(ssh["identity_file"]),
        "ssh_known_hosts_file": str(ssh["known_hosts_file"]),
        "ssh_strict_host_key_checking": "yes",
        "ssh_config_file": "/dev/null",
        "provisioning": server,
    }
    inventory = _api.Inventory(([(server.name, data)], {}))
    config = _api.Config(CONNECT_TIMEOUT=CONNECT_S, SUDO=sudo, TEMP_DIR=temporary, FAIL_PERCENT=0)
    state = _api.State(inventory, config, check_for_changes=False)
    try:
        state.set_stage(_Stage.Connect)
        _connect.connect_all(state)
    except _api.exceptions.PyinfraError as error:
        where = f"{ssh['user']}@{ssh['host']} port {ssh['port']}"
        raise ProviderError(f"cannot connect to {where}: {error}", code="unreachable") from error
    state.set_stage(_Stage.Prepare)
    state.set_stage(_Stage.Execute)
    state.is_executing = True
    return state


class _Ear(_api.BaseStateCallback):  # type: ignore[misc]
    """Tells each operation as it begins, and afterwards whether it has changed anything."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.changed: list[str] = []
        self._tell = tell
        self._settled: set[str] = set()

    def operation_host_start(self, state: Any, host: Any, op_hash: str) -> None:
        self.settle(state, host)
        self._tell(_name(state, op_hash))

    def settle(self, state: Any, host: Any) -> None:
        for op_hash, data in state.ops[host].items():
            meta = data.operation_meta
            if op_hash not in self._settled and meta.is_complete():
                self._settled.add(op_hash)
                if meta.did_change():
                    self.changed.append(_name(state, op_hash))
                    self._tell(f"{_name(state, op_hash)}: changed")


def _name(state: Any, op_hash: str) -> str:
    return ", ".join(sorted(state.get_op_meta(op_hash).names))


def _told(error: Exception, folder: Path) -> str:
    """The error with the last place in the taskserv's own folder that led to it."""
    places = [
        (Path(frame.f_code.co_filename), line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if Path(frame.f_code.co_filename).is_relative_to(folder)
    ]
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).is_relative_to(folder):
        places.append((Path(error.filename), error.lineno or 1))
    words = f"{type(error).__name__}: {error.msg if isinstance(error, SyntaxError) else error}"
    file, line = places[-1] if places else (folder / "install.py", 1)
    return f"{folder.name}/{file.relative_to(folder)}:{line}: {words}"


def _failed(state: Any, host: Any, op_hash: str) -> ProviderError:
    meta = state.ops[host][op_hash].operation_meta
    lines = [line.strip() for line in (meta.stderr_lines or meta.stdout_lines) if line.strip()]
    said = " · ".join(lines[-ERROR_LINES:]) or "it says nothing"
    return ProviderError(f"{_name(state, op_hash)} failed: {said}", code="operation_failed")
