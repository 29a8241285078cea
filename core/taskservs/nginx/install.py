"""nginx: one site, in a file of its own; the distribution's default site goes."""

from __future__ import annotations

from typing import Any

from pyinfra.operations import files

from provisioning_core.taskservs.operations import absent, content, packages, service, template
from provisioning_core.taskservs.server import Server

SITE = "/etc/nginx/conf.d/provisioning-site.conf"


def install(server: Server, params: dict[str, Any]) -> dict[str, Any]:
    packages(["nginx-light"], version=server.package_version, name="install the packages")
    absent(["/etc/nginx/sites-enabled/default"], name="take the distribution's own site away")
    files.directory(params["root"], name=f"make {params['root']}")
    if params["index"] is not None:
        content(f"{params['root']}/index.html", params["index"], name="write index.html")
    template("site.conf.j2", SITE, **params)
    service("nginx", reads=["/etc/nginx"], name="have nginx run with this configuration")
    return {"ports": [params["port"]]}


def remove(server: Server, params: dict[str, Any], purge: bool) -> None:
    packages(["nginx-light", "nginx-common", "nginx"], present=False, purge=purge, name="remove the packages")
    absent([SITE, *([params["root"]] if purge else [])], name="remove the site")
