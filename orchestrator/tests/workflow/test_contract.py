"""The golden examples and playbooks that the core's direct mode reads as well: the machine ends them as they say."""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path
from typing import Any

import pytest

from provisioning_orchestrator.engine.input import input_line
from provisioning_orchestrator.engine.reading import read_fact
from provisioning_orchestrator.ports import (
    AttemptEnded,
    AttemptId,
    Exited,
    Operation,
    TaskInput,
    UnknownOperation,
)
from provisioning_orchestrator.testing.playbook import born, task
from provisioning_orchestrator.testing.rows import Rows, check_machine, check_rest
from provisioning_orchestrator.workflow import commands, events
from provisioning_orchestrator.workflow.machine import Machine
from provisioning_orchestrator.workflow.taskdoc import read_tasks

CONTRACT = Path(__file__).parents[3] / "contract"
EXPANSIONS = json.loads((CONTRACT / "examples" / "expansions.json").read_text(encoding="utf-8"))
PLAYBOOKS = sorted((CONTRACT / "playbooks").glob("*.json"))


class ListedOperations:
    def __init__(self, *names: str) -> None:
        self._names = names

    def describe(self, operation: str) -> Operation:
        if operation not in self._names:
            raise UnknownOperation(operation, self._names[:1])
        return Operation(operation, digest="")

    def operations(self) -> list[str]:
        return sorted(self._names)


class Stage:
    """One machine whose attempts end as their params say; where several are ready, the lowest sequence goes first.

    started, over: when each task started, and when its subtree was over (counted in facts).
    """

    def __init__(self, machine: Machine, wishes: list[commands.Command], rows: Rows, library: ListedOperations) -> None:
        self.machine = machine
        self.rows = rows
        self.results_seen: dict[str, Any] = {}
        self.started: dict[str, int] = {}
        self.ended: dict[str, int] = {}
        self._library = library
        self._ready = {wish.seq for wish in wishes if isinstance(wish, commands.RequestSlot)}
        self._time = 0

    def play(self) -> None:
        while self._ready:
            seq = min(self._ready)
            self._ready.remove(seq)
            self._tell(events.SlotGranted(seq, self._time))
            self.started[self.rows.new[seq].id] = self._time
            line = self._input(seq)
            self.results_seen[line["task_id"]] = line["results"]
            self._tell(self._end(seq, line["params"]))
            self.ended[line["task_id"]] = self._time

    def _tell(self, event: events.Event) -> None:
        self._time += 1
        for wish in self.machine.apply(event):
            if isinstance(wish, commands.RequestSlot):
                self._ready.add(wish.seq)
        self.rows.commit(*self.machine.state.take())
        check_machine(self.machine, self.rows)
        check_rest(self.machine, self.rows)

    def _input(self, seq: int) -> dict[str, Any]:
        new = self.rows.new[seq]
        wanted = sorted({*new.needs, *([new.parent] if new.parent else [])})
        results = {self.rows.new[other].id: self.rows.results.get(other, b"null") for other in wanted}
        given = TaskInput(new.id, new.operation, new.key, new.params, results)
        line: dict[str, Any] = json.loads(input_line("wf_play", "i", 1, given))
        return line

    def _end(self, seq: int, params: dict[str, Any]) -> events.Event:
        result = json.dumps(params["result_file"]).encode() if "result_file" in params else None
        signal = params.get("signal")
        exit_code = params.get("exit_code", 0) if signal is None else None
        fact = AttemptEnded(AttemptId("wf_play", seq, 1), Exited(exit_code=exit_code, signal=signal, result=result))
        return read_fact(fact, self._library, self._time, 0.0)


def playing(tasks: list[Any], *operations: str) -> Stage:
    library = ListedOperations(*operations)
    specs, faults = read_tasks(tasks, "/tasks", library.describe, submitted=True)
    assert faults == []
    stage = Stage(*born(specs), library)
    stage.play()
    return stage


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: path.stem)
def test_a_workflow_ends_as_the_playbook_says(path: Path) -> None:
    book = json.loads(path.read_text(encoding="utf-8"))
    expect = book["expect"]
    stage = playing(book["tasks"], "play")
    rows = stage.rows
    by_id = {new.id: rows.tasks[seq] for seq, new in rows.new.items()}
    assert {id: change.status.value for id, change in by_id.items()} == expect["tasks"]
    assert rows.workflow.status.value == expect["workflow"]
    assert rows.workflow.tasks_total == len(by_id)
    for id, code in expect.get("errors", {}).items():
        error = by_id[id].error
        assert error is not None and error.code == code
    if "partial" in expect:
        assert sorted(id for id, change in by_id.items() if change.flagged) == sorted(expect["partial"])
    for id, seen in expect.get("results_seen", {}).items():
        assert stage.results_seen[id] == seen
    for before, after in expect.get("never_before", []):
        assert stage.ended[before] < stage.started[after]
        below = [id for id in stage.ended if _is_below(rows, id, before)]
        assert all(stage.ended[id] < stage.started[after] for id in below)


def test_there_are_playbooks() -> None:
    assert len(PLAYBOOKS) >= 10


@pytest.mark.parametrize("case", EXPANSIONS["cases"], ids=lambda case: case["case"])
def test_an_expansion_is_taken_or_refused_as_the_contract_says(case: dict[str, Any]) -> None:
    children = case["tasks"] if "tasks" in case else _repeated(**case["repeat"])
    document = {"result": 1, "tasks": children}
    library = ListedOperations(*EXPANSIONS["operations"])
    machine, _, rows = born([task("a"), task("b", "a")])
    machine.apply(events.SlotGranted(1, 0))
    ended = AttemptEnded(AttemptId("wf_play", 1, 1), Exited(exit_code=0, result=json.dumps(document).encode()))
    machine.apply(read_fact(ended, library, 1, 0.0))
    rows.commit(*machine.state.take())
    if case["expect"] == "ok":
        assert rows.tasks[1].status.value == "succeeded" and rows.tasks[1].expanded == len(children)
        assert [new.id for seq, new in rows.new.items() if seq > 2] == [f"1.{child['id']}" for child in children]
    else:
        error = rows.tasks[1].error
        assert error is not None and (error.code, error.retryable) == ("bad_expansion", False), error
        assert error.message
        assert len(rows.new) == 2 and rows.results == {} and rows.tasks[2].status.value == "skipped"


def _repeated(count: int, operation: str, params_chars: int = 0) -> list[dict[str, Any]]:
    more = {"params": {"x": "x" * params_chars}} if params_chars else {}
    return [{"id": f"t{n}", "operation": operation, **more} for n in range(count)]


def _is_below(rows: Rows, id: str, top: str) -> bool:
    seqs = {new.id: seq for seq, new in rows.new.items()}
    line = deque([rows.new[seqs[id]].parent])
    while line:
        parent = line.popleft()
        if parent == 0:
            return False
        if rows.new[parent].id == top:
            return True
        line.append(rows.new[parent].parent)
    return False
