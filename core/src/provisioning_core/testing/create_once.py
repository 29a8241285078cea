"""One call of a provider in a process of its own, which a test may kill.

    python -m provisioning_core.testing.create_once FACTORY WORKSPACE [update ID]

On standard input a wish, and with it `settings` where there are any. It prints `announced ID` as soon as it hears it,
then `created ID`, `found ID` or `updated ID`; or `refused CODE`.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ProviderError
from ..provider import Provider, Wish


def make_provider(factory: str, workspace: Path, settings: Mapping[str, Any] = {}) -> Provider:
    """What the factory makes for this workspace; settings are passed on where there are any.

    `package.module:callable`, `path/to/module.py:callable`, or `executable:PATH`, a provider of contract/provider.json.
    """
    module, _, name = factory.rpartition(":")
    if module == "executable":
        from ..providers.executable import ExecutableProvider

        return ExecutableProvider(Path(name).stem, Path(name), workspace, settings)
    make = getattr(_from_file(Path(module)) if module.endswith(".py") else importlib.import_module(module), name)
    provider: Provider = make(workspace, settings) if settings else make(workspace)
    return provider


def _from_file(file: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"provider_of_{file.stem}", file)
    assert spec is not None and spec.loader is not None, file
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there for the module that they are in
    spec.loader.exec_module(module)
    return module


def main(factory: str, workspace: str, verb: str = "create", id: str = "") -> int:
    told = json.load(sys.stdin)
    provider: Any = make_provider(factory, Path(workspace), told.pop("settings", {}))
    wish = Wish(**told)
    try:
        if verb == "update":
            print("updated", provider.update(id, wish).id, flush=True)
            return 0
        made = provider.create(wish, announce=lambda resource: print("announced", resource.id, flush=True))
    except ProviderError as error:
        print("refused", error.code, flush=True)
        return 1
    print("created" if made.created else "found", made.resource.id, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
