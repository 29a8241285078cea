"""Where the orchestrator is, which workspace is meant, how to print: each value with the place it came from.

Precedence: flag > environment (`PROVISIONING_*`) > workspace (`settings:` of its provisioning.yaml, only SAFE) > user
(`$XDG_CONFIG_HOME/provisioning/config.toml`) > built-in. What a workspace may say is what cannot harm: if a file of a
clone could say where the orchestrator is, it could have the token sent there.

Which workspace: flag > environment > the nearest upwards > the user's (config.toml, else the active one of
`provisioning workspace switch`) > this directory.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .errors import UsageError

URL_DEFAULT = "http://127.0.0.1:9090"  # the literal address: `localhost` may be looked up, and may be ::1 first
WORKSPACE_FILE = "provisioning.yaml"
PARENTS_MAX = 64

OUTPUTS = ("table", "wide", "json", "yaml", "jsonl", "name")
PROGRESSES = ("auto", "tty", "plain", "json", "quiet")
COLORS = ("auto", "always", "never")
_CHOICES = {"output": OUTPUTS, "progress": PROGRESSES, "color": COLORS}
SAFE = tuple(_CHOICES)
"""What a workspace may set: how things look."""
_NUMBERS = {"kcl_time_s": (30, 1, 3600), "kcl_memory_mb": (1024, 128, 1024 * 1024)}
NAMES = ("url", "data_dir", "token_file", "workspace", "library", *SAFE, *_NUMBERS)


class Setting(NamedTuple):
    """A value and where it came from, in words (`--url`, `PROVISIONING_URL`, a file's path, `default`)."""

    value: str
    origin: str


class Settings:
    """All settings of one invocation, resolved on demand: a file that nothing asks for is never read."""

    def __init__(
        self,
        flags: Mapping[str, str | None] | None = None,
        environ: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> None:
        self._flags = dict(flags or {})
        self._environ = os.environ if environ is None else environ
        self._directory = directory or Path.cwd()
        self._file: dict[str, Any] | None = None
        self._safe: tuple[str, dict[str, str]] | None = None

    def with_flags(self, flags: Mapping[str, str | None]) -> Settings:
        """The same, where flags that are not None win over those given before."""
        merged = self._flags | {name: value for name, value in flags.items() if value is not None}
        return Settings(merged, self._environ, self._directory)

    # --- the values --------------------------------------------------------------------------------------------------

    def url(self) -> Setting:
        found = self._given("url") or Setting(URL_DEFAULT, "default")
        if not found.value.startswith(("http://", "https://")):
            raise UsageError(
                f"the orchestrator's URL (from {found.origin}) is {found.value!r}",
                code="bad_url",
                hint=f"it looks like this: {URL_DEFAULT}",
            )
        return Setting(found.value.rstrip("/"), found.origin)

    def data_dir(self) -> Setting:
        """The data directory of the daemon that `orchestrator start` starts."""
        return self._given("data_dir") or Setting(str(self.state_dir() / "orchestrator"), "default")

    def token_file(self) -> Setting:
        given, data_dir = self._given("token_file"), self.data_dir()
        if given is not None and (given.origin.startswith("--") or data_dir.origin != "--data-dir"):
            return given  # a daemon that the command line names by its directory has its own
        return Setting(str(Path(data_dir.value) / "token"), data_dir.origin)

    def workspace(self) -> Setting:
        """A directory; nobody has looked yet whether it is one."""
        given = self._said("workspace")
        if given is not None:
            return Setting(str(self._directory / given.value), given.origin)
        for directory in (self._directory, *list(self._directory.parents)[:PARENTS_MAX]):
            if (directory / WORKSPACE_FILE).is_file():
                return Setting(str(directory), WORKSPACE_FILE)
        users = self._users("workspace")
        if users is not None:  # relative to its file: the same from everywhere
            return Setting(str(self.config_file().parent / Path(users.value).expanduser()), users.origin)
        from .workspaces.registry import Registry  # here: inside of a workspace nobody asks it

        active = Registry(self.registry_file()).active()
        if active is not None:
            return Setting(str(active.path), f"active in {self.registry_file()}")
        return Setting(str(self._directory), "default")

    def output(self) -> Setting:
        return self._choice("output", "table")

    def progress(self) -> Setting:
        return self._choice("progress", "auto")

    def color(self) -> Setting:
        return self._choice("color", "auto")

    def kcl_time_s(self) -> Setting:
        """How long a definition in KCL may be evaluated, s; a whole number."""
        return self._number("kcl_time_s")

    def kcl_memory_mb(self) -> Setting:
        """How much memory that may take, MiB; a whole number."""
        return self._number("kcl_memory_mb")

    def library(self) -> Setting | None:
        return self._given("library")

    def last_workflow_file(self) -> Path:
        """Remembers what `@last` means; beside the token, so that each daemon has its own."""
        return Path(self.data_dir().value) / "last-workflow"

    def providers(self) -> dict[str, dict[str, Any]]:
        """The user's own settings of providers, by name; a workspace's win over them."""
        return dict(self._from_file().get("providers", {}))

    def by_name(self, name: str) -> Setting | None:
        """One of NAMES; None: it has no value."""
        found: Setting | None = getattr(self, name)()
        return found

    def state_dir(self) -> Path:
        return self._xdg("XDG_STATE_HOME", ".local/state")

    def config_file(self) -> Path:
        return self._xdg("XDG_CONFIG_HOME", ".config") / "config.toml"

    def registry_file(self) -> Path:
        """The workspaces that were registered, and which is the active one."""
        return self.config_file().parent / "workspaces.json"

    def environment(self, name: str) -> str | None:
        return self._environ.get(name) or None

    # --- how they are found ------------------------------------------------------------------------------------------

    def _given(self, name: str) -> Setting | None:
        return self._said(name) or (self._workspaces(name) if name in SAFE else None) or self._users(name)

    def _said(self, name: str) -> Setting | None:
        """By a flag, or in the environment."""
        flag = self._flags.get(name)
        if flag is not None:
            return Setting(flag, "--" + name.replace("_", "-"))
        variable = f"PROVISIONING_{name.upper()}"
        value = self._environ.get(variable)
        return Setting(value, variable) if value else None

    def _workspaces(self, name: str) -> Setting | None:
        if self._safe is None:
            file = Path(self.workspace().value) / WORKSPACE_FILE
            self._safe = str(file), _safe_settings(file)
        value = self._safe[1].get(name)
        return None if value is None else Setting(value, self._safe[0])

    def _users(self, name: str) -> Setting | None:
        value = self._from_file().get(name)
        return None if value is None else Setting(value, str(self.config_file()))

    def _choice(self, name: str, default: str) -> Setting:
        found = self._given(name) or Setting(default, "default")
        if found.value not in _CHOICES[name]:
            raise UsageError(
                f"{name} (from {found.origin}) is {found.value!r}",
                code="bad_setting",
                hint=f"one of: {', '.join(_CHOICES[name])}",
            )
        return found

    def _number(self, name: str) -> Setting:
        default, least, most = _NUMBERS[name]
        found = self._given(name) or Setting(str(default), "default")
        if not found.value.isdecimal() or not least <= int(found.value[:20]) <= most:
            raise UsageError(
                f"{name} (from {found.origin}) is {found.value!r}",
                code="bad_setting",
                hint=f"a whole number from {least} to {most}",
            )
        return found

    def _xdg(self, variable: str, fallback: str) -> Path:
        base = self._environ.get(variable) or ""
        home = Path(self._environ.get("HOME") or "~").expanduser()
        # The XDG specification says to ignore relative paths.
        return (Path(base) if base.startswith("/") else home / fallback) / "provisioning"

    def _from_file(self) -> dict[str, Any]:
        if self._file is None:
            self._file = self._read_file()
        return self._file

    def _read_file(self) -> dict[str, Any]:
        path = self.config_file()
        try:
            text = path.read_text("utf-8")
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return {}
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read the settings in {path}: {error}", code="bad_settings_file") from error
        import tomllib  # here: most users have no such file, and parsing costs start-up time

        try:
            table = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"{path} is not TOML: {error}", code="bad_settings_file") from error
        for name, value in table.items():
            if name == "providers":
                _check_providers(path, value)
            elif name not in NAMES:
                known = f"known: {', '.join((*NAMES, 'providers'))}"
                raise UsageError(f"{path}: unknown setting {name!r}", code="bad_settings_file", hint=known)
            elif name in _NUMBERS and type(value) is int:
                table[name] = str(value)
            elif not isinstance(value, str):
                raise UsageError(f"{path}: {name} is {value!r}; text is expected", code="bad_settings_file")
        return table


def _check_providers(path: Path, value: object) -> None:
    tables = value.values() if isinstance(value, dict) else [value]
    if not all(isinstance(table, dict) for table in tables):
        raise UsageError(
            f"{path}: providers holds something that is no table",
            code="bad_settings_file",
            hint='one table for each provider: [providers.upcloud], below it url = "…"',
        )


def _safe_settings(file: Path) -> dict[str, str]:
    """What `settings:` of a workspace's file says that is good. Who opens the file says what is not, and where."""
    try:
        data = file.read_bytes()
    except (OSError, ValueError):
        return {}
    if b"settings" not in data:  # most say nothing, and reading YAML costs start-up time
        return {}
    from .yamlfile import DefinitionErrors, read_yaml

    try:
        root = read_yaml(file, file.name)
    except (DefinitionErrors, OSError):
        return {}
    settings = root.plain().get("settings") if root.kind() == "a mapping" else None
    found = settings if isinstance(settings, dict) else {}
    return {name: value for name, value in found.items() if name in SAFE and value in _CHOICES[name]}
