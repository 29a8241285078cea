"""bin/demo: the example infrastructure `wuji`, from nothing to machines that one can log in to.

Everything that it does it does through bin/provisioning, as a person would, and shows each command before it runs.
Three things are done here instead: choosing a port, the kill of `--kill`, and the last look of `--destroy`, which asks
the system what is left and not our own programs. Standard library only: it runs before anything is set up.
"""

from __future__ import annotations

import argparse
import errno
import http.client
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / ".state" / "demo"
PORT_FILE = DEMO / "port"
LIBRARY_FILE = DEMO / "library"
INFRA = "wuji"
PORT_DEFAULT = 9090
PORT_MAX = 65535
PORTS_TRIED_MAX = 100
DEADLINE_S = 30.0

NEXT = """
Try next:
  bin/provisioning server ssh web-1                      log in: hostname, exit
  bin/provisioning server ssh web-2 -- uname -n          one command there
  bin/demo --tour                                        a change, a drift, and how they are seen and mended
  bin/provisioning workflow show @last                   what was done
  bin/provisioning server create narrow --orchestrated   one fails, and says why
  bin/provisioning server delete wuji db-1 --yes         bin/demo brings it back
  bin/demo --kill                                        a kill -9 in the middle
  bin/provisioning orchestrator stop                     the servers stay
  bin/demo --destroy                                     leave nothing behind
"""


class DemoFailed(Exception):
    """What did not work, and where to look."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="bin/demo",
        description=f"Create the servers of the example infrastructure `{INFRA}`: machines on this machine, with SSH. "
        "No root, no account. Everything is kept in .state/ of this clone.",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--kill", action="store_true", help="start over, with a kill -9 of the daemon in the middle")
    what.add_argument("--tour", action="store_true", help="then a changed definition, and a server deleted behind us")
    what.add_argument("--destroy", action="store_true", help="delete the servers, stop the daemon, leave nothing")
    parser.add_argument("--nu", action="store_true", help="run the operations that are written in Nushell")
    parser.add_argument(
        "--port", type=port_number, metavar="N", help=f"the daemon's port (else {PORT_DEFAULT}, or the next free)"
    )
    options = parser.parse_args(arguments)
    try:
        if options.destroy:
            destroy()
        else:
            create(nu=options.nu, kill=options.kill, port=options.port)
            if options.tour:
                tour()
            print(NEXT, end="")
    except DemoFailed as error:
        print(f"bin/demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nbin/demo: left; what runs goes on, and bin/demo --destroy ends it", file=sys.stderr)
        return 130
    return 0


# --- create ----------------------------------------------------------------------------------------------------------


def create(*, nu: bool, kill: bool, port: int | None) -> None:
    began = time.monotonic()
    set_up("core", "orchestrator", "workspace", *(["nu"] if nu else []))
    if nu and shutil.which("nu", path=environment()["PATH"]) is None:
        raise DemoFailed("--nu needs Nushell: npm brings it (bin/setup nu), or put nu on PATH")
    if kill:
        delete_servers()
    before = servers()
    start_daemon(port, nu=nu)
    if kill:
        create_with_a_kill()
    else:
        provisioning(*create_command())
    if before and {server["id"] for server in before} == {server["id"] for server in servers()}:
        say(f"\nNothing was to be done: these servers were here before. ({time.monotonic() - began:.1f} s)")
    else:
        say(f"\nFrom the command to running servers: {time.monotonic() - began:.1f} s.")


def create_command() -> tuple[str, ...]:
    """Everything; the library in Nushell has the operations for servers and networks."""
    return ("server" if LIBRARY_FILE.read_text() == "nu" else "infra", "create", INFRA, "--orchestrated")


def tour() -> None:
    """What follows a first create: a changed definition, and a world that was changed without us."""
    definition = DEMO / "workspace" / "infra" / f"{INFRA}.yaml"
    before = definition.read_text("utf-8")
    say("\n>>> Someone edits infra/wuji.yaml: another text for the pages, more memory for db-1.")
    changed = before.replace("welcome to the shop", "the shop is open").replace("plan: 2cpu-4gb", "plan: 2cpu-8gb")
    if changed == before:  # the tour was here before: the way back is a change too
        changed = before.replace("the shop is open", "welcome to the shop").replace("plan: 2cpu-8gb", "plan: 2cpu-4gb")
    definition.write_text(changed, "utf-8")
    provisioning("infra", "plan", INFRA)
    provisioning(*create_command(), "--yes")
    say("\n>>> Someone deletes web-2 at the provider, behind our back.")
    delete_behind_our_back("web-2")
    provisioning("infra", "drift", INFRA)
    provisioning(*create_command(), "--yes")
    provisioning("infra", "drift", INFRA)


def delete_behind_our_back(server: str) -> None:
    delete = (
        "import pathlib, sys\n"
        "from provisioning_core.providers.local import LocalProvider\n"
        "provider = LocalProvider(pathlib.Path(sys.argv[1]))\n"
        "(found,) = [each for each in provider.list('server') if each.name == sys.argv[2]]\n"
        "assert provider.delete('server', found.id)"
    )
    python = ROOT / ".state" / "core" / "bin" / "python"
    if subprocess.run([python, "-c", delete, DEMO / "workspace", server]).returncode:
        raise DemoFailed(f"{server} could not be deleted")


def create_with_a_kill() -> None:
    """Kill the daemon while servers are being made, start it again, and let the watching command find its way back."""
    create = (*create_command(), "--progress", "plain")
    show(create)
    command = [str(ROOT / "bin" / "provisioning"), *create]
    watching = subprocess.Popen(command, env=environment(), stdin=subprocess.DEVNULL)  # on a terminal it would ask
    try:
        while not (running := servers_in_the_making()):
            if watching.poll() is not None:
                raise DemoFailed("all was over before the daemon could be killed; look at the lines above")
        pid = until(daemon_pid, "the daemon's process id")
        os.kill(pid, signal.SIGKILL)
        say(f">>> kill -9 {pid}: the daemon, while it makes {', '.join(running)}. Its tasks live on without it.")
        until(lambda: not port_answers(), "the daemon's end")
        provisioning(*start_command(nu=LIBRARY_FILE.read_text() == "nu"))
        say(">>> It has found its tasks again; no attempt is started twice. The command above goes on watching:")
        if watching.wait() != 0:
            raise DemoFailed(f"the command that watched ended with {watching.returncode}")
    finally:
        if watching.poll() is None:
            watching.terminate()
    provisioning("workflow", "show", "@last")
    provisioning("server", "list", INFRA)


def servers_in_the_making() -> list[str]:
    """The names of servers whose task runs now."""
    answer = request("/tasks?status=running")
    running = [task for task in (answer or {"items": []})["items"] if task["operation"] == "servers/create-one"]
    return sorted(str(task["id"]).rpartition(".")[2] for task in running)


# --- the daemon ------------------------------------------------------------------------------------------------------


def port_number(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= PORT_MAX:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no port; accepted: 1 to {PORT_MAX}")


def start_daemon(port: int | None, *, nu: bool) -> None:
    """The demo's own daemon, healthy, with that library and port. One that already runs so is used."""
    library = "nu" if nu else "python"
    if request("/workflows?limit=1") is not None:
        if LIBRARY_FILE.exists() and LIBRARY_FILE.read_text() == library and port in (None, read_port()):
            say(f"The demo's daemon runs (process {daemon_pid()}).")
            return
        provisioning("orchestrator", "stop")
    choose_port(port)
    LIBRARY_FILE.write_text(library)
    provisioning(*start_command(nu=nu))


