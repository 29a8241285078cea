"""The golden data of the contract, as direct mode reads it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.errors import NotFoundError, UsageError
from provisioning_core.expansion import expansion_faults
from provisioning_core.library import find_operation
from provisioning_core.operation import read_task
from provisioning_core.outcome import read_outcome

CONTRACT = Path(__file__).parents[3] / "contract"


def golden(name: str) -> Any:
    return json.loads((CONTRACT / "examples" / f"{name}.json").read_text("utf-8"))


def cases(name: str) -> list[Any]:
    return [pytest.param(case, id=case["case"]) for case in golden(name)["cases"]]


def result_file(case: dict[str, Any]) -> bytes | None:
    if "result_file_base64" in case:
        return base64.b64decode(case["result_file_base64"])
    if "result_file_parts" in case:
        return "".join(text * times for text, times in case["result_file_parts"]).encode()
    text: str | None = case["result_file"]
    return None if text is None else text.encode()


@pytest.mark.parametrize("case", cases("outcomes"))
def test_an_outcome_is_read_as_the_contract_says(case: dict[str, Any]) -> None:
    expect = case["expect"]
    found = read_outcome(
        case.get("exit_code"), case.get("signal"), result_file(case), timed_out=case.get("timed_out", False)
    )
    assert ("succeeded" if found.failure is None else "failed") == expect["status"]
    if found.failure is None:
        assert found.partial == expect["partial"]
        assert found.result == expect.get("result", found.result)
    else:
        assert (found.failure.code, found.failure.retryable) == (expect["code"], expect["retryable"])
        assert found.failure.message == expect.get("message", found.failure.message)
        assert found.failure.retry_after_s == expect.get("retry_after_s", found.failure.retry_after_s)
    assert len(found.tasks) == expect.get("tasks", len(found.tasks))


@pytest.mark.parametrize("case", cases("expansions"))
def test_an_expansion_is_taken_as_the_contract_says(case: dict[str, Any]) -> None:
    held = golden("expansions")["operations"]

    def check_operation(name: str) -> None:
        if name not in held:
            raise NotFoundError(f"no operation {name}")

    tasks = case.get("tasks")
    if tasks is None:
        repeat = case["repeat"]
        params = {"x": "x" * repeat["params_chars"]} if "params_chars" in repeat else {}
        tasks = [
            {"id": f"t{number}", "operation": repeat["operation"], "params": params}
            for number in range(repeat["count"])
        ]
    faults = expansion_faults(tasks, check_operation)
    assert ("fault" if faults else "ok") == case["expect"], faults
    assert all(len(fault) < 1000 for fault in faults)


@pytest.mark.parametrize("case", cases("library"))
def test_an_operation_is_found_as_the_contract_says(case: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "outside.py").touch()
    roots = []
    for number, files in enumerate(case["libraries"]):
        roots.append(tmp_path / f"library-{number}")
        for name in files:
            file = roots[-1] / name.rstrip("*")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch(0o755 if name.endswith("*") else 0o644)
    for name, target in case.get("links", {}).items():
        (roots[0] / name).symlink_to(target)
    expect = case["expect"]
    if "file" in expect:
        found = find_operation(roots, case["operation"])
        assert found.file.resolve() == (roots[expect["library"]] / expect["file"]).resolve()
        return
    error_class = {"unknown": NotFoundError, "ambiguous": UsageError}[expect["error"]]
    with pytest.raises(error_class) as caught:
        find_operation(roots, case["operation"])
    assert caught.value.code == f"{expect['error']}_operation"
    for name in expect.get("names", ()):
        assert str(roots[0] / name) in caught.value.message
    for name in expect.get("suggestions", ()):
        assert name in str(caught.value.hint)


def test_the_input_line_is_read_as_the_contract_says() -> None:
    example = golden("input")
    task = read_task(example["line"].encode())
    assert json.loads(example["line"]) == example["input"]
    for name, value in example["input"].items():
        assert getattr(task, name) == value
