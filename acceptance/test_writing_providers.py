"""docs/providers/writing.md, followed word for word: every block in its order, in an empty directory."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

from acceptance.daemon import ROOT

pytestmark = pytest.mark.slow
PAGE = ROOT / "docs" / "providers" / "writing.md"
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """One of its own, into which the page may install: it sees the packages of this one, and builds without network."""
    own = tmp_path / "environment"
    venv.create(own, with_pip=True)
    (site,) = own.glob("lib/python3*/site-packages")
    (site / "ours.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    program = own / "bin" / "provisioning"
    program.write_text(f"#!{own / 'bin' / 'python'}\nfrom provisioning_core.cli import main\nmain()\n")
    program.chmod(0o755)
    offline = {"PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    # Sooner; the same tests. What pytest would warn of, the page has forgotten to say.
    offline |= {"PYTEST_ADDOPTS": "-n 2 -W error::pytest.PytestUnknownMarkWarning"}
    return {"PATH": f"{own / 'bin'}:{os.environ['PATH']}", "HOME": str(tmp_path), "LANG": "C.UTF-8"} | offline


def test_the_page_followed_word_for_word_gives_working_providers(tmp_path: Path, environment: dict[str, str]) -> None:
    directory = tmp_path / "empty"
    directory.mkdir()
    said = ""
    blocks = BLOCK.findall(PAGE.read_text("utf-8"))
    assert len(blocks) > 10
    for language, name, text in blocks:
        if name:
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(text, "utf-8")
        elif language == "sh":
            said = shell(text, directory, environment)
        else:
            assert language == "text", f"a block that is neither a file nor run: {text}"
            missing = [line for line in text.splitlines() if line.strip() not in said]
            assert not missing, f"{missing} is not in:\n{said}"


def shell(lines: str, directory: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", lines],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{lines}\n{done.stdout}"
    return done.stdout


def test_the_reference_names_every_verb_and_error_of_the_contract() -> None:
    contract = json.loads((ROOT / "contract" / "provider.json").read_text("utf-8"))
    page = (ROOT / "docs" / "providers" / "executable.md").read_text("utf-8")
    words = set(re.findall(r"`(\w+)", page))
    assert {*contract["verbs"], *contract["optional_verbs"]} <= words
    assert {example["error"]["code"] for example in contract["examples"] if "error" in example} - words == {
        "rate_limited",
        "down",
        "boot_failed",
    }
