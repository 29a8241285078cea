"""podman: installed, configured, and proved by a container made of files of the server itself, without any download."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyinfra.api import StringCommand, operation

from provisioning_core.taskservs.operations import absent, content, lines, packages, template
from provisioning_core.taskservs.server import Server

PACKAGES = ["podman", "crun", "conmon", "containers-storage", "iptables", "ca-certificates"]
PLACE = "/usr/local/lib/provisioning"
BOOT = "/etc/provisioning/boot.d/podman-cgroups"
MOUNT = """#!/bin/sh
# Kept by provisioning: the taskserv podman. Its containers need to see a tree of cgroups, if only to leave it alone.
[ -e /sys/fs/cgroup/cgroup.controllers ] || grep -q ' /sys/fs/cgroup' /proc/mounts && exit 0
mkdir -p /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup
"""
HEALTH, ROOTFS = f"{PLACE}/podman-health", f"{PLACE}/podman-rootfs"


def install(server: Server, params: dict[str, Any]) -> dict[str, Any]:
    packages(PACKAGES, version=server.package_version, name="install the packages")
    storage = params["storage"] or _storage()
    # Without systemd nobody keeps cgroups for containers; without a kernel of its own nobody may.
    cgroups = "systemd" in server.offers
    own_kernel = "kernel" in server.offers
    template("registries.conf.j2", "/etc/containers/registries.conf.d/provisioning.conf", **params)
    template("storage.conf.j2", "/etc/containers/storage.conf", storage=storage)
    template("containers.conf.j2", "/etc/containers/containers.conf", cgroups=cgroups, own_kernel=own_kernel)
    if not own_kernel and lines("[ -d /etc/provisioning/boot.d ] && echo yes; exit 0"):  # a machine of `local`
        content(BOOT, MOUNT, mode="755", name="have a tree of cgroups at each start")
    see_cgroups(name="have a tree of cgroups")
    template("health.sh.j2", HEALTH, mode="755", rootfs=ROOTFS)
    return {"storage": storage, "cgroups": cgroups, "network": "own" if own_kernel else "none or the server's"}


def remove(server: Server, params: dict[str, Any], purge: bool) -> None:
    packages(PACKAGES[:3], present=False, purge=purge, name="remove the packages")
    ours = [HEALTH, ROOTFS, BOOT, "/etc/containers/registries.conf.d/provisioning.conf"]
    absent(ours, name="remove our settings")
    if purge:
        absent(["/var/lib/containers", "/etc/containers"], name="remove images and containers")


@operation()
def see_cgroups() -> Iterator[Any]:
    if not lines("grep ' /sys/fs/cgroup' /proc/mounts; exit 0"):
        yield StringCommand("mkdir -p /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup")


def _storage() -> str:
    """Whether layers can be mounted over each other here."""
    script = (
        "d=$(mktemp -d /var/lib/provisioning/overlay.XXXXXX) && cd $d && mkdir a b c d && "
        "mount -t overlay overlay -o lowerdir=a,upperdir=b,workdir=c d && umount d && echo yes; cd /; rm -rf $d; exit 0"
    )
    return "overlay" if lines(f"({script}) 2>/dev/null") == ["yes"] else "vfs"
