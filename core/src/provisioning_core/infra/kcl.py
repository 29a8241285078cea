"""A definition in KCL: `infra/<name>.k`, evaluated by kcl-lib (the extra `kcl`) in a child process with limits.

What it evaluates to is checked like a file in YAML, but where a value was written is not known then: messages have the
file and the path. KCL's own errors do have lines; it raises those of its compiler and returns those of evaluation,
both as text for a terminal. `kclchild.py` says what the child may and may not do.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from ..errors import UsageError
from ..extras import install_line
from ..settings import Settings
from ..yamlfile import BYTES_MAX, Cursor, DefinitionErrors, Problem, computed

RESULT_BYTES_MAX = 16 * BYTES_MAX
_PASSED_ON = ("HOME", "KCL_PKG_PATH")
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
_PLACE = re.compile(r"^ *--> (?P<file>.+):(?P<line>\d+):(?P<column>\d+)$")
_WORDS = re.compile(r"^ *\|\s*\^*\s+(?P<words>[^\s|].*)$")


def read_kcl(path: Path, shown_as: str, workspace: Path) -> Cursor:
    """The root of what it evaluates to.

    Raises UsageError without kcl-lib, DefinitionErrors with KCL's own errors, or the limit that it has reached.
    """
    if path.stat().st_size > BYTES_MAX:
        raise _alone(shown_as, f"the file has more than {BYTES_MAX} bytes")
    answer = _evaluated(path, shown_as)
    if "missing" in answer:
        raise UsageError(
            f"{shown_as} is written in KCL, which this installation cannot read: {answer['missing']}",
            code="no_kcl",
            hint=install_line("kcl"),
        )
    if answer["said"]:
        raise DefinitionErrors(_problems(answer["said"], shown_as, workspace))
    if len(answer["text"]) > RESULT_BYTES_MAX:
        raise _alone(shown_as, f"what it evaluates to has more than {RESULT_BYTES_MAX} bytes")
    try:
        return computed(json.loads(answer["text"] or "{}"), shown_as)
    except RecursionError:
        raise _alone(shown_as, "what it evaluates to is nested too deep") from None


def _evaluated(path: Path, shown_as: str) -> dict[str, str]:
    """What the child answers. Raises DefinitionErrors where it was ended by a limit."""
    settings = Settings()
    time_s, memory_mb = int(settings.kcl_time_s().value), int(settings.kcl_memory_mb().value)
    told: dict[str, object] = {"file": str(path), "directory": str(path.parent), "path": sys.path}
    told |= {"parent": os.getpid(), "time_s": time_s, "memory_mb": memory_mb}
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    command = [sys.executable, "-I", "-S", str(Path(__file__).with_name("kclchild.py"))]
    done = subprocess.run(command, input=json.dumps(told).encode(), capture_output=True, env=environment, check=False)
    if done.returncode == 0:
        answer: dict[str, str] = json.loads(done.stdout)
        return answer
    last = done.stderr.decode("utf-8", "replace").strip()[-300:]
    raise _alone(shown_as, {
        -signal.SIGALRM: f"evaluating it took more than {time_s} s, the limit (setting kcl_time_s)",
        -signal.SIGABRT: f"evaluating it took more than {memory_mb} MiB of memory, the limit (setting kcl_memory_mb)",
        -signal.SIGSEGV: "evaluating it nests too deep: something in it calls or holds itself without an end",
    }.get(done.returncode, f"evaluating it ended with {done.returncode}: {last}"))  # fmt: skip


def _alone(shown_as: str, message: str) -> DefinitionErrors:
    return DefinitionErrors([Problem(shown_as, 1, 1, "", message)])


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
