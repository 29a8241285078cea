"""`provisioning vm`: hands its arguments to `provisioning_core.vm`, the machine-readable way to providers."""

from __future__ import annotations

import sys

import click


def run_vm(arguments: list[str]) -> int:
    """Its exit code."""
    from ..vm import main

    return main(arguments, sys.stdin, sys.stdout)


@click.command(
    "vm",
    hidden=True,
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "allow_interspersed_args": False},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def vm(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """Machine-readable access to providers, for operations."""
    ctx.exit(run_vm(list(arguments)))
