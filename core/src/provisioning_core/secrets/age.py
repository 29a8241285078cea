"""Values in a file encrypted with age, by the library `pyrage`; it can be in a repository of dotfiles.

The identity is the file that PROVISIONING_AGE_IDENTITY names, else `age.key` beside the encrypted file; made when the
first value is set.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..extras import install_line
from .document import Document, read_document, write_document
from .places import changing, read_private, write_private

VARIABLE = "PROVISIONING_AGE_IDENTITY"
_MARK = "AGE-SECRET-KEY-"


class AgeStore:
    name = "age"

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self._path = path
        named = environ.get(VARIABLE)
        self._identity = Path(named) if named else path.with_name("age.key")

    @property
    def place(self) -> str:
        return f"{self._path} (identity: {self._identity})"

    def get(self, section: str, name: str) -> str | None:
        return self._read().get(section, {}).get(name)

    def names(self, section: str) -> list[str]:
        return sorted(self._read().get(section, {}))

    def set(self, section: str, name: str, value: str) -> None:
        with changing(self._path):
            identities = self._identities() or self._new_identity()
            document = self._read()
            document.setdefault(section, {})[name] = value
            self._write(document, identities)

    def delete(self, section: str, name: str) -> bool:
        with changing(self._path):
            document = self._read()
            if document.get(section, {}).pop(name, None) is None:
                return False
            self._write(document, self._identities())
            return True

    def _read(self) -> Document:
        if not self._path.is_file():
            return {}
        identities = self._identities()
        if not identities:
            raise UsageError(
                f"{self._path} cannot be decrypted: there is no identity at {self._identity}",
                code="no_age_identity",
                hint=f"name its file: {VARIABLE}=/path/to/key",
            )
        pyrage = self._library()
        try:
            text = pyrage.decrypt(self._path.read_bytes(), identities).decode("utf-8", "replace")
        except Exception as error:  # pyrage's own, which are no common class
            raise UsageError(
                f"{self._path} cannot be decrypted with {self._identity}: {type(error).__name__}",
                code="age_failed",
            ) from None
        return read_document(text, str(self._path))

    def _write(self, document: Document, identities: list[Any]) -> None:
        recipients = [identity.to_public() for identity in identities]
        write_private(self._path, self._library().encrypt(write_document(document).encode(), recipients))

    def _identities(self) -> list[Any]:
        content = read_private(self._identity)
        if content is None:
            return []
        lines = [line.strip() for line in content.decode("utf-8", "replace").splitlines()]
        found = [line for line in lines if line.startswith(_MARK)]
        pyrage = self._library()
        try:
            return [pyrage.x25519.Identity.from_str(line) for line in found]
        except Exception:  # its words may quote the key
            raise UsageError(f"{self._identity} holds no identity of age", code="no_age_identity") from None

    def _new_identity(self) -> list[Any]:
        identity = self._library().x25519.Identity.generate()
        content = f"# public key: {identity.to_public()}\n{identity}\n"
        self._identity.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self._identity, content.encode())
        return [identity]

    def _library(self) -> Any:
        if find_spec("pyrage") is None:
            raise UsageError(
                f"{self._path} is encrypted with age, and the package `pyrage` is not installed",
                code="no_age",
                hint=install_line("age"),
            )
        import pyrage

        return pyrage
