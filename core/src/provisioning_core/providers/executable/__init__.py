"""A provider in any language: an executable that answers verbs in JSON. See docs/providers/executable.md."""

from .provider import ExecutableProvider as ExecutableProvider
