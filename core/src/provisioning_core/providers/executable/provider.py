"""The executable's answers as a `Provider`: five verbs, and what it says of itself beyond them."""

from __future__ import annotations

import builtins
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

from ...capabilities import Capabilities, PlanInfo, PowerAction
from ...errors import LoginRefusedError, ProviderError
from ...library import Interpreters
from ...provider import Created, Kind, Resource, Wish
from ...secrets import CredentialField, credentials
from ...secrets.credentials import credentials_place
from ...yamlfile import shown
from .answers import Answer, Offer, read_error
from .call import Call

DEADLINE_S: Mapping[str, float] = {"create": 3600.0, "delete": 1800.0, "update": 3600.0, "power": 1800.0}
DEADLINE_DEFAULT_S = 120.0
LOGIN_REFUSED = ("credentials_refused", "auth_failed", "unauthorized", "forbidden")
"""Codes of an executable's errors that mean: not with these credentials."""


class ExecutableProvider:
    """file: what is run; a `.py` by this Python, a `.nu` by Nushell, anything else by itself.

    settings: are given to it with each request; `deadline_s` among them bounds each verb (the defaults are generous:
    an operation has a timeout of its own).
    """

    def __init__(self, name: str, file: Path, workspace: Path, settings: Mapping[str, Any] = {}) -> None:
        self.name, self.file = name, Path(file)
        self._workspace, self._settings = Path(workspace).resolve(), settings
        self._credentials: dict[str, str] = {}
        self._fields: Sequence[CredentialField] = ()
        self._normalized: dict[str, dict[str, Any]] = {}

    @property
    def capabilities(self) -> Capabilities:
        return self._offer.capabilities

    @property
    def normalizes(self) -> bool:
        return self._offer.normalizes

    # --- the five verbs ----------------------------------------------------------------------------------------------

    def create(self, wish: Wish, *, announce: Callable[[Resource], None] = lambda _: None) -> Created:
        # Its specs are checked by it: what it refuses in `normalize` it refuses here.
        return self._ask("create", wish.kind, {"wish": asdict(wish)}, announce).created()

    def find(self, kind: Kind, *, intent: str | None = None, key: str | None = None) -> Resource | None:
        if not _sendable(intent, key):
            return None
        return self._ask("find", kind, {"kind": kind, "intent": intent, "key": key}).resource_or_none()

    def get(self, kind: Kind, id: str) -> Resource | None:
        return self._ask("get", kind, {"kind": kind, "id": id}).resource_or_none() if _sendable(id) else None

    def list(self, kind: Kind, *, infra: str | None = None) -> builtins.list[Resource]:
        found = self._ask("list", kind, {"kind": kind, "infra": infra}).resources()
        return sorted((one for one in found if infra in (None, one.infra)), key=lambda one: one.key)

    def delete(self, kind: Kind, id: str) -> bool:
        return self._ask("delete", kind, {"kind": kind, "id": id}).flag("deleted") if _sendable(id) else False

    # --- beyond them, where `capabilities` says so --------------------------------------------------------------------

    def normalize(self, kind: Kind, spec: Mapping[str, Any]) -> dict[str, Any]:
        """As it is, where the executable has no terms of its own. Asked once for each spec: a plan has many alike."""
        if not self._offer.normalizes:
            return dict(spec)
        asked = json.dumps([kind, spec], sort_keys=True)
        if asked not in self._normalized:
            self._normalized[asked] = self._ask("normalize", kind, {"kind": kind, "spec": spec}).record("spec")
        given: dict[str, Any] = json.loads(json.dumps(self._normalized[asked]))
        return given

    def update(self, id: str, wish: Wish) -> Resource:
        self._must("update")
        return self._ask("update", wish.kind, {"id": id, "wish": asdict(wish)}).resource()

    def power(self, id: str, action: PowerAction) -> Resource:
        self._must("power")
        return self._ask("power", "server", {"id": id, "action": action}).resource()

    def unmanaged(self, kind: Kind) -> builtins.list[Resource]:
        self._must("adopt")
        return self._ask("unmanaged", kind, {"kind": kind}).resources()

    def adopt(self, id: str, wish: Wish) -> Resource:
        self._must("adopt")
        return self._ask("adopt", wish.kind, {"id": id, "wish": asdict(wish)}).resource()

    def zones(self) -> builtins.list[str]:
        self._must("zones")
        return self._ask("zones", "server", {}).texts("zones")

    def plans(self, zone: str | None = None) -> builtins.list[PlanInfo]:
        self._must("plans")
        return self._ask("plans", "server", {"zone": zone}).plans()

    def images(self) -> builtins.list[str]:
        self._must("images")
        return self._ask("images", "server", {}).texts("images")

    def check(self) -> builtins.list[dict[str, Any]]:
        """What it says of itself for `provider check`; nothing, where it has no such verb."""
        return self._ask("check", "server", {}).checks() if self._offer.checks else []

    def credential_fields(self) -> builtins.list[CredentialField]:
        """What it asks for when it is given no credentials; nothing, where it needs none. Raises as every verb."""
        kind = self.capabilities.kinds[0]
        answer = self._answer("list", kind, {"kind": kind, "infra": None}, lambda _: None, bare=True)
        if (fields := answer.credential_fields()) is None and (error := read_error(answer)):
            raise error
        return fields or []

    # --- asking ------------------------------------------------------------------------------------------------------

    @cached_property
    def _offer(self) -> Offer:
        try:
            return self._ask("capabilities", "server", {}).offer()
        except ProviderError as error:
            if error.code != "unknown_verb":
                raise
            return Offer(Capabilities())

    def _must(self, flag: str) -> None:
        if flag not in self.capabilities.flags:
            raise ProviderError(
                f"provider {self.name} has no `{flag}`: its capabilities do not say so",
                code="unsupported",
                retryable=False,
            )

    def _ask(
        self, verb: str, kind: Kind, request: Mapping[str, Any], announce: Callable[[Resource], None] = lambda _: None
    ) -> Answer:
        """The answer to one verb. Raises ProviderError: what the executable says, or what is wrong with its saying.

        Where it says that it needs credentials they are looked up, and it is asked once more. Raises AuthError.
        """
        if not _sendable(request):
            raise ProviderError(
                f"provider {self.name}: {shown(_unsendable(request))} is no Unicode text",
                code="bad_text",
                retryable=False,
            )
        answer = self._answer(verb, kind, request, announce)
        fields = answer.credential_fields()
        if fields and not self._credentials:
            self._fields = fields
            found = credentials(self.name, fields, needed=[[field.name for field in fields]])
            self._credentials = {name: value.reveal() for name, value in found.items()}
            answer = self._answer(verb, kind, request, announce)
            fields = answer.credential_fields()  # asked for again: what it was given is not good
        if error := read_error(answer):
            if fields is not None or (error.code in LOGIN_REFUSED and self._credentials):
                place = credentials_place(self.name, fields or self._fields)
                hint = f"the credentials are from {place}: provisioning provider login {self.name} replaces them"
                raise LoginRefusedError(error.message, code=LOGIN_REFUSED[0], hint=hint)
            raise error
        return answer

    def _answer(
        self,
        verb: str,
        kind: Kind,
        request: Mapping[str, Any],
        announce: Callable[[Resource], None],
        *,
        bare: bool = False,
    ) -> Answer:
        """bare: without credentials, also where there are some."""
        deadline_s = float(self._settings.get("deadline_s") or DEADLINE_S.get(verb, DEADLINE_DEFAULT_S))
        told = {"settings": dict(self._settings), **request}
        told |= {"credentials": self._credentials} if self._credentials and not bare else {}
        call = Call(self.name, self._command(), self._workspace, verb, deadline_s)
        # Closed at once, whatever is raised here: the process ends with it.
        with closing(call.lines(told)) as lines:
            for said in lines:
                answer = Answer(self.name, verb, kind, said)
                if "announce" in said:
                    announce(answer.announced())
        return answer

    def _command(self) -> builtins.list[str]:
        file = str(self.file)
        if self.file.suffix == ".py":
            return [sys.executable, "-P", file]
        if self.file.suffix == ".nu":
            return [self._nu(), "--no-config-file", "--stdin", file]
        if not os.access(file, os.X_OK):
            raise ProviderError(
                f"provider {self.name}: {file} is not executable",
                code="not_runnable",
                hint=f"chmod +x {file}",
                retryable=False,
            )
        return [file]

    def _nu(self) -> str:
        nu = Interpreters().nu
        if shutil.which(nu) is None:
            raise ProviderError(
                f"provider {self.name} is in Nushell, and there is no `nu` on PATH",
                code="not_runnable",
                hint="https://www.nushell.sh/book/installation.html",
                retryable=False,
            )
        return nu


def _sendable(*values: Any) -> bool:
    """Half a surrogate pair is no text: it can be in a Python string, and in no other language's."""
    return not any(_unsendable(value) for value in values)


def _unsendable(value: Any) -> str | None:
    if isinstance(value, str):
        return None if value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value) else value
    if isinstance(value, Mapping):
        return next((bad for pair in value.items() for part in pair if (bad := _unsendable(part)) is not None), None)
    if isinstance(value, list | tuple):
        return next((bad for each in value if (bad := _unsendable(each)) is not None), None)
    return None
