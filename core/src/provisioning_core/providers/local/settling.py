"""What is decided about a new machine once: how far it is separated from the host, and where SSH reaches it."""

from __future__ import annotations

import os
import pwd
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...errors import ProviderError
from . import forks
from .processes import LINUX
from .registry import SSH_PORT, Isolation, Record, Registry

if LINUX:
    from . import hostimage, owners

_SHARED_BY_PROCESSES = ("hostname", "processes", "file system", "network")
_SHARED_BY_IMAGES = ("kernel",)
_SHARED_WITH_HOST_IMAGE = ("kernel", "/usr, read-only below the machine's own changes")


def settled(
    registry: Registry,
    record: Record,
    isolation: Isolation | None,
    refusal: str | None,
    image: Mapping[str, Any] | None,
) -> Record:
    """refusal: why there can be no namespaces, None where there can. image: what `images.ready` said, None: no image.

    Raises ProviderError where the level can't be had.
    """
    if isolation in ("namespace", "image") and refusal:
        raise ProviderError(
            f"cannot create server {record.name!r} in namespaces: {refusal}",
            code="isolation_unavailable",
            hint="allow user namespaces, or ask for the isolation 'process'",
            retryable=False,
        )
    level: Isolation = isolation or ("process" if refusal else "namespace")
    host, port = ssh_place()
    record = replace(record, isolation=level, ssh_host=host, ssh_port=port)
    if level == "process":
        if record.spec.get("user_data"):
            raise ProviderError(
                f"cannot create server {record.name!r} with user data: as a plain process it would run on this host",
                code="isolation_unavailable",
                hint="leave user_data out, or have machines of the level namespace or image",
                retryable=False,
            )
        return replace(record, address=host, user=_login_name(), shared_with_host=_SHARED_BY_PROCESSES)
    record = replace(record, address=record.address or host)
    return record if level == "namespace" or image is None else _imaged(registry, record, image)


def ssh_place() -> tuple[str, int]:
    """An address and port on the host's loopback, which may be taken."""
    if LINUX:
        return f"127.42.{secrets.randbelow(254) + 1}.{secrets.randbelow(254) + 1}", SSH_PORT
    return "127.0.0.1", 20000 + secrets.randbelow(10000)  # only this address exists there


def _imaged(registry: Registry, record: Record, image: Mapping[str, Any]) -> Record:
    """Decide what the disk of the machine lies on."""
    shared: tuple[str, ...] = _SHARED_BY_IMAGES
    layer = image["directory"]
    if layer is None:
        shared = _SHARED_WITH_HOST_IMAGE
        layer = forks.answer(lambda: hostimage.base(registry).encode()).decode()
    first = owners.fresh_range() if os.geteuid() == 0 else None
    fields = {"image": image["name"], "image_source": image["source"], "layer": layer, "first": first}
    return replace(record, **fields, shared_with_host=shared)


def _login_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
