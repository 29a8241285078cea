"""How long a plan takes without a provider's calls: an infrastructure of 200 servers, compared with what exists.

    python -m benchmarks.plan [--servers 200] [--repeat 7]

Each plan is a process of its own, as people start it; the world is a file, which stands for the answer of a cloud. Half
of the servers are changed in three fields. Told as seconds, and as a ratio to `python -c pass` on the same machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from provisioning_core.infra import load_infra
from provisioning_core.testing.ledger_terms import normalize
from provisioning_core.workspace import load_workspace

DEFINITION = """\
networks: [{{name: net, cidr: 10.1.0.0/16}}]
servers:
  - {{name: web, count: {half}, plan: {plan}, network: net, labels: {{role: web}}, disk_gb: {disk}}}
  - {{name: db, count: {rest}, plan: 2cpu-4gb, network: net, firewall: [{{protocol: tcp, ports: 5432}}],
      storages: [{{name: data, size_gb: 100}}]}}
"""


def make(path: Path, servers: int) -> None:
    """A workspace whose servers exist, half of them otherwise than they are defined now."""
    (path / "infra").mkdir(parents=True)
    provider = "provisioning_core.testing.ledger_provider:LedgerProvider"
    (path / "provisioning.yaml").write_text(f"name: bench\nprovider: {provider}\n")
    half = servers // 2
    define(path, half, servers - half, "1cpu-1gb", 10)
    workspace = load_workspace(path)
    infra = load_infra(workspace, "big")
    resources = {}
    for kind, group in (("network", infra.networks), ("server", infra.servers)):
        for each in group:
            id, key = f"{kind}-{each.name}", workspace.key("big", kind, each.name)  # type: ignore[arg-type]
            attributes = {"labels": each.labels, "spec": normalize(kind, each.spec())}  # type: ignore[arg-type]
            one = {"kind": kind, "id": id, "key": key, "intent": id, "infra": "big", "name": each.name}
            resources[id] = one | {"state": "started", "attributes": attributes}
    (path / ".ledger").mkdir()
    (path / ".ledger" / "ledger.json").write_text(json.dumps({"resources": resources, "history": []}))
    define(path, half, servers - half, "2cpu-4gb", 20)


def define(path: Path, half: int, rest: int, plan: str, disk: int) -> None:
    (path / "infra" / "big.yaml").write_text(DEFINITION.format(half=half, rest=rest, plan=plan, disk=disk))


def measured(command: Sequence[str], path: Path, repeat: int) -> float:
    """The median of the seconds."""
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        subprocess.run(command, cwd=path, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description="Plans of large infrastructures.")
    parser.add_argument("--servers", type=int, default=200)
    parser.add_argument("--repeat", type=int, default=7)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="provisioning-bench-") as directory:
        path = Path(directory) / "workspace"
        make(path, asked.servers)
        bare = measured([sys.executable, "-c", "pass"], path, asked.repeat)
        plan = [sys.executable, "-m", "provisioning_core", "infra", "plan", "big"]
        told = subprocess.run(plan, cwd=path, check=True, capture_output=True, text=True)
        changes = len(told.stdout.splitlines())
        whole = measured(plan, path, asked.repeat)
        print(f"{asked.servers} servers, {changes} changes, {os.cpu_count()} cores, median of {asked.repeat}")
        print(f"  infra plan      {whole:6.3f} s   {whole / bare:5.1f} times `python -c pass`")
        print(f"  python -c pass  {bare:6.3f} s")


if __name__ == "__main__":
    main()
