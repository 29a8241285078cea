"""Canaries: twenty secrets, told in eight encodings by operations in three languages, in every way that there is; then
everything that was ever written is searched for them, and none is found.

The search does not know how redaction works: it has its own encoders, and it also looks for halves.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from acceptance.conftest import BIN, Cli
from acceptance.daemon import ROOT, Daemon, free_port, until

COUNT = 20
OPERATIONS = Path(__file__).parent / "operations" / "canary"
SHARED = ("orchestrator/src/provisioning_orchestrator/runner", "core/src/provisioning_core/secrets")


def canaries() -> dict[str, str]:
    chance = random.Random(os.urandom(8))

    def word(size: int) -> str:
        return "".join(chance.choices("abcdefghijkmnpqrstuvwxyzABCDEFGH0123456789", k=size))

    shapes = [
        word(12), word(24), word(40), word(64), word(300), word(4000),
        f"{word(9)}'{word(9)}", f'{word(9)}"{word(9)}', f"{word(9)}\\{word(9)}", f"{word(9)}$(`{word(9)}`)",
        f"{word(8)} {word(8)}+{word(8)}/{word(8)}=", f"postgres://{word(8)}:{word(8)}@h/{word(8)}?a={word(8)}&b",
        f"{word(6)}pâss-ünï-{word(8)}", f"{word(8)}🚀{word(8)}", f"<{word(9)}&{word(9)}>",
        "".join(chance.choices("0123456789", k=24)), chance.randbytes(24).hex(),
        base64.b64encode(chance.randbytes(24)).decode(),
        "-----BEGIN KEY-----\n" + "\n".join(word(64) for _ in range(8)) + "\n-----END KEY-----\n",
        f"{word(10)}\t%41%{word(10)}~!*()",
    ]  # fmt: skip
    assert len(shapes) == COUNT
    return {f"canary/{number:02}": value for number, value in enumerate(shapes)}


def forms(value: str) -> set[bytes]:
    """What is searched for: the value in eight encodings and more, and its halves."""
    raw = value.encode()
    texts = {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1]}
    texts |= {urllib.parse.quote(value), urllib.parse.quote(value, safe=""), urllib.parse.quote_plus(value)}
    texts.add(value.replace("'", "'\\''"))
    found = {raw, raw.hex().encode(), raw.hex().upper().encode(), value.encode("utf-16-le"), value.encode("utf-16-be")}
    found |= {text.encode() for text in texts}
    for before in range(3):
        inner = base64.b64encode(b"\0" * before + raw)[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]
        found |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    middle = len(raw) // 2
    halves = {raw[:middle], raw[middle:]}
    lines = {line for line in raw.splitlines() if len(line) >= 10 and not line.startswith(b"-----")}
    return found | {half for half in halves if len(half) >= 6} | lines


@dataclass
class Search:
    """needles: form → the name of the secret. hits: where each was found. seen: how many bytes were looked at."""

    needles: dict[bytes, str]
    hits: list[str] = field(default_factory=list)
    seen: int = 0

    def bytes(self, data: bytes, where: str) -> None:
        self.seen += len(data)
        for form, name in self.needles.items():
            at = data.find(form)
            if at >= 0:
                self.hits.append(f"{name} in {where}: {data[max(0, at - 30) : at + len(form) + 30][:120]!r}")

    def tree(self, root: Path, leave: Callable[[Path], bool]) -> None:
        """All files below, their names, and where links lead."""
        for directory, _, files in os.walk(root):
            for name in files:
                path = Path(directory, name)
                self.bytes(os.fsencode(path), f"the name {path}")
                try:
                    if not leave(path) and stat.S_ISREG(path.lstat().st_mode):
                        self.bytes(path.read_bytes(), str(path))
                except FileNotFoundError:
                    continue  # It went while we looked: a log's old part, somebody else's.

    def processes(self) -> None:
        """What every process of this machine shows to its user and to others."""
        for pid in _pids():
            for what in ("cmdline", "environ", "comm"):
                try:
                    self.bytes(Path("/proc", pid, what).read_bytes(), f"/proc/{pid}/{what}")
                except OSError:
                    continue


@dataclass
class World:
    path: Path
    daemon: Daemon
    cli: Cli
    secrets: dict[str, str]
    search: Search

    @property
    def memory(self) -> Path:
        return Path(f"/dev/shm/provisioning-{os.geteuid()}")

    def params(self, how: str, name: str) -> dict[str, Any]:
        references = [f"secret://{secret}" for secret in self.secrets]
        return {"secrets": references, "how": how, "here": str(self.path / f"here-{name}"), "go": str(self.path / "go")}

    def submit(self, tasks: list[dict[str, Any]]) -> str:
        status, answer = self.daemon.request("POST", "/workflows", {"name": "canaries", "tasks": tasks})
        assert status == 202, answer
        return str(answer["workflow_id"])

    def task(self, operation: str, how: str, **more: Any) -> dict[str, Any]:
        id = f"{operation.replace('/', '-')}-{how}"
        return {"id": id, "operation": operation, "params": self.params(how, id)} | more

    def ask_everything(self, workflow: str) -> None:
        """All that the API and the CLI say of a workflow."""
        at = f"/workflows/{workflow}"
        paths = [at, f"{at}/tasks?limit=1000", f"{at}/events?limit=1000", "/workflows", "/tasks?limit=1000", "/metrics"]
        tasks = self.daemon.items(f"{at}/tasks")
        paths += [f"{at}/tasks/{task['id']}{more}" for task in tasks for more in ("", "/log")]
        for path in paths:
            _, said = self.daemon.request("GET", path)
            self.search.bytes(said if isinstance(said, bytes) else json.dumps(said, ensure_ascii=False).encode(), path)
        for arguments in (
            ("workflow", "show", workflow, "-o", "json"),
            ("workflow", "show", workflow, "--debug"),
            ("workflow", "show", workflow, "-o", "yaml"),
            ("workflow", "watch", workflow, "--progress", "plain"),
            *(("workflow", "logs", workflow, task["id"]) for task in tasks),
            ("secret", "list", "-o", "json"),
        ):
            done = subprocess.run(
                [str(BIN / "provisioning"), *arguments],
                env=self.cli.environment, stdin=subprocess.DEVNULL, capture_output=True, check=False,
            )  # fmt: skip
            self.search.bytes(done.stdout + done.stderr, " ".join(arguments))


@pytest.fixture
def world(tmp_path: Path, new_daemon: Callable[..., Daemon]) -> World:
    config = tmp_path / "config"
    library = tmp_path / "library" / "canary"
    home = tmp_path / "home"
    home.mkdir()
    shutil.copytree(OPERATIONS, library)
    shutil.copy(library / "tell.py", library / "again.py")
    (library / "again.toml").write_text("repeatable = true\nretry = {attempts_max = 20, delay_s = 0.05}\n")
    resolver = f"{sys.executable} -P -m provisioning_core secret resolve"
    environment = {"XDG_CONFIG_HOME": str(config), "HOME": str(home), "PYTHON_KEYRING_BACKEND": NO_KEYRING}
    options = ["--secrets-command", resolver, "--library", str(library.parent), "--library", str(ROOT / "core/library")]
    daemon = new_daemon(*options, "--log-level", "debug", **environment).start()
    (daemon.workspace / "infra" / "nothing.yaml").write_text("servers: []\n")
    (daemon.workspace / "tell.yaml").write_text(PLAYBOOK)
    (daemon.workspace / "cloud").mkdir()
    (daemon.workspace / "cloud" / "main.tf").write_text(CONFIGURATION)
    secrets = canaries()
    cli = _Cli(daemon, home, config)
    for number, (name, value) in enumerate(secrets.items()):
        backend = "age" if number % 5 == 4 else "file"
        done = subprocess.run(
            [str(BIN / "provisioning"), "secret", "set", name, "--backend", backend],
            env=cli.environment, input=value.encode() + b"\n", capture_output=True, check=True,
        )  # fmt: skip
        assert done.stdout == b""
    needles = {form: name for name, value in secrets.items() for form in forms(value)}
    world = World(tmp_path, daemon, cli, secrets, Search(needles))
    for name, value in secrets.items():
        assert cli("secret", "get", name, "--yes").stdout == value, "what is searched for is not what is kept"
    return world


NO_KEYRING = "keyring.backends.null.Keyring"


@dataclass(frozen=True)
class _Cli(Cli):
    config: Path

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {"XDG_CONFIG_HOME": str(self.config), "PYTHON_KEYRING_BACKEND": NO_KEYRING}


def _pids() -> list[str]:
    return [path.name for path in Path("/proc").iterdir() if path.name.isdigit()]


def _operations(world: World) -> list[dict[str, Any]]:
    tasks = [world.task("canary/tell", how, retry={"attempts_max": 1}) for how in ("return", "raise", "exit")]
    tasks += [world.task("canary/tell-sh", "return"), world.task("canary/tell-sh", "raise", retry={"attempts_max": 1})]
    tasks += [world.task("canary/again", "return")]
    tasks += [_playbook(world, how) for how in ("return", "raise")]
    if TERRAFORM is not None:
        references = [f"secret://{name}" for name in world.secrets]
        params = {"directory": "cloud", "program": Path(TERRAFORM).name, "variables": {"told": references}}
        tasks.append({"id": "terraform", "operation": "opentofu/apply", "params": params})
    if _has_nu():
        tasks += [world.task("canary/tell-nu", how, retry={"attempts_max": 1}) for how in ("return", "raise")]
    return tasks


TERRAFORM = shutil.which("tofu") or shutil.which("terraform")
CONFIGURATION = """\
variable "told" { type = list(string) }
resource "terraform_data" "told" { input = join(",", var.told) }
output "loud" { value = terraform_data.told.output }
output "hidden" {
  value     = var.told
  sensitive = true
}
"""
PLAYBOOK = """\
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.debug: {msg: "{{ item }} {{ item | b64encode }} {{ item | to_json }} {{ item | quote }}"}
      loop: "{{ told }}"
    - name: a template of it is written here first
      ansible.builtin.copy: {content: "{{ told | join(' ') }}", dest: "{{ here }}-copy", mode: "0600"}
    - ansible.builtin.file: {path: "{{ here }}-copy", state: absent}
    - ansible.builtin.set_fact: {all: "{{ told }}", first: "{{ told[0] }}"}
    - ansible.builtin.command: cat
      args: {stdin: "{{ told | join('\n') }}"}
    - ansible.builtin.copy: {content: "here", dest: "{{ here }}", mode: "0600"}
    - ansible.builtin.wait_for: {path: "{{ go }}", timeout: 60}
    - ansible.builtin.fail: {msg: "bad: {{ told | join(' ') }}"}
      when: how == 'raise'
