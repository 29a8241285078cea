"""docs/taskservs.md, followed word for word; and the command line of taskservs around it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from provisioning_core.providers.local import destroy
from provisioning_core.taskservs import manifest, parameter

pytestmark = pytest.mark.slow
PAGE = Path(__file__).parents[3] / "docs" / "taskservs.md"


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """The environment of somebody who has just installed this."""
    kept = {name: os.environ[name] for name in ("LANG", "TMPDIR", "XDG_CACHE_HOME") if name in os.environ}
    (tmp_path / "bin").mkdir()
    program = f'#!/bin/sh\nexec "{sys.executable}" -m provisioning_core "$@"\n'
    (tmp_path / "bin" / "provisioning").write_text(program)
    (tmp_path / "bin" / "provisioning").chmod(0o755)
    (tmp_path / "home").mkdir()
    return kept | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "HOME": str(tmp_path / "home")}


def run(script: str, directory: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", script],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
    )


@pytest.mark.skipif(not PAGE.is_file(), reason="docs/taskservs.md is beside a checkout only")
def test_the_page_names_all_that_a_manifest_may_say() -> None:
    words = set(re.findall(r"`([a-z_]+)\b", PAGE.read_text("utf-8")))
    assert {*manifest._FIELDS, *manifest.OFFERS, *parameter._FIELDS, *parameter.TYPES} - words == set()


@pytest.mark.skipif(not PAGE.is_file(), reason="docs/taskservs.md is beside a checkout only")
def test_the_page_works_as_pasted(tmp_path: Path, shell: dict[str, str]) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 7
    script = "set -ex\n" + "".join(f"{block}\necho END-OF-BLOCK\n" for block in blocks)
    try:
        done = run(script, tmp_path, shell)
    finally:
        destroy(tmp_path / "shop")
    assert done.returncode == 0, done.stdout + done.stderr
    out = [part.strip() for part in done.stdout.split("END-OF-BLOCK")]
    assert "nginx" in out[1] and "built-in" in out[1]
    assert "greeter passed" in out[2] and "greeter passed" in out[3]
    assert "+ hello on web-1  is not installed" in out[4]
    assert "ann\nbob" in out[4]
    assert "~ hello on web-1  names: ann,bob" in out[5]
    assert re.search(r"hello +greeter +web-1 +installed +1 +1 +workspace", out[5])


@pytest.mark.parametrize("kind", ["pyinfra", "script", pytest.param("nu", marks=pytest.mark.nu)])
def test_a_generated_taskserv_passes_its_test_at_once(kind: str, tmp_path: Path, shell: dict[str, str]) -> None:
    (tmp_path / "provisioning.yaml").write_text("name: ws\nprovider: local\n")
    done = run(f"provisioning t generate fresh --kind {kind} && provisioning t test fresh", tmp_path, shell)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fresh passed: version 1, 1 changes" in done.stdout


def test_a_taskserv_is_generated_for_an_infrastructure_that_is_there(tmp_path: Path, shell: dict[str, str]) -> None:
    workspace = tmp_path / "ws"
    (workspace / "infra").mkdir(parents=True)
    (workspace / "provisioning.yaml").write_text("name: ws\nprovider: local\n")
    (workspace / "infra" / "shop.yaml").write_text("servers: []\n")
    for infra, code in (("../../other", 2), ("ship", 3)):
        for verb in ("generate", "show", "test"):
            done = run(f"provisioning taskserv {verb} fresh --infra {infra}", workspace, shell)
            assert done.returncode == code, done.stdout + done.stderr
    assert not (tmp_path / "other").exists() and not (workspace / "infra" / "ship").exists()
    done = run("provisioning taskserv generate nginx --infra shop", workspace, shell)
    assert done.returncode == 0 and "it takes the place of the built-in nginx" in done.stderr


def test_a_taskserv_that_changes_something_each_time_fails_its_test(tmp_path: Path, shell: dict[str, str]) -> None:
    (tmp_path / "provisioning.yaml").write_text("name: ws\nprovider: local\n")
    folder = tmp_path / "taskservs" / "restless"
    folder.mkdir(parents=True)
    (folder / "taskserv.yaml").write_text('name: restless\nversion: "1"\n')
    (folder / "install.sh").write_text("#!/bin/sh\necho 'changed: again'\n")
    done = run("provisioning taskserv test restless", tmp_path, shell)
    assert done.returncode == 5
    assert "applied once more, it changed again: again" in done.stderr


def test_what_a_delete_would_remove_is_shown_and_has_to_be_confirmed(tmp_path: Path, shell: dict[str, str]) -> None:
    (tmp_path / "provisioning.yaml").write_text("name: ws\nprovider: local\n")
    (tmp_path / "infra").mkdir()
    definition = "servers:\n  - {name: a, plan: 1cpu-1gb}\ntaskservs:\n  - {name: web, taskserv: nginx, on: [a]}\n"
    (tmp_path / "infra" / "one.yaml").write_text(definition)
    shown = run("provisioning taskserv delete one --check --purge", tmp_path, shell)
    assert (shown.returncode, shown.stdout.strip()) == (0, "- web on a, with its data")
    refused = run("provisioning taskserv delete one", tmp_path, shell)
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    planned = run("provisioning taskserv create one --check --exit-code", tmp_path, shell)
    assert (planned.returncode, planned.stdout.strip()) == (10, "+ web on a  the server does not exist yet")
