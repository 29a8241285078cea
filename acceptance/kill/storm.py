"""Thousands of creates at clouds that lose answers, while the daemon is killed; then each cloud's ledger is counted.

    python -m acceptance.kill.storm --creates 5000 --kills 500 --stall 60

Doubles of UpCloud, AWS and Hetzner, a third of the creates at each: 10 % of the answers to a create are lost after the
create, 5 % are 5xx, 5 % stall. In the end each ledger must have exactly one creation per wish: none lost, none twice.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from acceptance.daemon import Daemon
from provisioning_core.doubles.faults import Fault, Faults

CLOUDS = ("upcloud", "aws", "hetzner")
WAVE = 50  # servers of one infrastructure
OPEN_MAX = 6  # infrastructures at once
FINISH_S = 1800.0
RATES = {"lost": 0.1, "error": 0.05, "stall": 0.05}
SERVER = "server"  # in all three ledgers
CREDENTIALS = """\
[upcloud]
token = "ucat_practice"
[hetzner]
token = "practice"
"""


@dataclass
class Report:
    """created: entries in each ledger. twice, lost: keys. failed: workflows that did not succeed. All three: empty."""

    seed: int
    creates: int
    kills_wanted: int
    kills: int = 0
    seconds: float = 0.0
    created: dict[str, int] = field(default_factory=dict)
    befallen: dict[str, dict[str, int]] = field(default_factory=dict)
    twice: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def faults(self) -> dict[str, list[str]]:
        return {name: found for name in ("twice", "lost", "failed") if (found := getattr(self, name))}


class CountedFaults(Faults):
    """drawn: how often each fault befell a request."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self.drawn: Counter[str] = Counter()

    def draw(self, verb: str = "create") -> Fault:
        fault = super().draw(verb)
        if fault != "none":
            self.drawn[fault] += 1
        return fault


class _Count:
    """How many servers a ledger has; reads only what is new."""

    def __init__(self, file: Path) -> None:
        self._file, self._offset, self._count = file, 0, 0

    def servers(self) -> int:
        if self._file.exists():
            with self._file.open("rb") as file:
                file.seek(self._offset)
                whole, newline, _ = file.read().rpartition(b"\n")
            self._offset += len(whole) + len(newline)
            entries = [json.loads(line) for line in whole.splitlines()]
            self._count += sum(each["event"] == "created" and each["kind"] == SERVER for each in entries)
        return self._count


