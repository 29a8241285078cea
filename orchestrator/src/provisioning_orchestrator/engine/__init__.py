"""Floor 3: drives the machines. Knows the ports, never what implements them."""

from .embedded import EmbeddedEngine

__all__ = ["EmbeddedEngine"]
