"""checks/await with real machines on this one: who asks whom, what comes back, and what is said when nobody answers."""

from __future__ import annotations

import asyncio
import shlex
import subprocess
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncssh
import pytest

from provisioning_core.checks.asking import Answer, Question, connect
from provisioning_core.checks.asking import ask as put
from provisioning_core.checks.waiting import Pair, _Waiting, await_check
from provisioning_core.errors import NotFoundError, ProviderError, UsageError
from provisioning_core.provider import Resource, Wish
from provisioning_core.providers.local import LocalProvider, destroy
from provisioning_core.workspace import Workspace, load_workspace

pytestmark = pytest.mark.slow
SERVE = """
import http.server, sys
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(self.path.strip("/") or 200)); self.end_headers()
    def log_message(self, *_): pass
server = http.server.HTTPServer(("0.0.0.0", int(sys.argv[1])), Page)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workspace, dict[str, Resource]]]:
    """Two machines of one network, at the level that this host offers."""
    path = tmp_path_factory.mktemp("checks")
    (path / "infra").mkdir()
    (path / "provisioning.yaml").write_text("name: checks\nprovider: local\n")
    (path / "infra" / "x.yaml").write_text(
        "networks: [{name: n, cidr: 10.99.0.0/24}]\n"
        "servers: [{name: a, plan: 1cpu-1gb, network: n}, {name: b, plan: 1cpu-1gb, network: n}]\n"
    )
    workspace, provider = load_workspace(path), LocalProvider(path)
    try:
        provider.create(
            Wish("network", workspace.key("x", "network", "n"), str(uuid4()), "x", "n", {"cidr": "10.99.0.0/24"})
        )
        made = {}
        for name in ("a", "b"):
            spec = {"plan": "1cpu-1gb", "network": "n"}
            made[name] = provider.create(
                Wish("server", workspace.key("x", "server", name), str(uuid4()), "x", name, spec)
            ).resource
        yield workspace, made
    finally:
        destroy(path)


@pytest.fixture
def serving(machines: Any) -> Iterator[int]:
    """A web server in machine b; its port."""
    _, servers = machines
    process = ssh(servers["b"], f"exec python3 -u -c {shlex.quote(SERVE)} 0")
    assert process.stdout is not None
    yield int(process.stdout.readline())
    process.terminate()
    process.wait(20)
    process.stdout.close()


def ssh(server: Resource, line: str) -> subprocess.Popen[str]:
    """By our own client, whose end is the end of the command."""
    told = dict(server.attributes["ssh"])
    program = (
        f"import sys; from provisioning_core.providers import sshclient; sys.exit(sshclient.run({told!r}, [{line!r}]))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )


def ask(workspace: Workspace, **params: Any) -> tuple[dict[str, Any], list[str]]:
    said: list[str] = []
    told = {"infra": "x", "name": "up", "deadline_s": 20, "interval_s": 0.1} | params
    return await_check(workspace, told, said.append), said


@pytest.mark.parametrize("sources", [[], ["a"], ["a", "b"]])
def test_a_port_and_a_page_are_reached_from_the_target_and_from_others(
    machines: Any, serving: int, sources: list[str]
) -> None:
    workspace, servers = machines
    if sources and servers["b"].attributes.get("network_refusal"):
        pytest.skip(f"servers here do not reach each other: {servers['b'].attributes['network_refusal']}")
    for question in ({"tcp": serving}, {"http": f":{serving}/"}, {"http": f":{serving}/302"}):
        result, said = ask(workspace, targets=["b"], sources=sources, **question)
        assert result["pairs"] == max(len(sources), 1)
        assert "good after" in said[-1]


def test_the_deadline_names_who_could_not_reach_whom_and_the_last_answer(machines: Any, serving: int) -> None:
    workspace, _ = machines
    with pytest.raises(ProviderError) as caught:
        ask(workspace, targets=["b"], http=f":{serving}/503", deadline_s=1.5)
    assert (caught.value.code, caught.value.retryable) == ("check_failed", True)
    assert "check up: http" in caught.value.message
    assert "b after" in caught.value.message
    assert "503" in caught.value.message
    with pytest.raises(ProviderError, match=r"tcp 1 was not good within 1.5 s: a -> b after \d+ tries: .+"):
        ask(workspace, targets=["b"], sources=["a"], tcp=1, deadline_s=1.5)


def test_the_deadline_ends_every_wait_also_where_answers_come_at_that_moment(machines: Any) -> None:
    """A hundred pairs are asked without a pause: for some of them an answer has just come and is not yet read."""
    _, servers = machines
    pairs = [Pair("a", "b", ["127.0.0.1"]) for _ in range(100)]
    waiting = _Waiting(Question(tcp=1), pairs, servers, 0.0, lambda _: None)
    asyncio.run(waiting.all(time.monotonic() + 1.5))
    assert all(pair.tries and not pair.last.good for pair in pairs)


def test_what_came_back_is_said_once_for_each_news(machines: Any) -> None:
    workspace, _ = machines
    command = (
        'n=$(cat n 2>/dev/null || echo 0); echo $((n+1)) > n; [ "$n" -ge 4 ] || { echo "only $((n/2))" >&2; exit 3; }'
    )
    result, said = ask(workspace, targets=["a"], command=f"cd /tmp && {command}; rm -f n")
    assert result["tries"] == 5
    answers = [line.partition("`: ")[2] for line in said[1:-1]]
    assert answers == ["exit code 3: only 0 (try 1)", "exit code 3: only 1 (try 3)", "exit code 0"]


def test_a_command_asked_from_another_server_knows_the_target(machines: Any) -> None:
    workspace, servers = machines
    address = servers["b"].attributes["address"]
    ask(workspace, targets=["b"], sources=["a"], command=f'[ "$TARGET_NAME" = b ] && [ "$TARGET" = {address} ]')


@pytest.mark.parametrize("question", [{"tcp": 0}, {"http": ":%d/"}])
def test_a_server_that_forbids_forwarding_asks_by_its_own_programs(question: dict[str, Any], tmp_path: Path) -> None:
    """As a hardened sshd does; the bash is this machine's."""

    async def answered() -> tuple[Answer, Answer]:
        async def shell(process: asyncssh.SSHServerProcess[str]) -> None:
            inner = await asyncio.create_subprocess_shell(str(process.command), stdout=PIPE, stderr=PIPE)
            out, error = await inner.communicate()
            process.stdout.write(out.decode())
            process.stderr.write(error.decode())
            process.exit(inner.returncode or 0)

        async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.write(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")
            writer.close()

        host_key = asyncssh.generate_private_key("ssh-ed25519")
        (tmp_path / "id").write_bytes(host_key.export_private_key())
        (tmp_path / "id.pub").write_bytes(host_key.export_public_key())
        server = await asyncssh.listen(
            "127.0.0.1", 0, server_factory=NoForwarding, server_host_keys=[host_key],
            authorized_client_keys=str(tmp_path / "id.pub"), process_factory=shell,
        )  # fmt: skip
        web = await asyncio.start_server(page, "127.0.0.1", 0)
        port = web.sockets[0].getsockname()[1]
        known = f"[127.0.0.1]:{server.get_port()} {host_key.export_public_key().decode()}"
        (tmp_path / "known").write_text(known)
        ssh = {"host": "127.0.0.1", "port": server.get_port(), "user": "x", "identity_file": str(tmp_path / "id")}
        async with server, web, await connect(ssh | {"known_hosts_file": str(tmp_path / "known")}) as connection:
            good = Question(tcp=port) if "tcp" in question else Question(http=question["http"] % port)
            bad = Question(tcp=1) if "tcp" in question else Question(http=":1/")
            answers = [await put(connection, each, "t", ["127.0.0.1"]) for each in (good, bad)]
        return answers[0], answers[1]

    good, bad = asyncio.run(answered())
    assert good.good, good
    assert not bad.good
    assert "exit code" in bad.text


class NoForwarding(asyncssh.SSHServer):
    def connection_requested(self, *_: Any) -> bool:
        raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "open failed")


