"""Removes directories, also those in which things belong to the users of a machine.

Without root only the root of a user namespace over our subordinate ids may do that: a process of its own joins one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from .processes import LINUX


def remove_tree(path: Path) -> None:
    """Remove a directory even where what lived in it took its own rights away (chmod 000), or belongs to its users."""
    try:
        _remove_tree(path)
    except PermissionError:
        if os.geteuid() == 0 or not LINUX:
            raise
        _remove_tree_of_others(path)


def remove_as_root_of_others(path: Path) -> None:
    """In a process of its own."""
    from .owners import become_root, wide_ground  # Linux's alone

    become_root(wide_ground())
    remove_tree(path)


def _remove_tree(path: Path) -> None:
    for directory, names, _ in os.walk(path):
        for inner in (Path(directory, name) for name in names):
            if not inner.is_symlink():
                inner.chmod(0o700)
    shutil.rmtree(path)


def _remove_tree_of_others(path: Path) -> None:
    """Remove a directory in which things belong to our subordinate ids. Raises OSError where it stays."""
    argv = [sys.executable, "-m", __package__, "remove", str(path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if path.exists():
        why = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise OSError(f"cannot remove {path}: {why[0]}")
