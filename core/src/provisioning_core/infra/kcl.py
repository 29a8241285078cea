"""A definition in KCL: `infra/<name>.k`, evaluated in this process by kcl-lib (the extra `kcl`).

What it evaluates to is checked like a file in YAML, but where a value was written is not known then: messages have the
file and the path. KCL's own errors do have lines; it raises those of its compiler and returns those of evaluation,
both as text for a terminal.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from ..errors import UsageError
from ..yamlfile import BYTES_MAX, Cursor, DefinitionErrors, Problem, computed

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
_PLACE = re.compile(r"^ *--> (?P<file>.+):(?P<line>\d+):(?P<column>\d+)$")
_WORDS = re.compile(r"^ *\|\s*\^*\s+(?P<words>[^\s|].*)$")


def read_kcl(path: Path, shown_as: str, workspace: Path) -> Cursor:
    """The root of what it evaluates to. Raises UsageError without kcl-lib, DefinitionErrors with KCL's own errors."""
    if path.stat().st_size > BYTES_MAX:
        raise DefinitionErrors([Problem(shown_as, 1, 1, "", f"the file has more than {BYTES_MAX} bytes")])
    try:
        from kcl_lib import api
    except ImportError as error:
        raise UsageError(
            f"{shown_as} is written in KCL, which this installation cannot read: {error}",
            code="no_kcl",
            hint="pip install 'provisioning-core[kcl]'",
        ) from error
    try:
        arguments = api.ExecProgramArgs(work_dir=str(path.parent), k_filename_list=[str(path)])
        result = api.API().exec_program(arguments)
        said, text = result.err_message, result.json_result
    except Exception as error:  # kcl-lib raises nothing more exact
        said, text = str(error) or type(error).__name__, ""
    if said:
        raise DefinitionErrors(_problems(said, shown_as, workspace))
    return computed(json.loads(text) if text else {}, shown_as)


def _problems(said: str, shown_as: str, workspace: Path) -> list[Problem]:
    """Each place with the words below it; the same fault is often told twice."""
    problems: dict[tuple[str, int, int, str], Problem] = {}
    place: tuple[str, int, int] | None = None
    lines = _ESCAPES.sub("", said).splitlines()
    for line in lines:
        if found := _PLACE.match(line):
            place = _shown(found["file"], shown_as, workspace), int(found["line"]), int(found["column"])
        elif place and (words := _WORDS.match(line)):
            problems.setdefault((*place, words["words"]), Problem(*place, "", f"KCL: {words['words']}"))
            place = None
    if not problems:
        return [Problem(shown_as, 0, 0, "", f"KCL: {' '.join(' '.join(lines).split())[:1000]}")]
    return sorted(problems.values(), key=lambda problem: (problem.file != shown_as, problem.line, problem.column))


def _shown(file: str, shown_as: str, workspace: Path) -> str:
    """As in all messages: from the workspace on."""
    try:
        return str(Path(file).resolve().relative_to(workspace.resolve()))
    except ValueError:
        return file or shown_as
