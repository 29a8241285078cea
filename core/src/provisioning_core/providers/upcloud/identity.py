"""Whose a resource is, in UpCloud's labels.

A label's key has 2 to 32 printable ASCII characters and is compared regardless of case, its value 255 at most. Our
keys have slashes, which are allowed, and as good as always fit; what is not plain ASCII in them is escaped as in
URLs. A key that is too long even so is refused: cut, it could be taken for another one.

    provisioning-key      the key                    provisioning-intent   the intent
    provisioning-infra    provisioning-name          those of the wish
    provisioning-image    of a server: its image's title, which UpCloud does not tell of an existing one
    provisioning-of       of a storage: the key of the server whose part it is, also where it is not attached yet
    provisioning-open     of a server: `making`, until it was entered for the first time; `restarting`, while an update
                          has it stopped

All other labels are the user's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, unquote

from ...capabilities import Fault, RefusedError
from ...provider import Wish
from ...yamlfile import shown
from ..labels import LabelRules

OURS = "provisioning-"
KEY, INTENT, INFRA, NAME = f"{OURS}key", f"{OURS}intent", f"{OURS}infra", f"{OURS}name"
IMAGE, OF, OPEN = f"{OURS}image", f"{OURS}of", f"{OURS}open"
MAKING, RESTARTING = "making", "restarting"
VALUE_MAX = 255
_SHORTER = "use shorter names for the workspace, the infra or the resource"
LABELS = LabelRules(
    re.compile(r"[ -^`-~][ -~]{1,31}"),
    "2 to 32 printable ASCII characters, of which the first is not _",
    re.compile(rf".{{0,{VALUE_MAX}}}", re.DOTALL),
    f"at most {VALUE_MAX} characters",
    (OURS,),
)


def written_key(key: str) -> str:
    """Raises RefusedError (`bad_key`)."""
    if faults := key_faults(key):
        raise RefusedError("cannot be labelled", faults, hint=_SHORTER)
    return _written(key)


def key_faults(key: str) -> list[Fault]:
    written = _written(key)
    if written and len(written) <= VALUE_MAX:
        return []
    words = f"the key {shown(key)} takes {len(written)} characters in a label; accepted: 1 to {VALUE_MAX}"
    return [Fault("name", words, "bad_key")]


def labels_for(wish: Wish) -> dict[str, str]:
    """The wish's own and ours. Raises RefusedError (`bad_labels`, `bad_key`)."""
    if faults := LABELS.faults(wish.labels):
        raise RefusedError(f"{wish.kind} {wish.name}", faults)
    ours = {KEY: written_key(wish.key), INTENT: wish.intent, INFRA: wish.infra, NAME: wish.name}
    return dict(wish.labels) | ours


def _written(key: str) -> str:
    return quote(key, safe="/-._~", errors="surrogatepass")


def users(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in sorted(labels.items()) if not name.startswith(OURS)}


def key_of(labels: Mapping[str, str]) -> str:
    """Empty for what is not ours."""
    return unquote(labels.get(KEY, ""), errors="surrogatepass")