def start_command(*, nu: bool) -> list[str]:
    return ["orchestrator", "start", *(["--nu-library"] if nu else [])]  # the port: bin/provisioning reads our file


def choose_port(wanted: int | None) -> None:
    """Write down the wanted port, else last time's, else 9090. Where it is taken, say by whom, and take the next."""
    port = wanted or read_port()
    if not port_free(port):
        taken = f"Port {port} is taken by {port_owner(port)}"
        if wanted:
            raise DemoFailed(f"{taken}; without --port the next free one is chosen")
        port = next((port for port in range(port + 1, min(port + PORTS_TRIED_MAX, PORT_MAX + 1)) if port_free(port)), 0)
        if not port:
            raise DemoFailed(f"{taken}, and so are the next {PORTS_TRIED_MAX}")
        say(f"{taken}: taking {port}, remembered in {PORT_FILE.relative_to(ROOT)}.")
    PORT_FILE.write_text(f"{port}\n")


def read_port() -> int:
    try:
        return int(PORT_FILE.read_text())
    except (OSError, ValueError):
        return PORT_DEFAULT


def port_free(port: int) -> bool:
    """Nobody listens on it, on either loopback address; where there is no IPv6, the first one counts."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
        except OSError as error:
            if family == socket.AF_INET or error.strerror == os.strerror(errno.EADDRINUSE):
                return False
    return True


def port_owner(port: int) -> str:
    ask = f"from provisioning_core.cli.port import owner_of; print(owner_of({port}) or '')"
    python = ROOT / ".state" / "core" / "bin" / "python"
    return subprocess.run([python, "-c", ask], capture_output=True, text=True).stdout.strip() or "another program"


def port_answers() -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", read_port())) == 0


def request(path: str) -> dict[str, Any] | None:
    """GET, with the demo's token: None where no daemon answers, or it is not the demo's."""
    try:
        token = (DEMO / "orchestrator" / "token").read_text().strip()
        connection = http.client.HTTPConnection("127.0.0.1", read_port(), timeout=10)
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException):
        return None
    answer: dict[str, Any] | None = json.loads(body) if response.status == 200 else None
    return answer


def daemon_pid() -> int | None:
    health = request("/health")
    return int(health["pid"]) if health and health.get("pid") else None


# --- destroy ---------------------------------------------------------------------------------------------------------


def destroy() -> None:
    if not DEMO.exists():
        say("Nothing to do: there is no demo in this clone.")
        return
    set_up("core", "orchestrator", "workspace")
    if ours() and request("/workflows?limit=1") is None and (DEMO / "orchestrator" / "token").exists():
        # Tasks outlive a killed daemon on purpose; the way to end them is to let one find them.
        choose_port(None)
        provisioning(*start_command(nu=False))
    for status in ("running", "queued"):
        for row in (request(f"/workflows?status={status}&limit=1000") or {"items": []})["items"]:
            provisioning("workflow", "cancel", row["workflow_id"])
    if request("/workflows?limit=1") is not None:
        provisioning("orchestrator", "stop")
    try:
        delete_servers()
    except DemoFailed as error:
        say(f"\n{error}\nIts machines on this machine are ended all the same.")
        end_machines()
    give_up = time.monotonic() + DEADLINE_S
    while (left := ours()) and time.monotonic() < give_up:
        time.sleep(0.05)
    if left:
        raise DemoFailed("still there:\n  " + "\n  ".join(left) + f"\n{DEMO} is kept, so that it can be looked at")
    shutil.rmtree(DEMO)
    say("Nothing is left: no process, no mount, no file of the demo. (The programs stay in .state; rm -rf .state)")


def delete_servers() -> None:
    """All of the workspace, by direct mode: no daemon is needed to be rid of them."""
    for infra in sorted({server["infra"] for server in servers()}):
        provisioning("infra", "delete", infra, "--yes")


def end_machines() -> None:
    """All that the local provider made there, whatever became of the workspace's files."""
    end = (
        "import pathlib, sys; from provisioning_core.providers.local import destroy; destroy(pathlib.Path(sys.argv[1]))"
    )
    subprocess.run([ROOT / ".state" / "core" / "bin" / "python", "-c", end, DEMO / "workspace"])


