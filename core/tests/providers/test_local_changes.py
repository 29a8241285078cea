"""What can be wished of a local machine beyond its being there, and what can be changed in it, at every level."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.capabilities import capabilities_of
from provisioning_core.errors import ProviderError
from provisioning_core.provider import Resource, Wish
from provisioning_core.providers.local import LocalProvider, destroy
from provisioning_core.providers.local.registry import Registry

from .machines import at, eventually, needs_ssh, network, says, server, ssh, ssh_options

LEVELS = {"process": None, "namespace": "namespaces", "image": "images"}


@pytest.fixture(params=LEVELS)
def level(request: pytest.FixtureRequest) -> str:
    needs = LEVELS[request.param]
    if needs:
        request.getfixturevalue(needs)
    return str(request.param)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    yield workspace
    destroy(workspace)
    assert list(workspace.iterdir()) == []


@pytest.fixture
def provider(workspace: Path, level: str) -> LocalProvider:
    return LocalProvider(workspace, {"isolation": level})


def key_pair(directory: Path, name: str) -> tuple[Path, str]:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", directory / name], check=True)
    return directory / name, (directory / f"{name}.pub").read_text().strip()


def opens(resource: Resource, key: Path) -> bool:
    options = [f"IdentityFile={key}" if each.startswith("IdentityFile=") else each for each in ssh_options(resource)]
    argv = ["ssh", *options, at(resource), "true"]
    return subprocess.run(argv, capture_output=True, timeout=60, check=False).returncode == 0


@needs_ssh
def test_ssh_keys_open_it_and_can_be_changed_while_it_runs(provider: LocalProvider, tmp_path: Path) -> None:
    (one, public_one), (other, public_other) = key_pair(tmp_path, "one"), key_pair(tmp_path, "other")
    wish = server(ssh_keys=[public_one])
    made = provider.create(wish).resource
    assert (opens(made, one), opens(made, other)) == (True, False)
    assert made.attributes["spec"]["ssh_keys"] == [public_one]
    says(made, "echo '# mine' >> ~/.ssh/authorized_keys; (setsid sleep 1000 >/dev/null 2>&1 </dev/null &)")
    changed = provider.update(made.id, replace(wish, spec={"ssh_keys": [public_other]}))
    assert changed.attributes["spec"]["ssh_keys"] == [public_other]
    assert (opens(made, one), opens(made, other)) == (False, True)
    assert says(made, "grep -c mine ~/.ssh/authorized_keys; pgrep -c -x sleep > /dev/null && echo runs") == "1\nruns"
    none = provider.update(made.id, replace(wish, spec={}))
    assert none.attributes["spec"]["ssh_keys"] == []
    assert not opens(made, other)


@needs_ssh
def test_power_is_real_and_the_disk_stays(provider: LocalProvider, workspace: Path) -> None:
    made = provider.create(server()).resource
    where = says(made, "pwd; echo kept > kept; (setsid sleep 1000 >/dev/null 2>&1 </dev/null &) ; echo $$")
    record = Registry(workspace).get("server", made.id)
    assert record is not None
    for _ in range(2):
        stopped = provider.power(made.id, "stop")
        assert (stopped.state, stopped.id) == ("stopped", made.id)
    assert ssh(made, "true")[0] == 255
    assert not processes_of(workspace)
    for _ in range(2):
        assert provider.power(made.id, "start").state == "started"
    assert says(made, "cat kept") == "kept"
    before = Registry(workspace).get("server", made.id)
    assert provider.power(made.id, "reboot").state == "started"
    after = Registry(workspace).get("server", made.id)
    assert before is not None and after is not None and before.process != after.process
    assert says(made, "pwd; cat kept").split() == [where.split()[0], "kept"]
    with pytest.raises(ProviderError, match="there is no server"):
        provider.power("srv-000000000000", "start")


def processes_of(workspace: Path) -> list[str]:
    found = []
    for each in Path("/proc").iterdir():
        if each.name.isdigit() and int(each.name) != os.getpid():
            try:
                words = (each / "cmdline").read_bytes()
            except OSError:
                continue
            if str(workspace).encode() in words and b"providers.local" in words:
                found.append(f"{each.name} {words!r}")
    return found


@needs_ssh
def test_storages_are_attached_kept_over_a_stop_and_removed_with_what_is_in_them(provider: LocalProvider) -> None:
    level = provider._isolation
    wish = server(storages=[{"name": "data", "size_gb": 5}])
    made = provider.create(wish).resource
    place = "/mnt" if level != "process" else "../mnt"
    assert made.attributes["spec"]["storages"] == [{"name": "data", "size_gb": 5}]
    says(made, f"echo kept > {place}/data/file")
    if level != "process":
        assert says(made, "mountpoint /mnt/data") == "/mnt/data is a mountpoint"
    more = {"storages": [{"name": "data", "size_gb": 5}, {"name": "logs", "size_gb": 1}]}
    changed = provider.update(made.id, replace(wish, spec=more))
    assert [each["name"] for each in changed.attributes["spec"]["storages"]] == ["data", "logs"]
    assert says(made, f"cat {place}/data/file; ls -A {place}/logs") == "kept"
    provider.power(made.id, "reboot")
    assert says(made, f"cat {place}/data/file") == "kept"
    gone = provider.update(made.id, replace(wish, spec={"storages": [{"name": "logs", "size_gb": 1}]}))
    assert [each["name"] for each in gone.attributes["spec"]["storages"]] == ["logs"]
    assert ssh(made, f"cat {place}/data/file")[0] != 0
    again = provider.update(made.id, replace(wish, spec=more))
    assert says(again, f"ls -A {place}/data") == ""


@needs_ssh
@pytest.mark.usefixtures("namespaces")
def test_storages_are_mounted_in_the_machine_wherever_its_links_point(workspace: Path, tmp_path: Path) -> None:
    """Root of the machine puts a link to a directory of the host's in the place of /mnt, and is started again."""
    provider = LocalProvider(workspace, isolation="namespace")
    target = tmp_path / "of-the-host"
    target.mkdir()
    made = provider.create(server(storages=[{"name": "data", "size_gb": 1}])).resource
    says(made, f"umount /mnt/data; rm -rf /mnt; ln -s {target} /mnt; true")
    provider.power(made.id, "reboot")
    assert ssh(made, "true")[0] == 0
    assert list(target.iterdir()) == []


