"""redis: our settings in a file of their own, which the distribution's file includes last."""

from __future__ import annotations

from typing import Any

from pyinfra.operations import files

from provisioning_core.taskservs.operations import absent, packages, service, template
from provisioning_core.taskservs.server import Server

MAIN, OURS = "/etc/redis/redis.conf", "/etc/redis/provisioning.conf"


def install(server: Server, params: dict[str, Any]) -> dict[str, Any]:
    packages(["redis-server"], version=server.package_version, name="install the packages")
    template("provisioning.conf.j2", OURS, mode="640", user="redis", group="redis", **params)
    files.line(MAIN, line=f"include {OURS}", name=f"include it in {MAIN}")
    service("redis-server", reads=[MAIN, OURS], name="have redis run with this configuration")
    return {"ports": [params["port"]]}


def remove(server: Server, params: dict[str, Any], purge: bool) -> None:
    names = ["redis-server", "redis-tools"]
    packages(names, present=False, purge=purge, name="remove the packages")
    # redis.conf stays without a purge, and would not be read any more with an include of what is not there.
    files.line(MAIN, line=f"include {OURS}", present=False, name=f"take our settings out of {MAIN}")
    absent([OURS, *(["/var/lib/redis", "/etc/redis"] if purge else [])], name="remove our settings")
