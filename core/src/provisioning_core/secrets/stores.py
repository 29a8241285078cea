"""Where values are kept: a private file, the keyring of the operating system, an age file, a SOPS file.

All hold texts under a section and a name. `secret://name` is (`secrets`, name); a provider's credential is
(provider, field). Each says of itself where it looks, so that an error can name every place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from ..errors import UsageError
from ..extras import install_line
from .age import AgeStore
from .document import Document, read_document, write_document
from .places import changing, config_dir, read_private, write_private
from .sops import SopsStore

SECRETS = "secrets"
BACKENDS = ("file", "keyring", "age")


class Store(Protocol):
    """name: as in --backend. place: where it looks, in words."""

    @property
    def name(self) -> str: ...

    @property
    def place(self) -> str: ...

    def get(self, section: str, name: str) -> str | None:
        """None: it is not there (nor is the store). Raises UsageError where it may be there and cannot be read."""

    def names(self, section: str) -> list[str]: ...

    def set(self, section: str, name: str, value: str) -> None: ...

    def delete(self, section: str, name: str) -> bool:
        """True: it was there."""


class FileStore:
    """A TOML file that only we can read."""

    name = "file"

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def place(self) -> str:
        return str(self._path)

    def get(self, section: str, name: str) -> str | None:
        return self._read().get(section, {}).get(name)

    def names(self, section: str) -> list[str]:
        return sorted(self._read().get(section, {}))

    def set(self, section: str, name: str, value: str) -> None:
        with changing(self._path):
            document = self._read()
            document.setdefault(section, {})[name] = value
            write_private(self._path, write_document(document).encode())

    def delete(self, section: str, name: str) -> bool:
        with changing(self._path):
            document = self._read()
            if document.get(section, {}).pop(name, None) is None:
                return False
            write_private(self._path, write_document(document).encode())
            return True

    def _read(self) -> Document:
        content = read_private(self._path)
        return {} if content is None else read_document(content.decode("utf-8", "replace"), str(self._path))


class KeyringStore:
    """The keyring of the operating system, through `keyring` where that is installed. A keyring tells no names, so an
    entry of our own holds them."""

    name = "keyring"
    service = "provisioning"

    @property
    def place(self) -> str:
        return "the keyring of the operating system" + ("" if _keyring_installed() else " (not installed: keyring)")

    def get(self, section: str, name: str) -> str | None:
        if not _keyring_installed():
            return None
        import keyring
        import keyring.errors

        try:
            return keyring.get_password(self.service, f"{section}/{name}")
        except keyring.errors.NoKeyringError:
            return None
        except Exception as error:  # of a backend: locked, its service gone
            raise self._failed("read", error) from None

    def names(self, section: str) -> list[str]:
        try:
            found = json.loads(self.get("names", section) or "[]")
        except ValueError:
            found = []
        return [name for name in found if isinstance(name, str)]

    def set(self, section: str, name: str, value: str) -> None:
        self._put(section, name, value)
        self._put("names", section, json.dumps(sorted({*self.names(section), name})))

    def delete(self, section: str, name: str) -> bool:
        if self.get(section, name) is None:
            return False
        import keyring

        try:
            keyring.delete_password(self.service, f"{section}/{name}")
        except Exception as error:
            raise self._failed("written", error) from None
        self._put("names", section, json.dumps(sorted({*self.names(section)} - {name})))
        return True

    def _put(self, section: str, name: str, value: str) -> None:
        if not _keyring_installed():
            raise UsageError(
                "the keyring cannot be used: the package `keyring` is not installed",
                code="no_keyring",
                hint=f"{install_line('keyring')}, or --backend file",
            )
        import keyring

        try:
            keyring.set_password(self.service, f"{section}/{name}", value)
        except Exception as error:
            raise self._failed("written", error) from None

    def _failed(self, what: str, error: Exception) -> UsageError:
        if type(error).__name__ == "NoKeyringError":
            return UsageError(
                f"the keyring cannot be {what}: this system has none that the package `keyring` knows",
                code="no_keyring",
                hint="--backend file or --backend age",
            )
        # Its words are not shown: a backend may say what it was given.
        return UsageError(
            f"the keyring cannot be {what}: {type(error).__name__}",
            code="keyring_failed",
            hint="unlock it, or use --backend file",
        )


def secret_stores(environ: Mapping[str, str]) -> list[Store]:
    """Of `secret://` references, in the order in which they are asked."""
    directory = config_dir(environ)
    return [
        FileStore(directory / "secrets.toml"),
        KeyringStore(),
        AgeStore(directory / "secrets.age", environ),
        SopsStore(directory, "secrets", environ),
    ]


def credential_stores(environ: Mapping[str, str]) -> list[Store]:
    """Of providers' credentials, in the order in which they are asked, after the environment."""
    directory = config_dir(environ)
    return [
        FileStore(directory / "credentials.toml"),
        KeyringStore(),
        AgeStore(directory / "credentials.age", environ),
        SopsStore(directory, "credentials", environ),
    ]


def _keyring_installed() -> bool:
    from importlib.util import find_spec

    return find_spec("keyring") is not None
