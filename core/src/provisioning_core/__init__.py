"""The core of provisioning: definitions, operations, providers, and the command line."""

__version__ = "0.1.0"