@contextmanager
def clouds(root: Path, names: Sequence[str], faults: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The doubles by name, answering."""
    from provisioning_core.doubles.aws import AwsDouble
    from provisioning_core.doubles.hetzner import HetznerDouble
    from provisioning_core.doubles.upcloud import UpCloudDouble

    makers: dict[str, Any] = {"upcloud": UpCloudDouble, "aws": AwsDouble, "hetzner": HetznerDouble}
    with ExitStack() as stack:
        yield {name: stack.enter_context(makers[name](root / name, faults=CountedFaults(faults))) for name in names}


def write_workspace(root: Path, doubles: dict[str, Any], stall_s: float) -> Path:
    """Each cloud at its double's address, with waits that fit the stalls; the credentials in a file of a HOME."""
    workspace = root / "workspace"
    (workspace / "infra").mkdir(parents=True)
    common = {"wait_for_ssh": False, "poll_s": 0.1}
    timing = {"http_timeout_s": max(2.0, stall_s / 4), "settle_s": max(4.0, stall_s / 2)}
    settings = {name: {"url": double.url, **common} for name, double in doubles.items()}
    for name in ("upcloud",):
        if name in settings:
            settings[name] |= timing
    (workspace / "provisioning.yaml").write_text(
        json.dumps({"name": "storm", "provider": next(iter(doubles)), "providers": settings})
    )
    write_credentials(root / "home")
    return workspace


def write_credentials(home: Path) -> None:
    """For all three doubles, where the providers look for them: in our own file, and in Amazon's."""
    for file, text in (
        (home / ".config/provisioning/credentials.toml", CREDENTIALS),
        (home / ".aws/credentials", "[default]\naws_access_key_id = practice\naws_secret_access_key = practice\n"),
    ):
        file.parent.mkdir(parents=True)
        file.write_text(text)
        file.chmod(0o600)


def define(workspace: Path, wave: int, cloud: str, servers: int) -> str:
    """An infrastructure of that many servers there; its name."""
    retry = {"attempts_max": 30, "backoff": "constant", "delay_s": 0.2, "jitter": 0.5}
    name = f"wave-{wave}"
    definition = {
        "provider": cloud,
        "defaults": {"server": {"plan": "1cpu-1gb", "policy": {"retry": retry, "timeout_s": 300}}},
        "servers": [{"name": "s", "count": servers}],
    }
    (workspace / "infra" / f"{name}.yaml").write_text(json.dumps(definition))
    return name


def run_storm(
    root: Path, *, creates: int, kills: int, seed: int, stall_s: float, names: Sequence[str] = CLOUDS
) -> Report:
    chance = random.Random(seed)
    report = Report(seed, creates, kills)
    begun = time.monotonic()
    with clouds(root, names, {**RATES, "stall_s": stall_s, "seed": seed}) as doubles:
        workspace = write_workspace(root, doubles, stall_s)
        home = root / "home"
        environment = {"HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config")}
        (root / "daemon").mkdir()
        daemon = Daemon(root / "daemon", workspace, (), environment)
        waves = [(n, names[n % len(names)], min(WAVE, creates - n * WAVE)) for n in range(-(-creates // WAVE))]
        infras = {define(workspace, n, cloud, servers): (cloud, servers) for n, cloud, servers in waves}
        storm = _Storm(daemon, doubles, list(infras), seed)
        daemon.start()
        try:
            _rage(storm, daemon, chance, report, root)
            report.failed = [name for name, found in storm.ended.items() if found["status"] != "succeeded"]
            _judge(doubles, infras, report)
        finally:
            code = daemon.stop() if daemon.alive() else None
        assert code == 0, "the daemon did not stop cleanly"
    report.seconds = time.monotonic() - begun
    return report


def _rage(storm: _Storm, daemon: Daemon, chance: random.Random, report: Report, root: Path) -> None:
    """Until all is made. The kills are spread over the creates, wherever each of them then stands."""
    while not storm.over(report.kills >= report.kills_wanted):
        storm.submit()
        if report.kills < report.kills_wanted:
            if storm.created() < report.kills * report.creates / report.kills_wanted * 0.95:
                continue
            if not daemon.ends_within(chance.uniform(0.0, 0.5)):
                daemon.kill()
                report.kills += 1
            assert daemon.died_by_kill(), f"the daemon ended by itself: see {root / 'daemon/daemon.log'}"
            daemon.start()


class _Storm:
    """Which infrastructures were asked for, and how far they are."""

    def __init__(self, daemon: Daemon, doubles: dict[str, Any], infras: list[str], seed: int) -> None:
        self._daemon, self._waiting, self._seed = daemon, infras, seed
        self._counts = [_Count(double.ledger.file) for double in doubles.values()]
        self._open: dict[str, str] = {}
        self.ended: dict[str, dict[str, Any]] = {}

    def created(self) -> int:
        return sum(count.servers() for count in self._counts)

    def submit(self) -> None:
        """Ask for more where there is room; after a lost answer the same key is used again."""
        while self._waiting and len(self._open) < OPEN_MAX:
            infra = self._waiting[0]
            key = {"Idempotency-Key": f"{self._seed}-{infra}"}
            try:
                path, body = "/workflows/servers/create", {"infra": infra}
                status, answer = self._daemon.request("POST", path, body, headers=key)
            except OSError:
                return
            assert status == 202, answer
            self._open[infra] = answer["workflow_id"]
            self._waiting.pop(0)

    def over(self, killed_enough: bool) -> bool:
        """Look at what is open. Once nothing is left to kill for, wait for the next end instead of asking again."""
        if killed_enough and self._open and not self._waiting:
            infra = next(iter(self._open))
            self.ended[infra] = self._daemon.ended(self._open.pop(infra), FINISH_S)
        for infra, workflow in list(self._open.items()):
            try:
                _, found = self._daemon.request("GET", f"/workflows/{workflow}")
            except OSError:
                return False
            if found["ended_at"]:
                self.ended[infra] = found
                del self._open[infra]
        if self._open:
            time.sleep(0.05)
        return not self._waiting and not self._open


def _judge(doubles: dict[str, Any], infras: dict[str, tuple[str, int]], report: Report) -> None:
    """Ask the ledgers, never the daemon."""
    for cloud, double in doubles.items():
        entries = double.ledger.created(SERVER)
        report.created[cloud] = len(entries)
        report.befallen[cloud] = dict(double.faults.drawn)
        keys = Counter(named(entry.data) for entry in entries)
        report.twice += [f"{cloud}: {key} {count} times" for key, count in keys.items() if count > 1]
        mine = {infra: servers for infra, (at, servers) in infras.items() if at == cloud}
        wanted = {f"{infra}/s-{n}" for infra, servers in mine.items() for n in range(1, servers + 1)}
        report.lost += [f"{cloud}: {key}" for key in sorted(wanted - keys.keys())]


def named(data: Any) -> str:
    """`infra/name` of our labels or tags in a ledger's entry, in whatever form that cloud keeps them."""
    labels = {name.replace(":", "-"): value for name, value in _pairs(data)}
    return f"{labels['provisioning-infra']}/{labels['provisioning-name']}"


def _pairs(data: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(data, dict):
        lower = {str(name).lower(): value for name, value in data.items()}
        if isinstance(lower.get("key"), str):
            yield lower["key"], lower.get("value")
        for name, value in data.items():
            yield str(name), value
            yield from _pairs(value)
    elif isinstance(data, list):
        for value in data:
            yield from _pairs(value)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--creates", type=int, default=5_000)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--stall", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--clouds", nargs="+", choices=CLOUDS, default=list(CLOUDS))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="storm-") as directory:
        root = Path(directory)
        report = run_storm(
            root, creates=given.creates, kills=given.kills, seed=given.seed, stall_s=given.stall, names=given.clouds
        )
        print(json.dumps(asdict(report), indent=2))
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
