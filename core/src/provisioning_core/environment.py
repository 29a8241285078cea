"""What any program that we start is given of our own environment: what a login sets, and nothing that we were told."""

from __future__ import annotations

import os
import re

_OF_A_LOGIN = re.compile(r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_\w+|TZ|TMPDIR|XDG_\w+")


def passed_on() -> dict[str, str]:
    """Those of our variables that every program may have, with their values."""
    return {name: value for name, value in os.environ.items() if _OF_A_LOGIN.fullmatch(name)}
