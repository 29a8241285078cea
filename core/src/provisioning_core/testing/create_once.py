"""One create in a process of its own, which a test may kill: `python -m … FACTORY WORKSPACE` with a wish on stdin.

It prints `announced ID` as soon as it hears it, then `created ID` or `found ID`, or `refused CODE`.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

from ..errors import ProviderError
from ..provider import Provider, Wish


def make_provider(factory: str, workspace: Path) -> Provider:
    """factory: `package.module:callable`, called with the workspace."""
    module, _, name = factory.partition(":")
    provider: Provider = getattr(importlib.import_module(module), name)(workspace)
    return provider


def main(factory: str, workspace: str) -> int:
    provider = make_provider(factory, Path(workspace))
    wish = Wish(**json.load(sys.stdin))
    try:
        made = provider.create(wish, announce=lambda resource: print("announced", resource.id, flush=True))
    except ProviderError as error:
        print("refused", error.code, flush=True)
        return 1
    print("created" if made.created else "found", made.resource.id, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
