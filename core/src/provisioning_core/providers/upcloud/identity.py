"""Whose a resource is, in UpCloud's labels.

A label's key has 2 to 32 printable ASCII characters and is compared regardless of case, its value 255 at most. Our
keys have slashes, which are allowed, and as good as always fit; what is not plain ASCII in them is escaped as in
URLs. A key that is too long even so is refused: cut, it could be taken for another one.

    provisioning-key      the key                    provisioning-intent   the intent
    provisioning-infra    provisioning-name          those of the wish
    provisioning-image    of a server: its image's title, which UpCloud does not tell of an existing one
    provisioning-of       of a storage: the key of the server whose part it is, also where it is not attached yet
    provisioning-open     of a server: `restarting`, while an update has it stopped

All other labels are the user's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, unquote

from ...errors import ProviderError
from ...provider import Wish
from ...yamlfile import shown

OURS = "provisioning-"
KEY, INTENT, INFRA, NAME = f"{OURS}key", f"{OURS}intent", f"{OURS}infra", f"{OURS}name"
IMAGE, OF, OPEN = f"{OURS}image", f"{OURS}of", f"{OURS}open"
VALUE_MAX = 255
_USERS = re.compile(r"[ -^`-~][ -~]{1,31}")


def written_key(key: str) -> str:
    """Raises ProviderError (`bad_key`)."""
    written = quote(key, safe="/-._~", errors="surrogatepass")
    if not written or len(written) > VALUE_MAX:
        raise ProviderError(
            f"the key {shown(key)} takes {len(written)} characters in a label; accepted: 1 to {VALUE_MAX}",
            code="bad_key",
            hint="use shorter names for the workspace, the infra or the resource",
            retryable=False,
        )
    return written


def labels_for(wish: Wish) -> dict[str, str]:
    """The wish's own and ours. Raises ProviderError (`bad_labels`, `bad_key`)."""
    bad = [
        name
        for name, value in wish.labels.items()
        if not _USERS.fullmatch(name) or len(value) > VALUE_MAX or name.lower().startswith(OURS)
    ]
    if bad:
        raise ProviderError(
            f"{wish.kind} {wish.name}: UpCloud does not take the labels {', '.join(map(shown, bad))}",
            code="bad_labels",
            hint=f"accepted: names of 2 to 32 characters that do not begin with _ or {OURS}",
            retryable=False,
        )
    ours = {KEY: written_key(wish.key), INTENT: wish.intent, INFRA: wish.infra, NAME: wish.name}
    return dict(wish.labels) | ours


def users(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in sorted(labels.items()) if not name.startswith(OURS)}


def key_of(labels: Mapping[str, str]) -> str:
    """Empty for what is not ours."""
    return unquote(labels.get(KEY, ""), errors="surrogatepass")
