"""Taskservs: services installed on servers. `manifest` says what a folder offers, `visiting` does it on a server."""

from .folders import Layer, Taskserv, all_taskservs, builtin_root, find_taskserv
from .manifest import Health, Manifest, read_manifest

__all__ = [
    "Health",
    "Layer",
    "Manifest",
    "Taskserv",
    "all_taskservs",
    "builtin_root",
    "find_taskserv",
    "read_manifest",
]