def ours() -> list[str]:
    """Processes of the demo, in words: they name its directory, run an attempt of it, or have a part of it mounted."""
    marks = (os.fsencode(DEMO) + b"/", b"PROVISIONING_RESULT=" + os.fsencode(DEMO))
    mounted = os.fsencode(Path(ROOT.name, ".state", "demo"))  # mountinfo's paths begin at the file system's own root
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        if int(process.name) == os.getpid():
            continue
        command = read_bytes(process / "cmdline")
        if (
            marks[0] in command
            or marks[1] in read_bytes(process / "environ")
            or mounted in read_bytes(process / "mountinfo")
        ):
            found.append(f"process {process.name} ({command.replace(bytes(1), b' ').decode(errors='replace')[:100]})")
    return found


def read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # it ended, or is another user's


# --- commands --------------------------------------------------------------------------------------------------------


def set_up(*names: str) -> None:
    if subprocess.run([str(ROOT / "bin" / "setup"), *names]).returncode:
        raise DemoFailed("the clone could not be set up")


def environment() -> dict[str, str]:
    """Ours without settings that point to another daemon or workspace: the demo is always this clone's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PROVISIONING_")}
    kept["PROVISIONING_PROGRAM"] = "bin/provisioning"  # as this program itself calls it
    kept["PROVISIONING_WORKSPACE"] = str(DEMO / "workspace")  # also where one is called from within another one
    return kept | {"PATH": f"{ROOT}/.state/nu/bin:{os.environ.get('PATH', os.defpath)}"}


def provisioning(*arguments: str) -> None:
    """Show and run a command of bin/provisioning, on the terminal. Raises DemoFailed where it fails."""
    show(arguments)
    done = subprocess.run([str(ROOT / "bin" / "provisioning"), *arguments], env=environment(), stdin=subprocess.DEVNULL)
    if done.returncode:
        raise DemoFailed(f"that failed (exit {done.returncode}); see also: bin/provisioning orchestrator logs")


def servers() -> list[dict[str, Any]]:
    """What exists in the demo's workspace."""
    command = [str(ROOT / "bin" / "provisioning"), "server", "list", "-o", "json"]
    done = subprocess.run(command, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise DemoFailed(f"cannot list the servers: {done.stderr.strip()}")
    items: list[dict[str, Any]] = json.loads(done.stdout)["items"]
    return items


def until(condition: Callable[[], T | None], what: str) -> T:
    """The first true value of the condition, asked again at once: what is waited for takes milliseconds."""
    give_up = time.monotonic() + DEADLINE_S
    while time.monotonic() < give_up:
        if value := condition():
            return value
        time.sleep(0.002)
    raise DemoFailed(f"waited {DEADLINE_S:.0f} s in vain for {what}")


def show(arguments: tuple[str, ...]) -> None:
    say(f"\n$ bin/provisioning {shlex.join(arguments)}")


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
