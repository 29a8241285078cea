"""The original's call, made by real clients: Nushell and curl."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from acceptance.conftest import Cli
from acceptance.daemon import Daemon

NU_CALL = """
let headers = [Authorization $"Bearer ($env.TOKEN)"]
http post --content-type application/json --headers $headers $env.URL {infra: "wuji", params: {}}
| get workflow_id
| print --raw
"""
NU_CALL_BARE = """
http post --content-type application/json $env.URL {infra: "wuji", params: {}} | get workflow_id | print --raw
"""


def _nu(script: str, **environment: str) -> str:
    nu = shutil.which("nu")
    assert nu is not None
    done = subprocess.run(
        [nu, "--no-config-file", "-c", script], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.nu
@pytest.mark.slow
def test_nushell_posts_and_the_servers_appear(daemon: Daemon, provisioning: Cli) -> None:
    url = f"http://localhost:{daemon.port}/workflows/servers/create"
    workflow = _nu(NU_CALL, URL=url, TOKEN=daemon.token, HOME=str(provisioning.home))

    assert workflow.startswith("wf_")
    assert daemon.ended(workflow)["status"] == "succeeded"
    listed = provisioning("server", "list", "wuji", "-o", "name")
    assert len(listed.stdout.split()) == 3


@pytest.mark.nu
@pytest.mark.slow
def test_without_authentication_nushell_posts_as_the_original_did(
    new_daemon: Callable[..., Daemon], tmp_path: Path
) -> None:
    operations = str(Path(__file__).parent / "operations")
    daemon = new_daemon("--auth", "none", "--library", operations).start()
    url = f"http://localhost:{daemon.port}/workflows/test/true"
    workflow = _nu(NU_CALL_BARE, URL=url, HOME=str(tmp_path))

    assert workflow.startswith("wf_")
    assert "auth" in daemon.log.lower()


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
@pytest.mark.slow
def test_curl_posts_and_the_servers_appear(daemon: Daemon, provisioning: Cli) -> None:
    done = subprocess.run(
        [
            "curl",
            "-s",
            "-X",
            "POST",
            f"http://localhost:{daemon.port}/workflows/servers/create",
            "-H",
            f"Authorization: Bearer {daemon.token}",
            "-H",
            "Content-Type: application/json",
            "-d",
            '{"infra": "wuji", "params": {}}',
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    workflow = json.loads(done.stdout)["workflow_id"]

    assert daemon.ended(workflow)["status"] == "succeeded"
    assert len(provisioning("server", "list", "wuji", "-o", "name").stdout.split()) == 3
