"""The images of the level `image`, by name, and where each comes from.

host                    the host's own programs and packages (`hostimage`); root only
debian-12               the host itself where it is that and root runs us, else made by mmdebstrap (`rootfs`)
<name of yours>         `providers: {local: {images: {name: rootfs.tar}}}`: a tar archive of a root directory
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import ProviderError
from ...yamlfile import shown, suggestion
from . import rootfs
from .processes import LINUX

if LINUX:
    from . import hostimage

SUITES = {"debian-12": "bookworm", "debian-13": "trixie"}


@dataclass(frozen=True, slots=True)
class Image:
    """directory: of the root file system, None: the host's own. source: where it is from, in words."""

    name: str
    directory: str | None
    source: str


def names(settings: Mapping[str, Any]) -> list[str]:
    """All that may be asked for, yours first."""
    here = hostimage.names() if LINUX else ("host",)
    return list(dict.fromkeys([*_own(settings), *here, *SUITES]))


def ready(name: str | None, settings: Mapping[str, Any], workspace: Path) -> Image:
    """That image, made where it has to be, which may take half a minute once. None: the settings' `image`, else `host`.

    Raises ProviderError (`unknown_image`, `isolation_unavailable`, `image_unavailable`: it could not be made).
    """
    name = name or settings.get("image") or ("host" if hostimage.refusal() is None else "debian-12")
    own = _own(settings)
    if name in own:
        return Image(name, str(rootfs.unpacked(name, (workspace / own[name]).resolve())), f"unpacked from {own[name]}")
    if name not in names(settings):
        known = names(settings)
        raise ProviderError(
            f"no image {shown(name)}.{suggestion(name, known)}".removesuffix("."),
            code="unknown_image",
            hint=f"there are: {', '.join(known)}",
            retryable=False,
        )
    refusal = hostimage.refusal()
    if refusal is None and name in hostimage.names():
        return Image(name, None, "the host's own programs and packages")
    if name not in SUITES:
        raise ProviderError(
            f"cannot use the host as an image: {refusal}",
            code="isolation_unavailable",
            hint=f"name another image: {', '.join(each for each in names(settings) if each != name)}",
            retryable=False,
        )
    return Image(name, str(rootfs.bootstrapped(name, SUITES[name])), f"made by mmdebstrap from {SUITES[name]}")


def _own(settings: Mapping[str, Any]) -> dict[str, str]:
    given = settings.get("images") or {}
    if not isinstance(given, Mapping) or not all(isinstance(each, str) and each for each in given.values()):
        raise ProviderError(
            f"providers.local.images: {shown(given)} is not accepted; accepted: {{name: rootfs.tar}}",
            code="bad_settings",
            retryable=False,
        )
    return {str(name): str(path) for name, path in given.items()}
