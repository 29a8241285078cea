"""k3s: one program of a pinned version, checked by its SHA-256 before it is put in place, and a systemd service."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from pyinfra.api import StringCommand, operation

from provisioning_core.errors import UsageError
from provisioning_core.taskservs.operations import absent, lines, service, template
from provisioning_core.taskservs.server import Server

PROGRAM, CONFIG, UNIT = "/usr/local/bin/k3s", "/etc/rancher/k3s/config.yaml", "/etc/systemd/system/k3s.service"
HEALTH = "/usr/local/lib/provisioning/k3s-health"
ARCHITECTURES = {"x86_64": ("amd64", "k3s"), "aarch64": ("arm64", "k3s-arm64")}


def install(server: Server, params: dict[str, Any]) -> dict[str, Any]:
    check(params)
    machine = lines("uname -m")[0]
    if machine not in ARCHITECTURES:
        raise UsageError(f"k3s: {machine} is not supported; supported: {', '.join(ARCHITECTURES)}", code="bad_params")
    architecture, file = ARCHITECTURES[machine]
    if architecture not in params["checksums"]:
        raise UsageError(f"k3s: checksums names none for {architecture}, which {server.name} is", code="bad_params")
    url = f"{params['download']}/{quote(server.version)}/{file}"
    program(url, params["checksums"][architecture], name=f"have k3s {server.version}")
    template("config.yaml.j2", CONFIG, mode="600", **params)
    template("k3s.service.j2", UNIT, **params)
    template("health.sh.j2", HEALTH, mode="755", **params)
    reread(name="have systemd read the service")
    service("k3s", reads=[PROGRAM, CONFIG, UNIT], name="have k3s run with this configuration")
    return {"version": server.version, "ports": [6443] if params["role"] == "server" else [], "role": params["role"]}


def remove(server: Server, params: dict[str, Any], purge: bool) -> None:
    service("k3s", running=False, name="stop k3s")
    stop_containers(name="stop what it has started")
    absent([UNIT, HEALTH, PROGRAM, "/run/k3s"], name="remove the program")
    reread(name="have systemd forget the service")
    if purge:
        absent(["/var/lib/rancher/k3s", "/var/lib/kubelet", "/etc/rancher"], name="remove the cluster's data")


def check(params: Mapping[str, Any]) -> None:
    """Raises UsageError."""
    joins = params["role"] == "agent" or not params["first"]
    if joins and not params["join"]:
        raise UsageError("k3s: an agent, and every server but the first, needs `join`", code="bad_params")
    if params["role"] == "agent" and (params["disable"] or params["tls_names"]):
        raise UsageError("k3s: `disable` and `tls_names` are a server's, not an agent's", code="bad_params")


@operation()
def program(url: str, checksum: str) -> Iterator[Any]:
    """In place only when it is whole and the very one."""
    if lines(f"sha256sum {PROGRAM} 2>/dev/null | cut -d' ' -f1; exit 0") == [checksum]:
        return
    part = f"{PROGRAM}.part"
    get = f"curl -fsSL --proto =https --retry 3 -o {part} {shlex.quote(url)}"
    fetch = f"if command -v curl >/dev/null; then {get}; else wget -q -O {part} {shlex.quote(url)}; fi"
    test = f"echo '{checksum}  {part}' | sha256sum -c --status || {{ echo 'its SHA-256 is another one' >&2; exit 1; }}"
    yield StringCommand(f"sh -c {shlex.quote(f'set -e; {fetch}; {test}; chmod 755 {part}; mv {part} {PROGRAM}')}")


@operation()
def reread() -> Iterator[Any]:
    if lines("systemctl show k3s -p NeedDaemonReload 2>/dev/null; exit 0") == ["NeedDaemonReload=yes"]:
        yield StringCommand("systemctl daemon-reload")


@operation()
def stop_containers() -> Iterator[Any]:
    """k3s leaves its containers running when it stops, so that an update disturbs none."""
    find = "pgrep -f '^/var/lib/rancher/k3s/data/[^/]*/bin/containerd-shim'"
    if lines(f"{find}; exit 0"):
        yield StringCommand(
            f"for shim in $({find}); do pkill -KILL -P $shim; kill -KILL $shim; done 2>/dev/null; "
            "grep -o ' /run/k3s[^ ]*\\| /var/lib/kubelet/pods[^ ]*' /proc/mounts | sort -r | xargs -r umount -l; "
            "ip link delete cni0 2>/dev/null; ip link delete flannel.1 2>/dev/null; true"
        )
