"""The line that installs an extra into the environment that this program runs in, not into the one that `pip` means.

`pip` on PATH is often of another one: a clone's `.state/core` has no pip at all, and a system's installs elsewhere.
"""

from __future__ import annotations

import sys
from pathlib import Path


def install_line(extra: str, distribution: str = "provisioning-core") -> str:
    """To be pasted into a shell. It is short where the `pip` on PATH stands beside this Python."""
    import shlex  # here, as the other two: nearly every command knows of extras, and nearly none needs the line
    import shutil
    from importlib.util import find_spec

    wanted = shlex.quote(f"{distribution}[{extra}]")
    python = Path(sys.executable)  # not resolved: the link of a virtual environment says which one it is
    pip = shutil.which("pip")
    if pip is not None and Path(pip).parent == python.parent:
        return f"pip install {wanted}"
    if find_spec("pip") is not None:
        return f"{shlex.quote(str(python))} -m pip install {wanted}"
    return f"python3 -m pip --python {shlex.quote(str(python))} install {wanted}"
