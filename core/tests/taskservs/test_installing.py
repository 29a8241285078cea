"""One taskserv on one server: what is done, what is left alone, and what a kill at any instant leaves behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from provisioning_core.errors import ConflictError, ProviderError, UsageError
from provisioning_core.installing import Told, install_one
from provisioning_core.inventory import Inventory
from provisioning_core.providers.local import LocalProvider
from provisioning_core.trial import bench

from .attempts import Attempt, until
from .conftest import Box, given

pytestmark = pytest.mark.slow
MANIFEST = """\
version: "1"
supports: [root]
parameters: {text: {type: text, default: hello}}
health: {command: "test -s /etc/greeting"}
"""
PYTHON = """\
from provisioning_core.taskservs.operations import absent, content

def install(server, params):
    content("/etc/greeting", params["text"], name="write the greeting")
    return {"path": "/etc/greeting"}

def remove(server, params, purge):
    absent(["/etc/greeting"], name="remove the greeting")
    if purge:
        absent(["/var/lib/greetings"], name="remove its data")
"""
GATED = """\
#!/bin/sh
# Writes half of its configuration, and the rest when it may.
set -e
printf %s "$PARAM_TEXT" >/etc/greeting
touch /etc/half-way
until [ -e /etc/may-go-on ]; do sleep 0.02; done
printf %s "$PARAM_TEXT" >/etc/greeting.second
rm -f /etc/half-way
"""


BROKEN = """\
from pathlib import Path

def install(server, params):
    settings(params)

def settings(params):
    return params["text"].splitlines()[3]

