"""What reading a definition costs: 200 servers with taskservs and clusters, as a ratio to a bare yaml.compose.

python -m benchmarks.definitions [--servers 200] [--rounds 15]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from provisioning_core.infra import load_infra
from provisioning_core.workspace import load_workspace

HEAVY = (
    "boto3",
    "botocore",
    "hcloud",
    "upcloud_api",
    "pyinfra",
    "kcl_lib",
    "asyncssh",
    "keyring",
)


def definition(servers: int) -> str:
    """Half of the servers say everything themselves, half use a template; each cluster has ten, a taskserv, a check."""
    lines = [
        "defaults: {server: {zone: local, labels: {team: a}, policy: {timeout_s: 600, retry: {attempts_max: 5}}}}",
        "templates:",
        "  web:",
        "    kind: server",
        "    parameters: {size: 1cpu-1gb, port: null}",
        "    body:",
        "      plan: ${size}",
        "      network: net",
        '      labels: {role: web, port: "p${port}"}',
        '      firewall: [{protocol: tcp, ports: "${port}"}]',
        "networks: [{name: net, cidr: 10.0.0.0/16}]",
        "servers:",
    ]
    for number in range(servers):
        if number % 2:
            lines.append(f"  - {{name: s{number}, template: web, with: {{port: {8000 + number}}}}}")
        else:
            lines += [
                f"  - name: s{number}",
                "    plan: 2cpu-4gb",
                "    network: net",
                "    disk_gb: 20",
                "    labels: {role: data, number: n" + str(number) + "}",
                "    firewall: [{protocol: tcp, ports: 22}, {protocol: tcp, ports: 8000-8100, source: 10.0.0.0/8}]",
                "    storages: [{name: data, size_gb: 100}]",
            ]
    lines += ["taskservs:", f"  - {{name: exporter, on: [{', '.join(f's{n}' for n in range(servers))}]}}", "clusters:"]
    for number in range(servers // 10):
        own = [f"s{number * 10 + each}" for each in range(10)]
        lines += [
            f"  - name: c{number}",
            f"    roles: [{{name: first, servers: [{own[0]}]}}, {{name: rest, servers: [{', '.join(own[1:])}]}}]",
            f"    needs: [exporter{f', c{number - 1}' if number else ''}]",
            f"    taskservs: [{{name: t{number}, on: [first, rest], params: {{port: 1, deep: {{a: [1, 2, 3]}}}}}}]",
            f"    checks: [{{name: k{number}, on: [first], from: [rest], tcp: 5432, needs: [t{number}]}}]",
        ]
    return "\n".join(lines) + "\n"


def median_ms(work: Callable[[], object], rounds: int) -> float:
    took = []
    for _ in range(rounds + 1):
        begun = time.perf_counter()
        work()
        took.append((time.perf_counter() - begun) * 1000)
    return statistics.median(took[1:])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        path = Path(scratch)
        (path / "infra").mkdir()
        (path / "provisioning.yaml").write_text("name: bench\nprovider: local\n")
        text = definition(options.servers)
        (path / "infra" / "many.yaml").write_text(text)
        workspace = load_workspace(path, {})
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        bare = median_ms(lambda: yaml.compose(text, Loader=loader), options.rounds)
        load = median_ms(lambda: load_infra(workspace, "many"), options.rounds)
        heavy = loaded_by(path)
    infra_words = f"{options.servers} servers, {options.servers // 10} clusters, {len(text) // 1024} KiB"
    sys.stdout.write(f"{infra_words}\n")
    sys.stdout.write(f"yaml.compose alone  {bare:8.1f} ms\n")
    sys.stdout.write(f"load_infra          {load:8.1f} ms   {load / bare:.1f} x yaml.compose\n")
    sys.stdout.write(f"SDKs imported       {heavy or 'none'}\n")
    return 0


def loaded_by(path: Path) -> str:
    """Which heavy modules a fresh process has imported once it has read the definition."""
    code = (
        "import sys; from pathlib import Path; from provisioning_core.infra import load_infra;"
        "from provisioning_core.workspace import load_workspace;"
        f"load_infra(load_workspace(Path({str(path)!r}), {{}}), 'many');"
        f"print(' '.join(name for name in {HEAVY!r} if name in sys.modules))"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
