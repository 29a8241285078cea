"""Values in a file encrypted with SOPS, read through its program; written with it too (`sops edit`), not with ours.

The file is secrets.sops.yaml (or .json, .ini) in the configuration directory: tables, `secrets: {name: value}`;
credentials.sops.yaml the same: `upcloud: {token: …}`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from ..errors import UsageError

SUFFIXES = ("yaml", "yml", "json", "ini", "env")
TIMEOUT_S = 20.0


class SopsStore:
    name = "sops"

    def __init__(self, directory: Path, stem: str, environ: Mapping[str, str]) -> None:
        self._directory, self._stem, self._environ = directory, stem, environ
        self._document: dict[str, dict[str, str]] | None = None

    @property
    def place(self) -> str:
        return f"{self._directory / self._stem}.sops.yaml" + ("" if self._program() else " (no `sops` on PATH)")

    def get(self, section: str, name: str) -> str | None:
        return self._read().get(section, {}).get(name)

    def names(self, section: str) -> list[str]:
        return sorted(self._read().get(section, {}))

    def set(self, section: str, name: str, value: str) -> None:
        raise UsageError(
            "files of SOPS are not written here",
            code="read_only_backend",
            hint=f"sops edit {self._file() or self.place}",
        )

    def delete(self, section: str, name: str) -> bool:
        if self.get(section, name) is not None:
            self.set(section, name, "")
        return False

    def _file(self) -> Path | None:
        files = (self._directory / f"{self._stem}.sops.{suffix}" for suffix in SUFFIXES)
        return next((file for file in files if file.is_file()), None)

    def _program(self) -> str | None:
        return shutil.which("sops", path=self._environ.get("PATH"))

    def _read(self) -> dict[str, dict[str, str]]:
        if self._document is None:
            file = self._file()
            self._document = {} if file is None else self._decrypted(file)
        return self._document

    def _decrypted(self, file: Path) -> dict[str, dict[str, str]]:
        program = self._program()
        if program is None:
            raise UsageError(f"{file} is there, and there is no `sops` on PATH to read it", code="no_sops")
        import subprocess  # here: few have such a file, and every operation imports this module

        command = [program, "decrypt", "--output-type", "json", str(file)]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=TIMEOUT_S,
                env=dict(self._environ),
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UsageError(f"{file}: sops could not be run: {type(error).__name__}", code="sops_failed") from None
        if done.returncode != 0:
            said = done.stderr.decode("utf-8", "replace").strip()[:500]
            raise UsageError(
                f"{file} cannot be decrypted (sops, exit code {done.returncode}): {said}", code="sops_failed"
            )
        try:
            found = json.loads(done.stdout)
        except ValueError:
            raise UsageError(f"{file}: sops gave no JSON", code="sops_failed") from None
        tables = found.items() if isinstance(found, dict) else ()
        return {
            section: {name: value for name, value in table.items() if isinstance(value, str)}
            for section, table in tables
            if isinstance(table, dict)
        }