def remove(server, params, purge): ...
"""


def test_an_exception_in_the_taskserv_is_told_with_its_file_and_line(namespace_box: Box) -> None:
    box = namespace_box
    box.add("greeter", MANIFEST, install__py=BROKEN)
    with pytest.raises(ProviderError) as caught:
        box.install("greeter")
    assert caught.value.message == "greeter/install.py:7: IndexError: list index out of range"
    assert (caught.value.code, caught.value.retryable) == ("taskserv_failed", False)
    box.add("greeter", MANIFEST, install__py=BROKEN.replace("Path\n", "Path\nsettings = Path(1)\n"))
    with pytest.raises(UsageError, match=r"cannot import greeter/install\.py:2: TypeError: "):
        box.install("greeter")
    box.add("greeter", MANIFEST, install__py=BROKEN.replace("(params):", "(params:"))
    with pytest.raises(UsageError, match=r"cannot import greeter/install\.py:6: SyntaxError: "):
        box.install("greeter")


def test_a_second_install_finds_what_the_first_has_done(namespace_box: Box) -> None:
    box = namespace_box
    box.add("greeter", MANIFEST, install__py=PYTHON)
    first = box.install("greeter")
    assert (first["outcome"], first["operations"], first["facts"]) == (
        "installed",
        ["write the greeting"],
        {"path": "/etc/greeting"},
    )
    assert box.says("cat /etc/greeting") == "hello"
    second = box.install("greeter")
    assert (second["outcome"], second["changed"], second["facts"]) == ("unchanged", 0, {"path": "/etc/greeting"})


def test_a_change_is_applied_and_said_with_its_reason(namespace_box: Box) -> None:
    box = namespace_box
    said: list[str] = []
    box.tell = said.append
    folder = box.add("greeter", MANIFEST, install__py=PYTHON)
    box.install("greeter")
    assert box.install("greeter", {"text": "goodbye"})["outcome"] == "changed"
    assert box.says("cat /etc/greeting") == "goodbye"
    assert "greeter on trial-1: changed: parameters; applying" in said
    (folder / "install.py").write_text(PYTHON + "\n# another version of it\n")
    again = box.install("greeter", {"text": "goodbye"})
    assert (again["outcome"], again["changed"]) == ("changed", 0)
    assert "greeter on trial-1: changed: the taskserv's own files; applying" in said
    assert "write the greeting: changed" in said


def test_what_is_there_but_ill_is_applied_again(namespace_box: Box) -> None:
    box = namespace_box
    box.add("greeter", MANIFEST, install__py=PYTHON)
    box.install("greeter")
    box.says("rm /etc/greeting")
    assert box.install("greeter")["operations"] == ["write the greeting"]
    assert box.says("cat /etc/greeting") == "hello"


def test_a_removal_leaves_the_data_unless_it_is_purged(namespace_box: Box) -> None:
    box = namespace_box
    box.add("greeter", MANIFEST, install__py=PYTHON)
    box.install("greeter")
    box.says("mkdir /var/lib/greetings")
    removed = box.remove("greeter")
    assert (removed["removed"], removed["purged"]) == (True, False)
    assert box.says("ls -d /etc/greeting /var/lib/greetings 2>/dev/null; true") == "/var/lib/greetings"
    assert box.markers() == {}
    box.install("greeter")
    assert box.remove("greeter", purge=True)["purged"] is True
    assert box.says("ls -d /var/lib/greetings 2>/dev/null; true") == ""
    assert box.remove("greeter")["removed"] is False


def test_a_killed_install_never_passes_for_the_wish_before_it(namespace_box: Box, tmp_path: Path) -> None:
    """W1 is there; W2 is killed half way; W1 again has to be applied again, though its mark had been written once."""
    box = namespace_box
    box.add("greeter", MANIFEST, install__sh=GATED)
    box.says("touch /etc/may-go-on")
    box.install("greeter", {"text": "one"})
    box.says("rm /etc/may-go-on")
    killed = Attempt(box.workspace.path, tmp_path / "killed", "greeter", {"text": "two"})
    until(lambda: box.run("test -e /etc/half-way").code == 0, "the middle of the install")
    killed.kill()
    assert box.markers()["greeter"].done is False
    assert box.says("cat /etc/greeting") == "two"
    box.says("touch /etc/may-go-on")
    assert box.install("greeter", {"text": "one"})["outcome"] == "installed"
    assert box.says("cat /etc/greeting /etc/greeting.second") == "oneone"
    assert box.markers()["greeter"].done is True


def test_the_same_again_after_a_kill_ends_in_the_same_state(namespace_box: Box, tmp_path: Path) -> None:
    box = namespace_box
    box.add("greeter", MANIFEST, install__sh=GATED)
    killed = Attempt(box.workspace.path, tmp_path / "killed", "greeter", {"text": "two"})
    until(lambda: box.run("test -e /etc/half-way").code == 0, "the middle of the install")
    killed.kill()
    assert Inventory(box.workspace).all("trial") == []
    box.says("touch /etc/may-go-on")
    done = Attempt(box.workspace.path, tmp_path / "again", "greeter", {"text": "two"}).result()
    assert done["outcome"] == "installed"
    assert box.says("cat /etc/greeting /etc/greeting.second") == "twotwo"
    (entry,) = Inventory(box.workspace).all("trial")
    assert (entry.name, entry.id) == ("greeter.trial-1", box.server.id)
    assert box.says("ls /run/provisioning/work 2>/dev/null; true") == ""


def test_an_install_that_stays_ill_fails_to_be_tried_again(namespace_box: Box) -> None:
    box = namespace_box
    manifest = MANIFEST.replace("test -s /etc/greeting", "cat /etc/no-such-thing").replace("}\n", "}\n")
    box.add("greeter", manifest.replace('thing"}', 'thing", deadline_s: 0.5}'), install__py=PYTHON)
    with pytest.raises(ProviderError) as caught:
        box.install("greeter")
    assert (caught.value.code, caught.value.retryable) == ("unhealthy", True)
    assert "/etc/no-such-thing" in caught.value.message
    assert box.markers()["greeter"].done is False


def test_a_failed_operation_is_named_with_its_last_words(namespace_box: Box) -> None:
    box = namespace_box
    text = (
        "from pyinfra.operations import server as shell\n"
        "def install(server, params):\n"
        "    shell.shell(['echo it is broken >&2; exit 7'], name='try it')\n"
    )
    box.add("greeter", MANIFEST, install__py=text)
    with pytest.raises(ProviderError, match="try it failed: it is broken") as caught:
        box.install("greeter")
    assert (caught.value.code, caught.value.retryable) == ("operation_failed", True)


def test_secrets_reach_the_server_and_nothing_else(namespace_box: Box, tmp_path: Path) -> None:
    box = namespace_box
    said: list[str] = []
    box.tell = said.append
    manifest = 'version: "1"\nparameters: {password: {type: text, secret: true, required: true}}\n'
    script = (
        "#!/bin/sh\n"
        'test -z "${PARAM_PASSWORD:-}" || exit 3\n'
        'cp "$PARAM_PASSWORD_FILE" /etc/password\n'
        'echo "changed: the password is now $(cat /etc/password)"\n'
        "if [ -e /etc/fail ]; then cat /etc/password >&2; exit 5; fi\n"
    )
    box.add("keeper", manifest, install__sh=script)
    done = box.install("keeper", {"password": "secret://keeper"})
    value = box.secret("secret://keeper")
    assert box.says("cat /etc/password") == value
    box.says("touch /etc/fail; rm /etc/password")
    box.forget("keeper")
    with pytest.raises(ProviderError) as caught:
        box.install("keeper", {"password": "secret://keeper"})
    markers = box.says("cat /var/lib/provisioning/taskservs/*")
    kept = [path.read_text(errors="replace") for path in _files(box.workspace.path / ".provisioning" / "inventory")]
    for text in (json.dumps(done), *said, caught.value.message, markers, *kept):
        assert value not in text
    assert any("secret://keeper" in text for text in kept)
    assert "changed: the password is now [secret keeper]" in said


def test_another_value_of_the_same_secret_is_a_change(namespace_box: Box) -> None:
    box = namespace_box
    manifest = 'version: "1"\nparameters: {password: {type: text, secret: true, required: true}}\n'
    box.add("keeper", manifest, install__sh='#!/bin/sh\ncp "$PARAM_PASSWORD_FILE" /etc/password\n')
    wish = given("keeper", {"password": "secret://keeper"})

    def install(value: str) -> str:
        told = Told(box.tell, resolve=lambda _: value)
        return str(install_one(box.workspace, wish, told=told)["outcome"])

    assert [install("first value"), install("first value"), install("second value")] == [
        "installed",
        "unchanged",
        "changed",
    ]
    assert box.says("cat /etc/password") == "second value"


def test_what_a_server_does_not_offer_is_refused_before_anything_is_changed(namespace_box: Box) -> None:
    box = namespace_box
    box.add_builtin("nginx")
    with pytest.raises(ConflictError) as caught:
        box.install("nginx")
    assert caught.value.code == "unsupported_server"
    assert caught.value.message == (
        "taskserv nginx cannot be on trial-1: it needs apt (Debian packages can be installed)"
    )
    assert "level 'namespace'" in str(caught.value.hint)
    assert box.markers() == {}


def test_a_plain_process_on_this_host_offers_nothing() -> None:
    """Even where root runs us: what is installed there would be installed on the host."""
    with bench("process", [], lambda _: None) as made:
        box = Box(made.workspace, made.server, made.tell)
        box.add("greeter", MANIFEST, install__py=PYTHON)
        with pytest.raises(ConflictError, match="it needs root"):
            box.install("greeter")
        box.add("rootless", 'version: "1"\n', install__sh="#!/bin/sh\ntouch $HOME/was-here\n")
        assert box.install("rootless")["outcome"] == "installed"
        assert box.install("rootless")["outcome"] == "unchanged"
        assert "/.provisioning/taskservs/rootless.json" in box.says("ls $HOME/.provisioning/taskservs/rootless.json")


def test_what_it_needs_has_to_be_there_first(namespace_box: Box) -> None:
    box = namespace_box
    box.add("base", 'version: "1"\n', install__sh="#!/bin/sh\n")
    box.add("above", 'version: "1"\nneeds: [base]\n', install__sh="#!/bin/sh\n")
    with pytest.raises(ProviderError, match="above needs base on trial-1 first") as caught:
        box.install("above")
    assert (caught.value.code, caught.value.retryable) == ("missing_taskservs", True)
    box.install("base")
    assert box.install("above")["outcome"] == "installed"


def test_all_faults_of_a_wish_are_said_before_a_server_is_asked(namespace_box: Box) -> None:
    box = namespace_box
    box.add("greeter", MANIFEST, install__py=PYTHON)
    with pytest.raises(UsageError, match=r"txet: there is no parameter 'txet'.*Did you mean 'text'"):
        box.install("greeter", {"txet": "x"})
    with pytest.raises(UsageError, match="name: "):
        install_one(box.workspace, given("Bad Name", {}), told=Told(box.tell))
    with pytest.raises(UsageError, match="the task's key is 'ws/other'"):
        install_one(box.workspace, given("greeter", {}), key="ws/other", told=Told(box.tell))


def test_a_server_that_is_not_there_is_an_error_and_a_removal_from_it_is_none(namespace_box: Box) -> None:
    box = namespace_box
    box.add("greeter", MANIFEST, install__py=PYTHON)
    box.install("greeter")
    LocalProvider(box.workspace.path).delete("server", box.server.id)
    with pytest.raises(Exception, match="no server 'trial-1' of trial exists"):
        box.install("greeter")
    assert box.remove("greeter")["removed"] is False
    assert Inventory(box.workspace).all("trial") == []


def test_the_second_install_imports_no_pyinfra(namespace_box: Box) -> None:
    """It is a look: pyinfra, gevent and paramiko are for those who change something."""
    box = namespace_box
    box.add("greeter", MANIFEST, install__py=PYTHON)
    box.install("greeter")
    program = (
        "import sys; from pathlib import Path\n"
        "from provisioning_core.installing import Told, install_one\n"
        "from provisioning_core.workspace import load_workspace\n"
        f"given = {given('greeter', {})!r}\n"
        "done = install_one(load_workspace(Path(sys.argv[1])), given, told=Told(lambda _: None))\n"
        "print(done['outcome'], sorted({'pyinfra', 'gevent', 'paramiko', 'jinja2'} & sys.modules.keys()))\n"
    )
    argv = [sys.executable, "-c", program, str(box.workspace.path)]
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip() == "unchanged []"


def _files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]
