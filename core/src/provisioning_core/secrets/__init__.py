"""Secrets: values that no definition, argv, environment, log or state ever holds. The promise: docs/secrets.md.

secret      Secret, a value that hides itself          redaction   takes values out of what is written
reference   `secret://name`, what definitions hold     handed      what this process was given by its runner
stores      where values are kept: file, keyring, age, sops
named       a reference's value, from the stores       credentials a provider's, from environment and stores
"""

from __future__ import annotations

from .credentials import CredentialField, credentials
from .handed import resolve_param
from .named import SecretUnavailable
from .reference import REFERENCE, is_reference, name_of, reference_fault, references_in
from .secret import Secret

__all__ = [
    "REFERENCE",
    "CredentialField",
    "Secret",
    "SecretUnavailable",
    "credentials",
    "is_reference",
    "name_of",
    "reference_fault",
    "references_in",
    "resolve_param",
]
