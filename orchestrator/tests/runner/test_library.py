"""Libraries: which file an operation is, what its sidecar says, and that edits count at once."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from provisioning_orchestrator.ports import AmbiguousOperation, Operation, UnknownOperation
from provisioning_orchestrator.runner import BrokenLibrary, BrokenSidecar, LibraryFiles
from provisioning_orchestrator.runner.sidecar import parse_sidecar
from provisioning_orchestrator.workflow.spec import RetryPolicy

CASES = json.loads((Path(__file__).parents[3] / "contract/examples/library.json").read_text())["cases"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "library" / "servers").mkdir(parents=True)
    return tmp_path / "library"


def put(root: Path, name: str, content: str = "") -> Path:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    return file


@pytest.mark.parametrize("suffix", [".py", ".nu", ""])
def test_an_operation_is_found_by_path_in_any_suffix(root: Path, suffix: str) -> None:
    file = put(root, f"servers/create{suffix}")
    file.chmod(0o644 if suffix else 0o755)
    library = LibraryFiles([root])
    described = library.describe("servers/create")
    assert described == Operation("servers/create", described.digest)
    assert library.locate("servers/create") == str(file)
    assert library.operations() == ["servers/create"]


def built(tmp_path: Path, case: dict[str, Any]) -> list[Path]:
    """The libraries of one golden case."""
    put(tmp_path, "outside.py")
    roots = []
    for position, names in enumerate(case["libraries"]):
        root = tmp_path / f"library-{position}"
        root.mkdir()
        roots.append(root)
        for name in names:
            put(root, name.removesuffix("*")).chmod(0o755 if name.endswith("*") else 0o644)
    for link, target in case.get("links", {}).items():
        (roots[0] / link).symlink_to(target)
    return roots


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["case"]))
def test_operations_are_found_as_the_contract_says(tmp_path: Path, case: dict[str, Any]) -> None:
    roots, expect = built(tmp_path, case), case["expect"]
    library = LibraryFiles(roots)
    if "error" not in expect:
        found = roots[expect["library"]] / expect.get("via", expect["file"])
        assert library.locate(case["operation"]) == str(found)
        assert case["operation"] in library.operations()
    elif expect["error"] == "ambiguous":
        with pytest.raises(AmbiguousOperation) as ambiguous:
            library.describe(case["operation"])
        assert all(str(roots[0] / name) in str(ambiguous.value) for name in expect["names"])
    else:
        with pytest.raises(UnknownOperation) as unknown:
            library.describe(case["operation"])
        assert list(unknown.value.suggestions) == expect.get("suggestions", list(unknown.value.suggestions))


def test_a_file_that_becomes_executable_becomes_the_operation(root: Path, tmp_path: Path) -> None:
    (tmp_path / "later").mkdir()
    file = put(root, "servers/create")
    file.chmod(0o644)
    library = LibraryFiles([root, tmp_path / "later"])
    with pytest.raises(UnknownOperation, match=r"servers/create is not executable; 'chmod \+x' it"):
        library.describe("servers/create")
    other = put(tmp_path / "later", "servers/create.py")
    assert library.locate("servers/create") == str(other)
    file.chmod(0o755)
    assert library.locate("servers/create") == str(file)


def test_the_first_library_that_has_it_wins(root: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    put(root, "servers/create.py")
    library = LibraryFiles([mine, root])
    assert library.locate("servers/create") == str(root / "servers/create.py")
    own = put(mine, "servers/create.nu")
    assert library.locate("servers/create") == str(own)
    own.unlink()
    assert library.locate("servers/create") == str(root / "servers/create.py")


def test_the_same_operation_twice_in_one_library_names_both_files(root: Path) -> None:
    put(root, "servers/create.py")
    library = LibraryFiles([root])
    library.describe("servers/create")
    put(root, "servers/create.nu")
    with pytest.raises(AmbiguousOperation, match=r"create\.py and .*create\.nu"):
        library.describe("servers/create")


@pytest.mark.parametrize(
    "name",
    [
        "servers",
        "servers/",
        "/create",
        "servers/create/x",
        "../library/servers/create",
        "servers/../servers/create",
        "Servers/create",
        "servers/create\n",
        "servers/create.py",
        "servers/cre ate",
        "servers/-x",
        "servers/é",
        "x" * 64 + "/y",
    ],
)
def test_names_that_are_no_names_are_unknown(root: Path, name: str) -> None:
    put(root, "servers/create.py")
    with pytest.raises(UnknownOperation):
        LibraryFiles([root]).describe(name)


def test_a_typing_error_gets_a_suggestion(root: Path) -> None:
    put(root, "servers/create.py")
    with pytest.raises(UnknownOperation, match="did you mean 'servers/create'"):
        LibraryFiles([root]).describe("server/create")


@pytest.mark.parametrize("where", ["servers/create.py", "servers/create.toml", "servers"])
def test_nothing_outside_the_library_is_run_or_read(root: Path, tmp_path: Path, where: str) -> None:
    outside = tmp_path / "outside"
    put(outside, "create.py")
    put(outside, "create.toml")
    if where == "servers":
        (root / "servers").rmdir()
        (root / "servers").symlink_to(outside)
    else:
        put(root, "servers/create.py")
        (root / where).unlink(missing_ok=True)
        (root / where).symlink_to(outside / Path(where).name)
    with pytest.raises(UnknownOperation, match="leads out of the library"):
        LibraryFiles([root]).describe("servers/create")


def test_a_link_within_the_library_is_fine(root: Path) -> None:
    put(root, "servers/make.py", "1")
    (root / "servers/create.py").symlink_to("make.py")
    assert LibraryFiles([root]).describe("servers/create").digest


def test_a_missing_library_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(BrokenLibrary, match="no such directory"):
        LibraryFiles([tmp_path / "none"])


def test_a_sidecar_says_more(root: Path) -> None:
    put(root, "servers/create.py")
    put(
        root,
        "servers/create.toml",
        'repeatable = true\ntimeout_s = 90\n[retry]\ndelay_s = 1\nbackoff = "linear"\n[params]\ntype = "object"\n',
    )
    described = LibraryFiles([root]).describe("servers/create")
    assert described.repeatable and described.timeout_s == 90.0
    assert described.retry == RetryPolicy(3, "linear", 1.0, 300.0, 0.2)
    assert described.params_schema == {"type": "object"}


def test_edits_count_from_the_next_look_on_and_change_the_digest(root: Path) -> None:
    code = put(root, "servers/create.py", "1")
    library = LibraryFiles([root])
    digests = [library.describe("servers/create").digest]
    code.write_text("two")
    digests.append(library.describe("servers/create").digest)
    sidecar = put(root, "servers/create.toml", "repeatable = true")
    assert library.describe("servers/create").repeatable
    digests.append(library.describe("servers/create").digest)
    sidecar.write_text("repeatable = false")
    assert not library.describe("servers/create").repeatable
    sidecar.unlink()
    assert library.describe("servers/create").digest == digests[1]
    assert len(set(digests)) == 3
    code.unlink()
    with pytest.raises(UnknownOperation):
        library.describe("servers/create")


def test_a_look_that_finds_no_change_is_cheap(root: Path) -> None:
    put(root, "servers/create.py", "x" * 1_000_000)
    library = LibraryFiles([root])
    library.describe("servers/create")
    began = time.perf_counter()
    for _ in range(1000):
        library.describe("servers/create")
    assert time.perf_counter() - began < 0.3


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("repeatable = 1", ["repeatable", "true or false"]),
        ("timeout_s = 0", ["timeout_s = 0", "above 0"]),
        ("timeout_s = true", ["timeout_s"]),
        ("timeout_s = inf", ["timeout_s"]),
        ("repeatible = true", ["'repeatible'", "did you mean 'repeatable'"]),
        ("retry = 3", ["retry = 3", "a table"]),
        ("[retry]\nattempts_max = 0", ["retry.attempts_max = 0", "1 or more"]),
        ("[retry]\nattempts_max = 1.5", ["retry.attempts_max"]),
        ("[retry]\nbackoff = 'fast'", ["retry.backoff", "'constant'", "'exponential'"]),
        ("[retry]\njitter = 2", ["retry.jitter = 2"]),
        ("[retry]\ndelay = 2\njitter = -1", ["'retry.delay'", "retry.jitter = -1"]),
        ("x = y", ["line 1"]),
        ("params = 'x'", ["params", "JSON Schema"]),
    ],
)
def test_a_sidecar_with_faults_names_the_file_and_every_key(root: Path, content: str, words: list[str]) -> None:
    put(root, "servers/create.py")
    put(root, "servers/create.toml", content)
    with pytest.raises(BrokenSidecar) as caught:
        LibraryFiles([root]).describe("servers/create")
    for word in ["servers/create.toml", *words]:
        assert word in str(caught.value)


def test_a_sidecar_alone_is_no_operation(root: Path) -> None:
    put(root, "servers/create.toml", "repeatable = true")
    (root / "servers" / "delete").mkdir()
    library = LibraryFiles([root])
    assert library.operations() == []
    for name in ("servers/create", "servers/delete"):
        with pytest.raises(UnknownOperation):
            library.describe(name)


@pytest.mark.parametrize("name", ["locks", "pool", "undo"])
def test_what_is_kept_for_later_is_refused_rather_than_ignored(tmp_path: Path, name: str) -> None:
    with pytest.raises(BrokenSidecar, match=f"'{name}' is kept for a later version"):
        parse_sidecar("create.toml", f"[{name}]\nx = 1\n".encode())


def test_a_partial_retry_table_is_filled_as_a_submissions() -> None:
    assert parse_sidecar("create.toml", b"[retry]\ndelay_s = 1\n").retry == RetryPolicy(attempts_max=3, delay_s=1.0)
