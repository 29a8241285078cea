"""Virtual machines of the provider `local`. What needs a guest that boots is run where somebody has one:

PROVISIONING_TEST_VM='{"image": "/path/debian-12.qcow2"}' pytest -m slow core/tests/providers/test_local_vm.py
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.errors import ProviderError
from provisioning_core.provider import Wish
from provisioning_core.providers.local import LocalProvider, destroy, processes
from provisioning_core.providers.local.processes import Identity
from provisioning_core.providers.local.registry import Registry
from provisioning_core.providers.local.vmseed import SECTOR, iso, seed

from .machines import eventually, needs_ssh, says, server, ssh

QEMU = shutil.which("qemu-system-x86_64") if shutil.which("qemu-img") else None
needs_qemu = pytest.mark.skipif(QEMU is None, reason="this machine has no qemu-system-x86_64 and qemu-img")
GUEST = os.environ.get("PROVISIONING_TEST_VM")


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    yield workspace
    destroy(workspace)
    assert list(workspace.iterdir()) == []


@pytest.fixture
def blank(tmp_path: Path) -> dict[str, Any]:
    """Settings with a disk on which there is nothing: qemu runs, and nobody can ever log in."""
    image = tmp_path / "blank.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "1G"], check=True)
    return {"isolation": "vm", "vm": {"image": str(image), "qemu": str(QEMU), "accel": "tcg", "boot_s": 1}}


def qemu_of(workspace: Path) -> Identity | None:
    (record,) = Registry(workspace).all("server")
    return record.process if processes.alive(record.process) else None


def test_what_is_missing_is_said_all_at_once_with_how_to_get_it(workspace: Path) -> None:
    provider = LocalProvider(workspace, {"isolation": "vm", "vm": {"qemu": "no-such-qemu", "acel": "tcg"}})
    with pytest.raises(ProviderError) as caught:
        provider.create(server())
    for words in ("there is no no-such-qemu", "qemu-system", "image is not set", "Did you mean 'accel'?"):
        assert words in caught.value.message
    assert (caught.value.code, caught.value.retryable) == ("isolation_unavailable", False)
    assert provider.check()[-1][1] is False
    assert list(workspace.iterdir()) == []


def test_a_seed_is_an_iso_image_that_holds_what_cloud_init_reads() -> None:
    image = seed(id="i-1", hostname="web-1", host_key="PRIVATE", public_key="PUBLIC", ssh_keys=["k"], user_data="#!x")
    descriptor = image[16 * SECTOR : 17 * SECTOR]
    assert descriptor[1:6] == b"CD001"
    assert descriptor[40:72].strip() == b"CIDATA"
    assert int.from_bytes(descriptor[80:84], "little") * SECTOR == len(image)
    at = int.from_bytes(descriptor[156 + 2 : 156 + 6], "little") * SECTOR
    files = {}
    while size := image[at]:
        sector, length = (int.from_bytes(image[at + n : at + n + 4], "little") for n in (2, 10))
        files[image[at + 33 : at + 33 + image[at + 32]]] = image[sector * SECTOR : sector * SECTOR + length]
        at += size
    assert set(files) - {b"\0", b"\1"} == {b"META-DATA.;1", b"USER-DATA.;1", b"VENDOR-DATA.;1"}
    assert json.loads(files[b"META-DATA.;1"]) == {"instance-id": "i-1", "local-hostname": "web-1"}
    assert files[b"USER-DATA.;1"] == b"#!x"
    ours = json.loads(files[b"VENDOR-DATA.;1"].removeprefix(b"#cloud-config\n"))
    assert ours["ssh_keys"] == {"ed25519_private": "PRIVATE", "ed25519_public": "PUBLIC"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount an image")
def test_the_kernel_reads_our_images(tmp_path: Path) -> None:
    files = {"USER-DATA": os.urandom(5000), "META-DATA": b"", "VENDOR-DATA": b"x" * SECTOR}
    (tmp_path / "seed.iso").write_bytes(iso(files, volume="CIDATA"))
    (tmp_path / "at").mkdir()
    mount = ["unshare", "-m", "sh", "-c", "mount -o ro,loop seed.iso at && mkdir copy && cp at/* copy/"]
    done = subprocess.run(mount, cwd=tmp_path, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"this machine mounts no ISO images: {done.stderr.strip()}")
    assert {each.name: each.read_bytes() for each in (tmp_path / "copy").iterdir()} == {
        name.lower(): content for name, content in files.items()
    }


@needs_qemu
@pytest.mark.slow
def test_a_guest_that_never_answers_is_an_error_and_can_be_deleted(workspace: Path, blank: dict[str, Any]) -> None:
    provider = LocalProvider(workspace, blank)
    with pytest.raises(ProviderError, match="cannot be logged in to after 1 s by tcg") as caught:
        provider.create(server())
    assert caught.value.retryable
    qemu = qemu_of(workspace)
    assert qemu is not None
    (made,) = provider.list("server")
    assert made.attributes["limits"]["memory_gb"] == "enforced"
    assert provider.delete("server", made.id)
    assert not processes.alive(qemu)
    assert provider.list("server") == []


@needs_qemu
@pytest.mark.slow
def test_a_create_killed_at_any_moment_leaves_no_qemu_that_nobody_knows(workspace: Path, blank: dict[str, Any]) -> None:
    blank["vm"]["boot_s"] = 600
    program = (
        "import json,sys; from pathlib import Path; from provisioning_core.provider import Wish; "
        "from provisioning_core.providers.local import LocalProvider; wish = Wish(**json.load(sys.stdin)); "
        f"LocalProvider(Path({str(workspace)!r}), {blank!r}).create("
        "wish, announce=lambda _: print('announced', flush=True))"
    )
    provider = LocalProvider(workspace, blank)
    for tenth in range(10):
        wish = server(f"k{tenth}")
        process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(asdict(wish)).encode())
        process.stdin.close()
        process.stdout.readline()
        try:
            process.wait(tenth * 0.07)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        found = provider.find("server", key=wish.key)
        assert found is not None
        assert provider.delete("server", found.id)
        eventually(lambda: not _naming(workspace))


def _naming(workspace: Path) -> list[str]:
    """Processes that work in this workspace or were started with its path."""
    found = []
    for each in Path("/proc").iterdir():
        if each.name.isdigit() and int(each.name) != os.getpid():
            try:
                words = (each / "cmdline").read_bytes() + os.fsencode((each / "cwd").readlink())
            except OSError:
                continue
            if str(workspace).encode() in words:
                found.append(f"{each.name} {words!r}")
    return found


@needs_ssh
@needs_qemu
@pytest.mark.slow
@pytest.mark.skipif(GUEST is None, reason="PROVISIONING_TEST_VM names no image that boots")
def test_a_guest_boots_is_changed_stopped_and_started(workspace: Path) -> None:
    provider = LocalProvider(workspace, {"isolation": "vm", "vm": json.loads(GUEST or "{}")})
    wish = server(plan="1cpu-1gb", user_data="#!/bin/sh\necho ran > /var/ran\n")
    made = provider.create(wish)
    assert (made.created, made.resource.state) == (True, "started")
    assert says(made.resource, "hostname; id -un; nproc") == "web-1\nroot\n1"
    assert provider.create(wish).created is False
    eventually(lambda: ssh(made.resource, "cat /var/ran")[1] == b"ran\n", within_s=120)
    changed = provider.update(made.resource.id, replace(wish, spec={**wish.spec, "plan": "2cpu-2gb"}))
    assert changed.state == "started"
    assert says(changed, "nproc; cat /var/ran") == "2\nran"
    assert provider.power(changed.id, "stop").state == "stopped"
    assert qemu_of(workspace) is None
    again = provider.create(Wish(**{**asdict(wish), "spec": changed.attributes["spec"]}))
    assert (again.created, again.restarted) == (False, True)
    assert provider.delete("server", changed.id)
