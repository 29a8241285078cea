"""contract/provider.json and its reader: each example is said by a real process."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.errors import ProviderError
from provisioning_core.provider import Wish
from provisioning_core.providers import executable
from provisioning_core.providers.executable import ExecutableProvider
from provisioning_core.providers.executable import answers as reading

CONTRACT: dict[str, Any] = json.loads(
    Path(executable.__file__).with_name("contract").joinpath("provider.json").read_text()
)
REPLAY = """\
#!/bin/sh
[ "$*" = {verb} ] || {{ echo "{{\\"error\\": {{\\"code\\": \\"unknown_verb\\", \\"message\\": \\"$*\\"}}}}"; exit 1; }}
cat {file}
exit {code}
"""


def ask(provider: ExecutableProvider, example: dict[str, Any], announced: list[str]) -> Any:
    kind, verb = example["kind"], example["verb"]
    if verb == "create":
        wish = Wish(kind, "k", "i", "w", "n")
        return provider.create(wish, announce=lambda resource: announced.append(resource.id))
    calls: dict[str, Callable[[], Any]] = {
        "find": lambda: provider.find(kind, key="k"),
        "get": lambda: provider.get(kind, "id"),
        "list": lambda: provider.list(kind),
        "delete": lambda: provider.delete(kind, "id"),
    }
    return calls[verb]()


@pytest.mark.parametrize("example", CONTRACT["examples"], ids=lambda example: example["about"])
def test_each_example_is_read_as_the_contract_says(example: dict[str, Any], tmp_path: Path) -> None:
    said = tmp_path / "said"
    said.write_text("\n".join(example["lines"]) + ("" if example.get("no_newline") or not example["lines"] else "\n"))
    file = tmp_path / "replay"
    file.write_text(REPLAY.format(verb=example["verb"], file=said, code=example["exit_code"]))
    file.chmod(0o700)
    provider = ExecutableProvider("replay", file, tmp_path)
    announced: list[str] = []
    if "error" in example:
        with pytest.raises(ProviderError) as refusal:
            ask(provider, example, announced)
        error = refusal.value
        assert {name: getattr(error, name) for name in example["error"]} == example["error"], error.message
    else:
        answer = ask(provider, example, announced)
        assert (asdict(answer) if hasattr(answer, "__dataclass_fields__") else answer) == example["gives"]
    assert announced == example.get("announced", [])


def test_the_words_of_the_contract_are_those_of_the_code(contract: Callable[[str], Any]) -> None:
    assert contract("provider.json") == CONTRACT

    def words(text: str) -> set[str]:
        return set(re.findall(r"[a-z_]+", text))

    assert set(reading.FLAGS) <= words(CONTRACT["capabilities"]["flags"])
    assert set(reading.EFFECTS) <= words(CONTRACT["capabilities"]["effects"])
    assert set(reading.STATES) <= words(CONTRACT["resource"]["state"])
    provider = vars(ExecutableProvider)
    assert {*CONTRACT["verbs"], *CONTRACT["optional_verbs"]} <= provider.keys()
