"""A server's storages at Hetzner: volumes named and labelled after it, attached raw: neither formatted nor mounted.

They are made when the server is there, and deleted before it: so there is always a server by which they are found.
What would shrink or go away is refused: there may be data on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from ...errors import ProviderError
from .account import Account
from .identity import OF, PART, digest, resource_name


def ensure(account: Account, server: Any, of: str, whose: dict[str, Any], wanted: Sequence[dict[str, Any]]) -> None:
    """Make, attach or grow them. whose: key, infra and name of the server. Raises ProviderError as `check`."""
    attached = {(each.labels or {}).get(PART, ""): each for each in _attached(account, server, of)}
    for each in wanted:
        volume = attached.get(each["name"]) or _put(account, server, of, whose, each)
        if _size(volume) < each["size_gb"]:
            doing = f"growing storage {each['name']} of {whose['name']}"
            account.finish(doing, account.ask(doing, partial(volume.resize, each["size_gb"])))


def check(name: str, seen: Sequence[dict[str, Any]], wanted: Sequence[dict[str, Any]]) -> None:
    """Raises ProviderError (`needs_replacement`) where a storage of the server would shrink or go away."""
    sizes = {each["name"]: each["size_gb"] for each in wanted}
    bad = [each["name"] for each in seen if sizes.get(each["name"], 0) < each["size_gb"]]
    if bad:
        raise ProviderError(
            f"server {name}: storages that would shrink or go away, with what is on them: {', '.join(bad)}",
            code="needs_replacement",
            hint="keep them in the definition, or delete their volumes at Hetzner first",
            retryable=False,
        )


def remove(account: Account, server: Any, of: str) -> None:
    """Detach and delete them all."""
    every = {each.id: each for each in _attached(account, server, of)}
    listed = account.ask("listing volumes", lambda: account.client.volumes.get_all(label_selector=f"{OF}=={of}"))
    for volume in (every | {each.id: each for each in listed}).values():
        _delete(account, volume)


def observed(volumes: Sequence[Any]) -> list[dict[str, Any]]:
    parts = [{"name": (each.labels or {}).get(PART), "size_gb": each.size} for each in volumes]
    return sorted((part for part in parts if part["name"]), key=lambda part: str(part["name"]))


def _put(account: Account, server: Any, of: str, whose: dict[str, Any], storage: dict[str, Any]) -> Any:
    """Made, or found and attached: an earlier attempt may have been killed anywhere in between."""
    part = digest("storage", f"{whose['key']}\0{storage['name']}")
    name = resource_name(whose["infra"], f"{whose['name']}-{storage['name']}", part)
    doing = f"making storage {storage['name']} of {whose['name']}"
    volumes = account.client.volumes
    found = account.ask(doing, lambda: volumes.get_by_name(name))
    if found is None:
        labels = {OF: of, PART: storage["name"]}
        try:
            made = account.ask(doing, lambda: volumes.create(storage["size_gb"], name, labels=labels, server=server))
            for action in [made.action, *(made.next_actions or [])]:
                account.finish(doing, action)
            return made.volume
        except ProviderError as error:
            if error.code != "uniqueness_error":
                raise
        account.until(doing, lambda: volumes.get_by_name(name) is not None)
        found = account.ask(doing, lambda: volumes.get_by_name(name))
        assert found is not None
    if (found.labels or {}).get(OF) != of:
        raise ProviderError(f"{doing}: volume {name} is not ours", code="name_taken", retryable=False)
    if found.server is None:
        _attach(account, found, server, doing)
    return found


def _attach(account: Account, volume: Any, server: Any, doing: str) -> None:
    try:
        account.finish(doing, account.ask(doing, lambda: volume.attach(server, automount=False)))
    except ProviderError as error:
        if error.code != "volume_already_attached":  # by an attempt whose answer was lost
            raise


def _delete(account: Account, volume: Any) -> None:
    doing = f"deleting volume {volume.name}"
    if volume.server is not None:
        _detach(account, volume, doing)
    account.ask_if_there(doing, partial(account.client.volumes.delete, volume))


def _detach(account: Account, volume: Any, doing: str) -> None:
    def once() -> bool:
        now = account.ask_if_there(doing, lambda: account.client.volumes.get_by_id(volume.id))
        if now is None or now.server is None:
            return True
        account.finish(doing, account.ask(doing, now.detach))
        return False

    account.until(doing, once)


def _attached(account: Account, server: Any, of: str) -> list[Any]:
    ids = [each.id for each in server.volumes or []]
    asked = (account.ask_if_there("looking at volumes", partial(account.client.volumes.get_by_id, id)) for id in ids)
    return [each for each in asked if each is not None and (each.labels or {}).get(OF) == of]


def _size(volume: Any) -> int:
    return 0 if volume is None else int(volume.size or 0)
