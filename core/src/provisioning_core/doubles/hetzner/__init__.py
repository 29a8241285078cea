"""A double of Hetzner's cloud: its API v1 as hcloud's clients speak it. `double` says what it answers."""

from .double import HetznerDouble

__all__ = ["HetznerDouble"]
