"""The credentials of a provider: from the environment, a private file, the keyring, an age or a SOPS file.

found = credentials("upcloud", [CredentialField("token", ("UPCLOUD_TOKEN",))])
api = Api(found["token"].reveal())
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import AuthError
from .secret import Secret
from .stores import Store, credential_stores


@dataclass(frozen=True, slots=True)
class CredentialField:
    """name: in the file's table, e.g. `token`. variables: of the environment, the first that is set counts.

    secret False: it may be shown and typed openly (a user's name, a region). help: what `provider login` asks for.
    """

    name: str
    variables: tuple[str, ...] = ()
    secret: bool = True
    help: str = ""


def credentials(
    provider: str,
    fields: Iterable[CredentialField | str],
    environ: Mapping[str, str] = os.environ,
    *,
    needed: Sequence[Sequence[str]] = (),
) -> dict[str, Secret]:
    """The fields that were found. All come from one place: half of one login and half of another is no login.

    needed: sets of fields, of which one must be found whole: (("token",), ("username", "password")); the first place
    that has such a set counts. Left out: the first place that has anything, else an empty dict. Raises AuthError
    (`no_credentials`), naming every place that was looked at, and UsageError where a place may hold them and cannot be
    read.
    """
    wanted = [CredentialField(field) if isinstance(field, str) else field for field in fields]
    found = _from_environment(provider, wanted, environ)
    if _enough(found, needed):
        return found
    stores = credential_stores(environ)
    partly = found
    for store in stores:
        found = _from_store(provider, wanted, store)
        if _enough(found, needed):
            return found
        partly = partly or found
    if needed:
        raise _missing(provider, wanted, partly, stores, needed, environ)
    return {}


def credentials_place(
    provider: str,
    fields: Iterable[CredentialField],
    environ: Mapping[str, str] = os.environ,
    *,
    needed: Sequence[Sequence[str]] = (),
) -> str:
    """Where `credentials` takes them from, in words: for whoever is told that they were refused. Empty: nowhere."""
    wanted = list(fields)
    if _enough(found := _from_environment(provider, wanted, environ), needed):
        used = [next(name for name in field.variables if environ.get(name)) for field in wanted if field.name in found]
        return _environment(used, environ)
    stores = credential_stores(environ)
    return next((store.place for store in stores if _enough(_from_store(provider, wanted, store), needed)), "")


ATTEMPT = "PROVISIONING_ATTEMPT"
"""In the environment of whatever the orchestrator has started: contract/task.json."""


def _environment(variables: Sequence[str], environ: Mapping[str, str]) -> str:
    """Whose it is, in words: a task has that of the orchestrator, where an `export` of today is not seen."""
    orchestrated = ATTEMPT in environ
    whose = "the environment that the orchestrator was started with" if orchestrated else "the environment"
    return f"{whose} ({', '.join(variables)})"


def _enough(found: Mapping[str, Secret], needed: Sequence[Sequence[str]]) -> bool:
    return any(all(name in found for name in names) for names in needed) if needed else bool(found)


def _from_environment(
    provider: str, wanted: Sequence[CredentialField], environ: Mapping[str, str]
) -> dict[str, Secret]:
    found = {}
    for field in wanted:
        value = next((environ[name] for name in field.variables if environ.get(name)), None)
        if value is not None:
            found[field.name] = _secret(value, provider, field)
    return found


def _from_store(provider: str, wanted: Sequence[CredentialField], store: Store) -> dict[str, Secret]:
    values = {field.name: store.get(provider, field.name) for field in wanted}
    return {
        field.name: _secret(value, provider, field) for field in wanted if (value := values[field.name]) is not None
    }


def _secret(value: str, provider: str, field: CredentialField) -> Secret:
    return Secret(value, f"{provider}/{field.name}", open=not field.secret)


def _missing(
    provider: str,
    wanted: Sequence[CredentialField],
    found: Mapping[str, Secret],
    stores: Sequence[Store],
    needed: Sequence[Sequence[str]],
    environ: Mapping[str, str],
) -> AuthError:
    variables = [name for field in wanted for name in field.variables]
    places = [_environment(variables, environ)] if variables else []
    places += [store.place for store in stores]
    wish = " or ".join(" and ".join(names) for names in needed)
    has = f"only {', '.join(found)} was found" if found else "none were found"
    return AuthError(
        f"no credentials of the provider {provider}: {wish} is needed, {has}. Looked at: {'; '.join(places)}",
        code="no_credentials",
        hint=f"provisioning provider login {provider}",
    )
