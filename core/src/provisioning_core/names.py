"""What names look like, and how that is said to people: in definitions and in the parameters of operations alike."""

from __future__ import annotations

import re

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
LABEL_WORDS = "1 to 63 of a-z, 0-9 and -, neither beginning nor ending with -"
PROVIDER = re.compile(r"[a-z][a-z0-9_-]{0,62}|[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
NETWORK = re.compile(r"[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?")
NETWORK_WORDS = "1 to 50 of a-z, 0-9 and -, neither beginning nor ending with -"
WORD = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
WORD_RULE = "1 to 63 letters, digits and . _ - inside"
USER_DATA_MAX = 16 * 1024  # bytes: the least that any of the clouds takes
PLAN = re.compile(r"([1-9][0-9]{0,2})cpu-([1-9][0-9]{0,3})gb")
PLAN_WORDS = "<cpus>cpu-<memory>gb, like 2cpu-4gb"
CIDR = re.compile(r"[0-9.]{7,15}/[0-9]{1,2}")
LABEL_NAME = re.compile(r"[a-z]([a-z0-9_-]{0,61}[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
LABEL_RULE = "names [a-z][a-z0-9_-]*, values of letters, digits and . _ - inside, each at most 63 characters"
RESERVED_LABELS = frozenset({"key", "intent"})  # the provider's own, on every resource
