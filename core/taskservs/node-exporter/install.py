"""node-exporter: its options are those of its service, in /etc/default."""

from __future__ import annotations

from typing import Any

from provisioning_core.taskservs.operations import content, packages, service
from provisioning_core.taskservs.server import Server

NAME = "prometheus-node-exporter"
OPTIONS = f"/etc/default/{NAME}"


def install(server: Server, params: dict[str, Any]) -> dict[str, Any]:
    packages([NAME], version=server.package_version, name="install the package")
    flags = [f"--web.listen-address={params['listen']}:{params['port']}"]
    flags += [f"--no-collector.{name}" for name in params["disabled_collectors"]]
    text = f'# Kept by provisioning: the taskserv node-exporter.\nARGS="{" ".join(flags)}"\n'
    content(OPTIONS, text, name=f"write {OPTIONS}")
    service(NAME, reads=[OPTIONS], name="have it run with these options")
    return {"ports": [params["port"]]}


def remove(server: Server, params: dict[str, Any], purge: bool) -> None:
    packages([NAME], present=False, purge=purge, name="remove the package")