@needs_ssh
def test_user_data_is_run_once_at_the_first_boot(provider: LocalProvider, level: str) -> None:
    script = "#!/bin/sh\necho ran as $(id -un) in $PWD >> ~/ran\nexit 3\n"
    if level == "process":
        with pytest.raises(ProviderError, match="it would run on this host"):
            provider.create(server(user_data=script))
        assert provider.list("server") == []
        return
    made = provider.create(server(user_data=script)).resource
    eventually(lambda: ssh(made, "cat /var/lib/provisioning/user-data.done")[1] == b"3\n")
    provider.power(made.id, "reboot")
    says(made, "true")
    assert says(made, "cat ~/ran") == "ran as root in /root"
    assert "user_data" not in made.attributes["spec"]


def test_labels_and_sizes_are_changed_in_place(provider: LocalProvider, workspace: Path) -> None:
    wish = replace(server(plan="1cpu-1gb"), labels={"role": "web"})
    made = provider.create(wish).resource
    before = Registry(workspace).get("server", made.id)
    other = replace(wish, labels={"role": "db"}, spec={"cpus": 2, "memory_gb": 4, "disk_gb": 20})
    for _ in range(2):
        changed = provider.update(made.id, other)
        assert changed.attributes["labels"] == {"role": "db"}
        spec = {name: changed.attributes["spec"][name] for name in ("plan", "cpus", "memory_gb", "disk_gb")}
        assert spec == {"plan": "2cpu-4gb", "cpus": 2, "memory_gb": 4, "disk_gb": 20}
    after = Registry(workspace).get("server", made.id)
    assert before is not None and after is not None and before.process == after.process
    assert provider.get("server", made.id) == changed


def test_what_cannot_be_changed_in_place_is_refused(provider: LocalProvider) -> None:
    provider.create(network())
    made = provider.create(server(network="net")).resource
    with pytest.raises(ProviderError, match="network can't be changed") as caught:
        provider.update(made.id, server())
    assert (caught.value.code, caught.value.retryable) == ("needs_replacement", False)
    with pytest.raises(ProviderError) as missing:
        provider.update("srv-000000000000", server())
    assert missing.value.code == "not_found"


