"""The provider `hetzner`: servers, networks and volumes in one project of Hetzner's cloud, through hcloud."""

from .provider import HetznerProvider

__all__ = ["HetznerProvider"]