"""


def _playbook(world: World, how: str) -> dict[str, Any]:
    told = world.params(how, f"playbook-{how}")
    variables = {"told": told.pop("secrets"), **told}
    params = {"infra": "nothing", "playbook": "tell.yaml", "variables": variables, "verbosity": 4, "forks": 1}
    return {"id": f"playbook-{how}", "operation": "ansible/playbook", "params": params, "retry": {"attempts_max": 1}}


def _has_nu() -> bool:
    return shutil.which("nu") is not None


def _how(params: dict[str, Any]) -> str:
    return str(params.get("how") or params.get("variables", {}).get("how") or "return")


def _shims(daemon: Daemon, operation: str) -> list[int]:
    """Of the running attempts: the parents of their operations."""
    found = []
    for pid in _pids():
        try:
            mine = operation.encode() in Path("/proc", pid, "cmdline").read_bytes()
            own = os.fsencode(daemon.data_dir) in Path("/proc", pid, "environ").read_bytes() or mine
            if mine and own:
                found.append(int(Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[1]))
        except OSError:
            continue
    return found


def _search_all(world: World, running: bool = False) -> None:
    """Everything below the test's directory but the stores themselves and the state of Terraform, what was left in
    memory, and traces in the system's temporary directory. running: what living operations write is in memory until it
    is redacted."""
    kept = {"secrets.toml", "secrets.age", "age.key", "terraform.tfstate", "terraform.tfstate.backup"}
    world.search.tree(world.path, lambda path: path.name in kept and path.parent.name in ("provisioning", "cloud"))
    if not running:
        world.search.tree(world.memory, lambda _: False)
    for left in Path(os.environ.get("TMPDIR", "/tmp")).glob("provisioning-direct-*"):
        world.search.tree(left, lambda _: False)


@pytest.mark.slow
def test_twenty_canaries_through_a_daemon_that_is_killed_are_nowhere(world: World) -> None:
    workflow = world.submit(_operations(world))
    again = world.path / "here-canary-again-return"
    until(again.exists, "an attempt that has told its secrets")
    until((world.path / "here-canary-tell-return").exists, "the other")
    until((world.path / "here-playbook-return").exists, "a playbook in its middle", 120.0)
    world.search.processes()
    assert world.search.seen > 10_000
    _search_all(world, running=True)
    for _ in range(3):
        world.daemon.kill()
        world.search.processes()
        world.daemon.start()
    shims = _shims(world.daemon, str(world.path / "library/canary/again.py"))
    assert len(shims) == 1
    again.unlink()
    os.kill(shims[0], signal.SIGKILL)
    until(again.exists, "another attempt of what was shot")
    (world.path / "go").touch()
    ended = world.daemon.ended(workflow)

    counts = {task["id"]: task["status"] for task in world.daemon.items(f"/workflows/{workflow}/tasks")}
    expected = {
        task["id"]: "failed" if _how(task["params"]) != "return" else "succeeded" for task in _operations(world)
    }
    assert (ended["status"], counts) == ("failed", expected)
    world.ask_everything(workflow)
    world.daemon.kill()  # its journal stays as it was written
    _search_all(world)
    world.daemon.start().stop()
    _search_all(world)
    assert world.search.hits == [], "\n".join(world.search.hits)
    own = world.memory / hashlib.sha256(os.fsencode(world.daemon.data_dir)).hexdigest()[:16]
    assert not own.exists(), list(own.rglob("*"))

    logs = {path: path.read_bytes() for path in world.daemon.data_dir.rglob("*.log")}
    told = [log for log in logs.values() if all(f"[secret {name}]".encode() in log for name in world.secrets)]
    assert len(told) >= len(expected), "the operations did not tell what they were to tell"


DIRECT = """
import json, sys
from pathlib import Path
from provisioning_core.direct import run_direct
params = json.load(sys.stdin)
outcome = run_direct([Path(sys.argv[1])], sys.argv[2], params, workspace=Path(sys.argv[3]),
                     on_event=lambda event: print(event.type, event.data, flush=True))
