"""`provisioning-orchestrator`: argparse, so that `--version` and errors cost no import of the daemon."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from . import __version__
from .settings import BadSettings, Settings, default_data_dir, read_settings

EXIT_SETTINGS = 2
EXAMPLES = """examples:
  provisioning-orchestrator serve --library operations --workspace .
  provisioning-orchestrator serve --port 0 --data-dir /tmp/try --library operations
  curl -H "Authorization: Bearer $(cat "$(provisioning-orchestrator token)")" http://127.0.0.1:9090/workflows

Every option can also be given as PROVISIONING_ORCHESTRATOR_<NAME>, e.g. PROVISIONING_ORCHESTRATOR_PORT=9190; so can the
limits, e.g. PROVISIONING_ORCHESTRATOR_BODY_BYTES_MAX. Options win over variables.
"""
SERVE_EXAMPLES = """Stops in order on SIGTERM or Ctrl-C in less than 5 s; running tasks live on, and the next start
takes them up.

exit codes: 0 stopped · 2 wrong setting · 69 port or token not to be had · 74 the store failed · 75 the data directory
is in use
"""


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    try:
        settings = _settings(given)
    except BadSettings as error:
        print(f"provisioning-orchestrator: {error}", file=sys.stderr)
        return EXIT_SETTINGS
    if given.command == "token":
        print(settings.data_dir / "token")
        return 0
    from .daemon import run

    return run(settings)


def _settings(given: argparse.Namespace) -> Settings:
    words = {name: value for name, value in vars(given).items() if name != "command"}
    return read_settings(words, os.environ)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="provisioning-orchestrator",
        description="Runs workflows of operations, each attempt a process of its own, and survives being killed.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"provisioning-orchestrator {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "serve",
        help="run the daemon in the foreground",
        description="Run the daemon in the foreground.",
        epilog=SERVE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_data_dir(serve)
    add = serve.add_argument
    add("--port", type=int, metavar="N", help="on 127.0.0.1 and [::1]; 0: any free one (default: 9090)")
    add(
        "--library",
        dest="libraries",
        action="append",
        metavar="DIR",
        help="where operations are; may be repeated, the first wins",
    )
    add("--slots", type=int, metavar="N", help="attempts at a time (default: 10)")
    add(
        "--loans-max", type=int, metavar="N", help="more attempts at a time that wait for child workflows (default: 20)"
    )
    add("--children-max", type=int, metavar="N", help="child workflows of one task at a time (default: 1000)")
    add("--workspace", metavar="DIR", help="handed to operations as PROVISIONING_WORKSPACE")
    add("--python", metavar="PATH", help="runs .py operations (default: the daemon's own)")
    add("--nu", metavar="PATH", help="runs .nu operations (default: nu on PATH)")
    add(
        "--auth",
        choices=("token", "none"),
        help="none: no token is asked for; for a machine of one's own (default: token)",
    )
    add("--grace-s", type=float, metavar="S", help="seconds between TERM and KILL (default: 10)")
    add("--sync-attempts", action="store_const", const=True, help="sync the files of attempts too")
    add("--secrets-command", metavar="COMMAND", help="asked for the values of secret:// references (default: none)")
    add("--pass-environment", action="append", metavar="NAME", help="a variable for operations; may be repeated")
    add("--secrets-timeout-s", type=float, metavar="S", help="how long it may take (default: 30)")
    add("--log-level", choices=("debug", "info", "warning", "error"), help="(default: info)")
    add("--log-file", metavar="FILE", help="JSON lines (default: standard error)")
    token = commands.add_parser(
        "token", help="print where the token is", description="Print the path of the token's file."
    )
    _add_data_dir(token)
    return parser


def _add_data_dir(parser: argparse.ArgumentParser) -> None:
    default = default_data_dir(os.environ)
    try:
        shown = "~" / default.relative_to(Path.home())
    except (ValueError, RuntimeError):
        shown = default
    parser.add_argument("--data-dir", metavar="DIR", help=f"everything the daemon keeps (default: {shown})")
