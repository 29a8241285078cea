"""What a cloud takes as labels: characters, lengths, how many, and which prefixes are its own or ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..capabilities import Fault
from ..yamlfile import shown


@dataclass(frozen=True, slots=True)
class LabelRules:
    """words: what is accepted, for people. reserved: prefixes of names, in lower case. taken: names. most: of the
    user's own on one resource, None: not known."""

    name: re.Pattern[str]
    name_words: str
    value: re.Pattern[str]
    value_words: str
    reserved: tuple[str, ...]
    taken: tuple[str, ...] = ()
    most: int | None = None

    def faults(self, labels: Mapping[str, str], *, fewer: int = 0) -> list[Fault]:
        """All that is wrong with them. fewer: of `most` that are taken already."""
        found = [
            Fault(f"labels.{name}", words, "bad_labels")
            for name, value in sorted(labels.items())
            if (words := self._wrong(name, value))
        ]
        if self.most is not None and len(labels) > self.most - fewer:
            found.append(Fault("labels", f"{len(labels)} of them; accepted: at most {self.most - fewer}", "bad_labels"))
        return found

    def _wrong(self, name: str, value: str) -> str | None:
        if (taken := next((each for each in self.reserved if name.lower().startswith(each)), None)) is not None:
            return f"the name {shown(name)} is not accepted: what begins with {taken} is not the user's"
        if name in self.taken:
            return f"the name {shown(name)} is not accepted: it is not the user's"
        if not self.name.fullmatch(name):
            return f"the name {shown(name)} is not accepted; accepted: {self.name_words}"
        if not self.value.fullmatch(value):
            return f"{shown(value)} is not accepted; accepted: {self.value_words}"
        return None
