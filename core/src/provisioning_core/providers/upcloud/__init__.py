"""The provider `upcloud`. See `provider`; how one wish never makes two servers, see `once`."""

from .provider import UpCloudProvider

__all__ = ["UpCloudProvider"]
