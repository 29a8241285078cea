"""Runs attempts on this host: the ports `Dispatch` and `Library` over processes and files.

Loaded on first use: the frozen helper lives in this package too, and must stay small.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .library import BrokenLibrary, LibraryFiles
    from .local import LocalDispatch
    from .sidecar import BrokenSidecar

__all__ = ["BrokenLibrary", "BrokenSidecar", "LibraryFiles", "LocalDispatch"]


def __getattr__(name: str) -> object:
    if name == "LocalDispatch":
        from .local import LocalDispatch

        return LocalDispatch
    if name in __all__:
        from . import library, sidecar

        return getattr(library, name, None) or getattr(sidecar, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
