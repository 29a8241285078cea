"""What is done at an account, a real one or a double's: one of everything lives, is changed, and nothing is left."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from provisioning_core.provider import KINDS, Kind, Wish
from provisioning_core.providers.sshclient import run


def live_and_end(provider: Any, larger_plan: str, also: Callable[[], object] = lambda: None) -> None:
    """also: deletes what outlives servers by design. Raises ExceptionGroup where not all of it could be deleted."""
    infra = f"test-{uuid.uuid4().hex[:8]}"

    def wish(kind: Kind, name: str, labels: dict[str, str] | None = None, **spec: Any) -> Wish:
        key = f"provisioning-test/{infra}/{kind}/{name}"
        return Wish(kind, key, str(uuid.uuid4()), infra, name, spec, labels or {})

    web: dict[str, Any] = {
        "plan": "1cpu-1gb",
        "network": "net",
        "firewall": [{"protocol": "tcp", "ports": [80, 80]}],
        "storages": [{"name": "data", "size_gb": 10}],
    }
    try:
        assert provider.create(wish("network", "net", cidr="10.199.0.0/24")).created
        assert provider.create(wish("storage", "spare", size_gb=10)).resource.state == "started"
        made = provider.create(wish("server", "web-1", **web))
        assert made.created
        assert provider.create(wish("server", "web-1", **web)).created is False
        assert run(made.resource.attributes["ssh"], ["true"]) == 0
        seen, wanted = made.resource.attributes["spec"], provider.normalize("server", web)
        assert {name: wanted[name] for name in seen} == seen
        changed = web | {"plan": larger_plan}
        larger = provider.update(made.resource.id, wish("server", "web-1", {"role": "web"}, **changed))
        assert (larger.attributes["plan"], larger.attributes["labels"]) == (larger_plan, {"role": "web"})
        assert run(larger.attributes["ssh"], ["true"]) == 0
    finally:
        clear(provider, infra, also)
    assert [each for kind in KINDS for each in provider.list(kind, infra=infra)] == []


def clear(provider: Any, infra: str, also: Callable[[], object] = lambda: None) -> None:
    """Delete all of an infrastructure. What costs comes first, and what cannot be deleted keeps no other."""
    failed: list[Exception] = []

    def tried(doing: Callable[[], Any]) -> Any:
        try:
            return doing()
        except Exception as error:
            failed.append(error)
            return ()

    for kind in reversed(KINDS):
        for resource in tried(lambda kind=kind: provider.list(kind, infra=infra)):  # type: ignore[misc]
            tried(lambda resource=resource: provider.delete(resource.kind, resource.id))  # type: ignore[misc]
    tried(also)
    if failed:
        raise ExceptionGroup(f"look into the account: not all of {infra} is deleted", failed)