def test_bad_questions_are_refused_at_once(machines: Any) -> None:
    workspace, _ = machines
    for params, words in (
        ({"targets": ["a"]}, "exactly one of tcp, http and command"),
        ({"targets": ["a"], "tcp": 1, "command": "x"}, "got tcp and command"),
        ({"targets": ["a"], "http": "8080"}, ":<port>/<path>"),
        ({"targets": ["a"], "tcp": 70_000}, "from 1 to 65535"),
        ({"targets": ["a"], "tcp": 80, "deadline_s": 0}, "deadline_s"),
        ({"targets": [], "tcp": 80}, "one or more server names"),
    ):
        with pytest.raises(UsageError, match=words):
            ask(workspace, **params)
    with pytest.raises(NotFoundError, match="there is no server c, d"):
        ask(workspace, targets=["c", "a"], sources=["d"], tcp=80)


def test_a_server_that_is_stopped_is_said_to_be_out_of_reach(machines: Any) -> None:
    workspace, _ = machines
    path = workspace.path / "dead"
    (path / "infra").mkdir(parents=True)
    (path / "provisioning.yaml").write_text(
        "name: dead\nprovider: provisioning_core.testing.ledger_provider:LedgerProvider\n"
    )
    (path / "infra" / "x.yaml").write_text("servers: [{name: a, plan: 1cpu-1gb}]\n")
    from provisioning_core.testing.ledger_provider import LedgerProvider

    dead = load_workspace(path)
    LedgerProvider(path).create(Wish("server", "dead/x/server/a", str(uuid4()), "x", "a", {"plan": "1cpu-1gb"}))
    with pytest.raises(ProviderError, match="no SSH to a: "):
        ask(dead, targets=["a"], tcp=80, deadline_s=1)


def test_who_had_no_time_for_a_first_try_is_not_told_to_have_tried() -> None:
    pair = Pair("a", "b", ["127.0.0.1"])
    assert f"{pair} {pair.end}" == "a -> b had not answered the first try"
    pair.tries, pair.last = 1, Answer(False, "refused")
    assert pair.end == "after 1 try: refused"
    pair.tries = 2
    assert pair.end == "after 2 tries: refused"
