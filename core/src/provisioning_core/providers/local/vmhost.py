"""What virtual machines need on this host: qemu, an image of somebody's, and the user's settings about both.

    providers: {local: {vm: {image: debian-12.qcow2, qemu: qemu-system-x86_64, accel: tcg, boot_s: 600,
                             kernel: vmlinuz, initrd: initrd.img, append: "root=/dev/vda1"}}}

image: a qcow2 disk with cloud-init in it, as every distribution has one for clouds; it is only read. accel: kvm or
tcg (no hardware needed, some ten times slower); without it, kvm where /dev/kvm can be opened. boot_s: how long a boot
may take. kernel, initrd, append: for a disk that can't boot by itself. Paths are relative to the workspace.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import ProviderError
from ...yamlfile import shown, suggestion

_FIELDS = ("image", "qemu", "accel", "boot_s", "kernel", "initrd", "append")
_HINT = "see docs/providers/local.md, level vm"
_BOOT_S = {"kvm": 180.0, "tcg": 600.0}


@dataclass(frozen=True, slots=True)
class VmHost:
    """All of it is there."""

    image: Path
    qemu: str
    qemu_img: str
    accel: str
    boot_s: float
    kernel: Path | None = None
    initrd: Path | None = None
    append: str | None = None


def vm_host(workspace: Path, settings: Mapping[str, Any]) -> VmHost:
    """Raises ProviderError (`isolation_unavailable`) with all that is missing, and how to get it."""
    given = settings.get("vm") or {}
    if not isinstance(given, Mapping):
        raise _unavailable([f"providers.local.vm: {shown(given)} is not accepted; accepted: {', '.join(_FIELDS)}"])
    missing = [
        f"providers.local.vm: unknown field {shown(name)}.{suggestion(str(name), _FIELDS)}".removesuffix(".")
        for name in given
        if name not in _FIELDS
    ]
    qemu = shutil.which(str(given.get("qemu") or f"qemu-system-{platform.machine()}"))
    qemu_img = shutil.which("qemu-img")
    if qemu is None:
        missing.append(f"there is no {given.get('qemu') or f'qemu-system-{platform.machine()}'} (Debian: qemu-system)")
    if qemu_img is None:
        missing.append("there is no qemu-img (Debian: qemu-utils)")
    paths = {
        name: (workspace / str(given[name])).resolve() for name in ("image", "kernel", "initrd") if given.get(name)
    }
    missing += [
        f"providers.local.vm.{name}: there is no file {path}" for name, path in paths.items() if not path.is_file()
    ]
    if "image" not in paths:
        missing.append(
            "providers.local.vm.image is not set: a cloud image with cloud-init, such as those at cloud.debian.org"
        )
    accel = given.get("accel") or ("kvm" if os.access("/dev/kvm", os.R_OK | os.W_OK) else "tcg")
    if accel not in _BOOT_S:
        missing.append(f"providers.local.vm.accel: {shown(accel)} is not accepted; accepted: kvm, tcg")
    boot_s = given.get("boot_s", _BOOT_S.get(accel, 0))
    if not isinstance(boot_s, int | float) or isinstance(boot_s, bool) or not 1 <= boot_s <= 3600:
        missing.append(f"providers.local.vm.boot_s: {shown(boot_s)} is not accepted; accepted: 1 to 3600 seconds")
    if missing or qemu is None or qemu_img is None:
        raise _unavailable(missing)
    append = str(given["append"]) if given.get("append") else None
    return VmHost(
        paths["image"], qemu, qemu_img, accel, float(boot_s), paths.get("kernel"), paths.get("initrd"), append
    )


def _unavailable(missing: list[str]) -> ProviderError:
    return ProviderError(
        f"cannot have virtual machines: {'; '.join(missing)}", code="isolation_unavailable", hint=_HINT, retryable=False
    )
