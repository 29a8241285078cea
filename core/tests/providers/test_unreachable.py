"""Clouds that do not answer, and credentials that they do not take, are said in one line, with what to try."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.doubles.aws import AwsDouble
from provisioning_core.doubles.hetzner import HetznerDouble
from provisioning_core.doubles.upcloud import UpCloudDouble
from provisioning_core.errors import ProviderError
from provisioning_core.provider import Wish
from provisioning_core.providers.aws import AwsProvider
from provisioning_core.providers.hetzner import HetznerProvider
from provisioning_core.providers.reaching import host_of, trouble_of
from provisioning_core.providers.upcloud import UpCloudProvider

ENDPOINTS: dict[str, tuple[Any, str, str, str]] = {
    "upcloud": (UpCloudProvider, "UPCLOUD_DEBUG_API_BASE_URL", "", "UpCloud"),
    "hetzner": (HetznerProvider, "HCLOUD_ENDPOINT", "/v1", "Hetzner"),
    "aws": (AwsProvider, "AWS_ENDPOINT_URL_EC2", "", "EC2"),
}
QUICK = {"poll_s": 0.02, "http_timeout_s": 0.3, "deadline_s": 2.0}
SECRET = "a-very-secret-value"
LINE_MAX = 220


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("UPCLOUD_TOKEN", "HCLOUD_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, SECRET)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def refused(cloud: str, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ProviderError:
    """What the cloud at that address makes of a question."""
    made, variable, path, _ = ENDPOINTS[cloud]
    monkeypatch.setenv(variable, url + path)
    with pytest.raises(ProviderError) as refusal:
        made(tmp_path, QUICK).list("server")
    return refusal.value


def is_one_line(error: ProviderError, cloud: str, host: str, words: str) -> None:
    assert "\n" not in error.message and len(error.message) < LINE_MAX, error.message
    assert all(word in error.message for word in (ENDPOINTS[cloud][3], host, words)), error.message
    assert all(word not in error.message for word in ("HTTPConnectionPool", "urllib3", "Max retries", "object at 0x"))
    assert error.retryable and error.hint


@contextmanager
def port_of(answer: Any) -> Iterator[int]:
    """A port at which each connection is given to `answer`."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with closing(connection):
                    answer(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("cloud", ENDPOINTS)
def test_nobody_listens(cloud: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    error = refused(cloud, f"http://127.0.0.1:{port}", monkeypatch, tmp_path)
    is_one_line(error, cloud, f"127.0.0.1:{port}", "connection refused")
    assert error.code == "unreachable"


@pytest.mark.parametrize("cloud", ENDPOINTS)
def test_the_name_is_unknown(cloud: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def nobody(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)  # no test asks a real name server
    error = refused(cloud, "https://cloud.invalid", monkeypatch, tmp_path)
    is_one_line(error, cloud, "cloud.invalid", "cannot be looked up")
    assert error.code == "unreachable"


@pytest.mark.parametrize("cloud", ENDPOINTS)
def test_it_speaks_no_tls(cloud: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with port_of(lambda connection: connection.sendall(b"HTTP/1.1 400 no\r\n\r\n")) as port:
        error = refused(cloud, f"https://127.0.0.1:{port}", monkeypatch, tmp_path)
    is_one_line(error, cloud, f"127.0.0.1:{port}", "TLS")


@pytest.mark.parametrize("cloud", ENDPOINTS)
def test_its_certificate_is_nobodys(cloud: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "1",
    ]
    made += ["-keyout", str(key), "-out", str(certificate), "-subj", "/CN=localhost"]
    subprocess.run(made, check=True, capture_output=True, timeout=60)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def shake(connection: socket.socket) -> None:
        try:
            context.wrap_socket(connection, server_side=True).close()
        except OSError:
            return

    with port_of(shake) as port:
        error = refused(cloud, f"https://127.0.0.1:{port}", monkeypatch, tmp_path)
    is_one_line(error, cloud, f"127.0.0.1:{port}", "certificate is not accepted")
    assert error.code == "unreachable"


@pytest.mark.slow
@pytest.mark.parametrize("cloud", ENDPOINTS)
def test_it_listens_and_says_nothing(cloud: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0), backlog=64)) as silent:
        port = silent.getsockname()[1]
        error = refused(cloud, f"http://127.0.0.1:{port}", monkeypatch, tmp_path)
    is_one_line(error, cloud, f"127.0.0.1:{port}", "did not answer in time")
    assert error.code == "no_answer"


@pytest.mark.parametrize("cloud", ENDPOINTS)
def test_it_hangs_up(cloud: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with port_of(lambda connection: connection.recv(65_536)) as port:
        error = refused(cloud, f"http://127.0.0.1:{port}", monkeypatch, tmp_path)
    is_one_line(error, cloud, f"127.0.0.1:{port}", "closed before the answer")
    assert error.code == "no_answer", "it may have been done"


def test_a_name_and_a_password_in_an_address_are_not_said() -> None:
    assert host_of("https://me:secret@cloud.example:8443/v1") == "cloud.example:8443"


def test_what_is_unknown_is_cut_to_a_line() -> None:
    trouble = trouble_of(ValueError("so\nmuch " * 200))
    assert "\n" not in trouble.words and len(trouble.words) <= 200
    assert trouble.sent, "what is not known may have been done"


@pytest.mark.parametrize(
    ("cloud", "double"), [("aws", AwsDouble), ("hetzner", HetznerDouble), ("upcloud", UpCloudDouble)]
)
def test_refused_credentials_say_where_they_are_from_and_end_with_the_documented_code(
    cloud: str, double: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with double(tmp_path / "double", token="another") as strict:
        error = refused(cloud, strict.url.removesuffix("/v1"), monkeypatch, tmp_path)
    assert (error.retryable, error.exit_code) == (False, 4)
    place = {"aws": "AWS_ACCESS_KEY_ID", "hetzner": "HCLOUD_TOKEN", "upcloud": "UPCLOUD_TOKEN"}[cloud]
    assert f"from the environment ({place})" in (error.hint or "")
    assert SECRET not in f"{error.message} {error.hint}"


def test_refused_credentials_of_a_file_name_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HCLOUD_TOKEN")
    kept = tmp_path / "config" / "provisioning" / "credentials.toml"
    kept.parent.mkdir(parents=True)
    kept.write_text(f'[hetzner]\ntoken = "{SECRET}"\n')
    kept.chmod(0o600)
    with HetznerDouble(tmp_path / "double", token="another") as strict:
        error = refused("hetzner", strict.url.removesuffix("/v1"), monkeypatch, tmp_path)
    assert str(kept) in (error.hint or "") and SECRET not in (error.hint or "")


@pytest.mark.parametrize("cloud", ENDPOINTS)
def test_the_command_line_ends_with_it(cloud: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "provisioning.yaml").write_text(
        f"name: ws\nprovider: {cloud}\nproviders: {{{cloud}: {{poll_s: 0.05}}}}\n"
    )
    made: Any = {"aws": AwsDouble, "hetzner": HetznerDouble, "upcloud": UpCloudDouble}[cloud]
    with made(tmp_path / "double", token="another") as strict:
        _, variable, path, _ = ENDPOINTS[cloud]
        monkeypatch.setenv(variable, strict.url.removesuffix("/v1") + path)
        done = subprocess.run(
            [sys.executable, "-m", "provisioning_core", "provider", "zones"],
            cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert done.returncode == 4, done.stderr
    assert "hint" in done.stderr and SECRET not in done.stderr


def wish(kind: Any, name: str, **spec: Any) -> Wish:
    return Wish(kind, f"ws/wuji/{kind}/{name}", str(uuid.uuid4()), "wuji", name, spec)


@pytest.mark.slow
@pytest.mark.parametrize("cloud", ENDPOINTS)
@pytest.mark.parametrize("seed", [1, 2])
def test_one_attempt_makes_a_network_and_a_server_where_half_of_all_answers_are_lost(
    cloud: str, seed: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What is found again is asked for again, each by itself: the attempts of a task are for what lasts."""
    made: Any = {"aws": AwsDouble, "hetzner": HetznerDouble, "upcloud": UpCloudDouble}[cloud]
    with made(tmp_path / "double", pace_s=0.01) as double:
        provider_class, variable, path, _ = ENDPOINTS[cloud]
        monkeypatch.setenv(variable, double.url.removesuffix("/v1") + path)
        settings = QUICK | {"deadline_s": 60.0, "wait_for_ssh": False, "http_timeout_s": 5.0}
        settings |= {} if cloud == "hetzner" else {"settle_s": 5.0}
        provider: Any = provider_class(tmp_path, settings)
        double.faults.change({"lost": 0.5, "seed": seed, "verbs": {"*": {"lost": 0.1}}})
        for _ in range(2):
            assert provider.create(wish("network", "net", cidr="10.77.0.0/24")).resource.state == "started"
            assert provider.create(wish("server", "web", plan="2cpu-4gb", network="net")).resource.state == "started"
        double.faults.change({"lost": 0.0, "verbs": {}})
        assert [len(provider.list(kind)) for kind in ("network", "server")] == [1, 1]
        main = {"aws": "vpc"}.get(cloud, "network")
        assert len(double.ledger.created(main)) == len(double.ledger.created("server")) == 1