def test_what_is_observed_is_what_was_wished_in_the_providers_terms(provider: LocalProvider) -> None:
    net = provider.create(network()).resource
    assert net.attributes["spec"] == provider.normalize("network", {"cidr": "10.88.0.0/24"})
    wish = server(
        cpus=2, memory_gb=4, network="net", storages=[{"name": "b", "size_gb": 1}, {"name": "a", "size_gb": 2}]
    )
    made = provider.create(wish).resource
    terms = provider.normalize("server", wish.spec)
    assert terms == provider.normalize("server", {**wish.spec, "plan": "2cpu-4gb", "zone": "local"})
    observed = made.attributes["spec"]
    assert {name: observed[name] for name in terms} == terms
    assert set(observed) == set(terms)


def test_all_faults_of_a_spec_are_said_at_once_with_what_was_meant(workspace: Path) -> None:
    provider = LocalProvider(workspace)
    spec: dict[str, Any] = {
        "plan": "2 CPU 4 GB",
        "zone": "locale",
        "image": "debain-12",
        "user_data": "#cloud-config\n",
        "ssh_keys": ["no key"],
        "storages": [{"name": "../x", "size_gb": 1}],
        "colour": "red",
    }
    with pytest.raises(ProviderError) as caught:
        provider.normalize("server", spec)
    for words in ("Did you mean '2cpu-4gb'?", "Did you mean 'local'?", "Did you mean 'debian-12'?", "begins with #!",
                  "a public key", "'../x'", "'colour'"):  # fmt: skip
        assert words in caught.value.message
    assert caught.value.retryable is False
    with pytest.raises(ProviderError):
        provider.create(server(**spec))
    assert provider.list("server") == []


def test_the_catalogue_says_what_can_be_had(workspace: Path) -> None:
    provider = LocalProvider(workspace, {"images": {"mine": "mine.tar"}})
    flags = capabilities_of(provider).flags
    assert provider.zones() == ["local"]
    assert provider.plans()[0].name == "1cpu-1gb"
    assert {"mine", "host", "debian-12"} <= set(provider.images())
    assert {"update", "power", "zones", "plans", "images"} <= flags
    assert not flags & {"adopt", "prices", "firewall"}


def test_each_level_says_whether_it_can_be_had_and_why_not(workspace: Path) -> None:
    levels = {name: (ok, words) for name, ok, words in LocalProvider(workspace).check()}
    assert list(levels) == ["process", "namespace", "image", "vm"]
    assert levels["process"][0] is True
    assert all(words for _, words in levels.values())
    assert list(workspace.iterdir()) == []


@needs_ssh
@pytest.mark.slow
def test_an_update_that_was_killed_is_finished_by_its_repetition(provider: LocalProvider, workspace: Path) -> None:
    wish = server(storages=[{"name": "old", "size_gb": 1}])
    made = provider.create(wish).resource
    program = (
        "import json,sys; from pathlib import Path; from provisioning_core.provider import Wish; "
        "from provisioning_core.providers.local import LocalProvider; "
        "given = json.load(sys.stdin); print('begun', flush=True); "
        f"LocalProvider(Path({str(workspace)!r}), {{'isolation': {provider._isolation!r}}}).update("
        f"{made.id!r}, Wish(**given))"
    )
    for tenth in range(8):
        name = f"new{tenth}"
        other = replace(wish, spec={"storages": [{"name": name, "size_gb": 1}]}, intent=str(uuid.uuid4()))
        with subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(_json(other))
            process.stdin.close()
            process.stdout.readline()
            try:
                process.wait(tenth * 0.02)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
        found = provider.get("server", made.id)
        assert found is not None
        if found.attributes["spec"]["storages"] != [{"name": name, "size_gb": 1}] or found.state != "started":
            found = provider.update(made.id, other)
            if found.state != "started":
                found = provider.create(other).resource
        assert (found.state, found.attributes["spec"]["storages"]) == ("started", [{"name": name, "size_gb": 1}])
        there = "ls ../mnt" if provider._isolation == "process" else "awk '$2 ~ \"^/mnt/\" {print $2}' /proc/mounts"
        assert says(found, there).removeprefix("/mnt/") == name


def _json(wish: Wish) -> bytes:
    import json

    return json.dumps(asdict(wish)).encode()
