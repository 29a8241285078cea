"""An Ansible callback plugin: one JSON line per thing that happened, in the file PROVISIONING_ANSIBLE_RESULTS.

It runs inside of `ansible-playbook`, whose Python need not be ours: standard library and Ansible only.
"""

from __future__ import annotations

import json
import os
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: ansible_results
type: aggregate
short_description: what a playbook did, as JSON lines
description: [one line per result and one for the totals, in the file PROVISIONING_ANSIBLE_RESULTS]
"""


class CallbackModule(CallbackBase):  # type: ignore[misc,unused-ignore]
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "ansible_results"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._file = open(os.environ["PROVISIONING_ANSIBLE_RESULTS"], "a", encoding="utf-8")  # noqa: SIM115, PTH123

    def v2_runner_on_ok(self, result: Any) -> None:
        self._tell("changed" if result._result.get("changed") else "ok", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._tell("ignored" if ignore_errors else "failed", result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._tell("unreachable", result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._tell("skipped", result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        hosts = {host: stats.summarize(host) for host in sorted(stats.processed)}
        self._write({"what": "stats", "hosts": hosts, "custom": stats.custom})

    def _tell(self, what: str, result: Any) -> None:
        task, found = result._task, result._result
        record: dict[str, Any] = {"what": what, "host": result._host.get_name(), "task": task.get_name().strip()}
        if task.no_log or found.get("_ansible_no_log"):
            self._write(record)
            return
        if task.action in ("set_fact", "ansible.builtin.set_fact"):
            record["facts"] = found.get("ansible_facts") or {}
        if what in ("failed", "unreachable", "ignored"):
            record["message"] = str(found.get("msg") or found.get("stderr") or "")[:2_000]
        self._write(record)

    def _write(self, record: dict[str, Any]) -> None:
        self._file.write(json.dumps(record, default=str) + "\n")
        self._file.flush()
