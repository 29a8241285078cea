"""An operation to be called, the manner in which it is to be done, and the options that say so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import click

from ..errors import UsageError

KEY_LENGTH_MAX = 255


@dataclass(frozen=True, slots=True)
class Manner:
    """How it is to be done. timeout: as typed."""

    orchestrated: bool
    check: bool
    exit_code: bool
    yes: bool
    wait: bool
    timeout: str | None
    idempotency_key: str | None
    confirm: str | None = None

    def timeout_s(self) -> float | None:
        """Raises UsageError for flags that do not go together, before anything is looked at."""
        if not self.orchestrated:
            for given, flag in (
                (not self.wait, "--no-wait"),
                (self.timeout is not None, "--timeout"),
                (self.idempotency_key is not None, "--idempotency-key"),
            ):
                if given:
                    raise UsageError(
                        f"{flag} needs --orchestrated: in direct mode this very process does the work", code="bad_flags"
                    )
        if self.exit_code and not self.check:
            raise UsageError("--exit-code goes with --check", code="bad_flags")
        key = self.idempotency_key
        if key is not None and not (0 < len(key) <= KEY_LENGTH_MAX and key.isascii() and key.isprintable()):
            raise UsageError(
                f"the idempotency key {key!r} is not accepted",
                code="bad_key",
                hint="1 to 255 printable ASCII characters",
            )
        if self.timeout is None:
            return None
        from ..render.times import parse_duration

        return parse_duration(self.timeout)


@dataclass(frozen=True, slots=True)
class Call:
    """One operation. again: what to type to do it again. anew: what makes the plan anew that it applies, if one.

    infra: None where an operation is called by its name without any. resource: "" where its name has one part.
    """

    resource: str
    action: str
    infra: str | None
    params: Mapping[str, Any]
    again: str
    anew: str | None = None

    @property
    def operation(self) -> str:
        return f"{self.resource}/{self.action}".lstrip("/")

    @property
    def given(self) -> dict[str, Any]:
        """All parameters."""
        return {**self.params, "infra": self.infra} if self.infra is not None else dict(self.params)

    @property
    def title(self) -> str:
        return " ".join(filter(None, (self.operation, self.infra)))


def manner_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that a Manner is made of, but for --confirm."""
    options = [
        click.option(
            "--orchestrated", is_flag=True, help="By the orchestrator: in parallel, retried, survives crashes."
        ),
        click.option("--check", "--dry-run", is_flag=True, help="Show what would be done, and do nothing."),
        click.option("--exit-code", is_flag=True, help="With --check: exit 10 where there is something to do."),
        click.option("--yes", "-y", is_flag=True, help="Do not ask."),
        click.option(
            "--wait/--no-wait", " /--detach", default=True, help="Stay until it has ended, or print the id and leave."
        ),
        click.option("--timeout", metavar="DURATION", help="Wait no longer (exit 124); the workflow goes on."),
        click.option("--idempotency-key", metavar="KEY", help="The same key again: the same workflow (random)."),
        click.option("--library", multiple=True, metavar="DIR", help="Operations of direct mode (the shipped ones)."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


CONFIRM = click.option("--confirm", metavar="INFRA", help="Instead of typing the name back: the infrastructure's name.")
