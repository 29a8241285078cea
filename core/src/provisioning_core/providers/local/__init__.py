"""The provider `local`: real machines on this machine, without root, without a download. See `provider` and `room`."""

from .provider import LocalProvider, destroy

__all__ = ["LocalProvider", "destroy"]