print(outcome)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "operation", ["canary/tell", "canary/tell-sh", pytest.param("canary/tell-nu", marks=pytest.mark.nu)]
)
def test_twenty_canaries_in_direct_mode_are_nowhere(world: World, operation: str) -> None:
    (world.path / "go").touch()
    command = [sys.executable, "-c", DIRECT, str(world.path / "library"), operation, str(world.daemon.workspace)]
    for how in ("return", "raise"):
        params = json.dumps(world.params(how, "direct"))
        done = subprocess.run(
            command, env=world.cli.environment, input=params, capture_output=True, text=True, check=False
        )
        assert "[secret canary/00]" in done.stdout, done.stderr
        world.search.bytes((done.stdout + done.stderr).encode(), f"direct {operation} {how}")
    _search_all(world)
    assert world.search.hits == [], "\n".join(world.search.hits)


@pytest.mark.slow
def test_a_started_orchestrator_resolves_what_the_cli_has_set(tmp_path: Path, workspace: Path) -> None:
    """No option is needed: `orchestrator start` says who resolves, and passes a provider's variables on."""
    port, (home, library) = free_port(), (tmp_path / "home", tmp_path / "library" / "test")
    home.mkdir()
    library.mkdir(parents=True)
    (library / "use.py").write_text(
        "import os\nfrom provisioning_core.operation import run\n"
        "run(lambda task: [len(task.secret(task.params['p']).reveal()), os.environ.get('HCLOUD_TOKEN')])\n"
    )
    cleaned = {name: value for name, value in os.environ.items() if not name.startswith(("PROVISIONING_", "XDG_"))}
    environment = cleaned | {
        "HOME": str(home), "PYTHON_KEYRING_BACKEND": NO_KEYRING, "HCLOUD_TOKEN": "not-a-secret",
        "PROVISIONING_URL": f"http://127.0.0.1:{port}", "PROVISIONING_DATA_DIR": str(tmp_path / "data"),
        "PROVISIONING_WORKSPACE": str(workspace), "PROVISIONING_LIBRARY": str(library.parent),
    }  # fmt: skip
    call = partial(subprocess.run, env=environment, check=True, capture_output=True)
    program = str(BIN / "provisioning")
    call([program, "secret", "set", "team/db"], input=b"correct-horse-battery\n")
    call([program, "orchestrator", "start"], stdin=subprocess.DEVNULL)
    try:
        daemon = Daemon(tmp_path, workspace, port=port)
        task = {"id": "use", "operation": "test/use", "params": {"p": "secret://team/db"}}
        status, answer = daemon.request("POST", "/workflows", {"name": "use", "tasks": [task]})
        assert status == 202 and daemon.ended(answer["workflow_id"])["status"] == "succeeded"
        _, found = daemon.request("GET", f"/workflows/{answer['workflow_id']}/tasks/use")
        assert found["result"] == [21, "not-a-secret"]
    finally:
        call([program, "orchestrator", "stop"], stdin=subprocess.DEVNULL)


