"""Lends a server our way to the package sources: starts `proxy` for the time of one attempt."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ProviderError

_SOURCES = Path("/etc/apt")
_URI = re.compile(r"\b(?:https?)://(?:[^/@\s]+@)?([A-Za-z0-9.-]+)")


class Loan:
    """The proxy on one server: started when it is first asked for, ended by `end` or with this process."""

    def __init__(self, ssh: Mapping[str, Any], *, sources: Path = _SOURCES) -> None:
        self._ssh, self._sources = dict(ssh), sources
        self._process: subprocess.Popen[str] | None = None
        self._url: str | None = None

    def url(self) -> str | None:
        """Of the proxy, as the server sees it; None where this machine has no package sources itself.

        Raises ProviderError where the server does not let us listen on it.
        """
        if self._url is None:
            hosts = source_hosts(self._sources)
            if not hosts:
                return None
            told = {"ssh": {name: self._ssh[name] for name in _SSH}, "hosts": hosts, "cache": str(cache_directory())}
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "provisioning_core.taskservs.proxy"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert self._process.stdin is not None and self._process.stdout is not None
            self._process.stdin.write(json.dumps(told) + "\n")
            self._process.stdin.flush()
            said = json.loads(self._process.stdout.readline() or '{"error": "it ended"}')
            if "port" not in said:
                raise ProviderError(f"cannot lend the server our package sources: {said['error']}", code="no_sources")
            self._url = f"http://127.0.0.1:{said['port']}"
        return self._url

    def end(self) -> None:
        if self._process is not None:
            assert self._process.stdin is not None and self._process.stdout is not None
            self._process.stdin.close()  # at its end of file it ends
            self._process.wait()
            self._process.stdout.close()
            self._process, self._url = None, None


_SSH = ("host", "port", "user", "identity_file", "known_hosts_file")


def source_hosts(sources: Path = _SOURCES) -> list[str]:
    """The hosts of this machine's own package sources, each once."""
    hosts: dict[str, None] = {}
    for file in [sources / "sources.list", *sorted((sources / "sources.list.d").glob("*"))]:
        if file.suffix in (".list", ".sources") and file.is_file():
            for line in file.read_text("utf-8", "replace").splitlines():
                if not line.lstrip().startswith("#"):
                    hosts |= dict.fromkeys(_URI.findall(line))
    return list(hosts)


def cache_directory() -> Path:
    """Packages that went to one server, for the next one."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "provisioning" / "apt"
