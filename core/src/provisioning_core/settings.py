"""Where the orchestrator is, which workspace is meant, how to print: each value with the place it came from.

Precedence: flag > environment (`PROVISIONING_*`) > user file (`$XDG_CONFIG_HOME/provisioning/config.toml`) > default.
A project contributes only itself (the workspace, found upwards by its `provisioning.yaml`): if a file of a clone could
say where the orchestrator is, it could have the token sent there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from .errors import UsageError

URL_DEFAULT = "http://127.0.0.1:9090"  # the literal address: `localhost` may be looked up, and may be ::1 first
WORKSPACE_FILE = "provisioning.yaml"
PARENTS_MAX = 64

OUTPUTS = ("table", "wide", "json", "yaml", "jsonl", "name")
PROGRESSES = ("auto", "tty", "plain", "json", "quiet")
COLORS = ("auto", "always", "never")
_CHOICES = {"output": OUTPUTS, "progress": PROGRESSES, "color": COLORS}


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
        self._file: dict[str, str] | None = None

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
        """The directory that was given, else the nearest one upwards with a `provisioning.yaml`, else this one."""
        given = self._given("workspace")
        if given is not None:
            return Setting(str(self._directory / given.value), given.origin)
        for directory in (self._directory, *list(self._directory.parents)[:PARENTS_MAX]):
            if (directory / WORKSPACE_FILE).is_file():
                return Setting(str(directory), WORKSPACE_FILE)
        return Setting(str(self._directory), "default")

    def output(self) -> Setting:
        return self._choice("output", "table")

    def progress(self) -> Setting:
        return self._choice("progress", "auto")

    def color(self) -> Setting:
        return self._choice("color", "auto")

    def library(self) -> Setting | None:
        return self._given("library")

    def last_workflow_file(self) -> Path:
        """Remembers what `@last` means; beside the token, so that each daemon has its own."""
        return Path(self.data_dir().value) / "last-workflow"

    def state_dir(self) -> Path:
        return self._xdg("XDG_STATE_HOME", ".local/state")

    def config_file(self) -> Path:
        return self._xdg("XDG_CONFIG_HOME", ".config") / "config.toml"

    def environment(self, name: str) -> str | None:
        return self._environ.get(name) or None

    # --- how they are found ------------------------------------------------------------------------------------------

    def _given(self, name: str) -> Setting | None:
        flag = self._flags.get(name)
        if flag is not None:
            return Setting(flag, "--" + name.replace("_", "-"))
        variable = f"PROVISIONING_{name.upper()}"
        if value := self._environ.get(variable):
            return Setting(value, variable)
        if (value := self._from_file().get(name)) is not None:
            return Setting(value, str(self.config_file()))
        return None

    def _choice(self, name: str, default: str) -> Setting:
        found = self._given(name) or Setting(default, "default")
        if found.value not in _CHOICES[name]:
            raise UsageError(
                f"{name} (from {found.origin}) is {found.value!r}",
                code="bad_setting",
                hint=f"one of: {', '.join(_CHOICES[name])}",
            )
        return found

    def _xdg(self, variable: str, fallback: str) -> Path:
        base = self._environ.get(variable) or ""
        home = Path(self._environ.get("HOME") or "~").expanduser()
        # The XDG specification says to ignore relative paths.
        return (Path(base) if base.startswith("/") else home / fallback) / "provisioning"

    def _from_file(self) -> dict[str, str]:
        if self._file is None:
            self._file = self._read_file()
        return self._file

    def _read_file(self) -> dict[str, str]:
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
        known = ("url", "data_dir", "token_file", "workspace", "output", "progress", "color", "library")
        for name, value in table.items():
            if name not in known:
                raise UsageError(
                    f"{path}: unknown setting {name!r}", code="bad_settings_file", hint=f"known: {', '.join(known)}"
                )
            if not isinstance(value, str):
                raise UsageError(f"{path}: {name} is {value!r}; text is expected", code="bad_settings_file")
        return table
