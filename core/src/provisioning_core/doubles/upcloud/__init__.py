"""A double of UpCloud: its API 1.3 on loopback. See `double` for what it answers and which facts are not verified."""

from .double import UpCloudDouble

__all__ = ["UpCloudDouble"]