def test_the_search_finds_a_planted_canary_in_every_form(tmp_path: Path) -> None:
    """Were it blind, it would find nothing too."""
    secrets = canaries()
    for name, value in secrets.items():
        for number, form in enumerate(sorted(forms(value))):
            (tmp_path / "deep").mkdir(exist_ok=True)
            planted = tmp_path / "deep" / f"{number}"
            planted.write_bytes(b"\0before" + form + b"after\xff")
            search = Search(dict.fromkeys(forms(value), name))
            search.tree(tmp_path, lambda _: False)
            assert [hit for hit in search.hits if str(planted) in hit], (name, form)
            planted.unlink()


def test_the_search_finds_a_canary_in_the_environment_and_arguments_of_a_process() -> None:
    secrets = canaries()
    value = secrets["canary/01"]
    search = Search({value.encode(): "canary/01"})
    for command, environ in ((["sleep", "60"], {"X": value}), (["sh", "-c", "sleep 60; :", value], {})):
        process = subprocess.Popen(command, env=os.environ | environ)
        try:
            until(partial(_found, search, process.pid), "the planted canary")
        finally:
            process.kill()
            process.wait()


def _found(search: Search, pid: int) -> bool:
    search.hits.clear()
    search.processes()
    return any(f"/proc/{pid}/" in hit for hit in search.hits)


@pytest.mark.parametrize("file", ["redaction.py", "encodings.py"])
def test_both_distributions_redact_by_the_same_words(file: str) -> None:
    first, second = ((ROOT / directory / file).read_text() for directory in SHARED)
    assert first == second
