"""What every command has in common: ``-h``, ``--version``, a log on standard error, errors as one line and a status."""

from __future__ import annotations

import contextlib
import functools
import logging
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import click

from sed.console import quiet_libraries
from sed.errors import DISTRIBUTION, OptionError, SedError, install_hint

FAILED, USAGE = 1, 2
"""Exit statuses: something went wrong with the input or the machine; the command was called wrongly."""


def command(
    name: str, *, extras: str = "", log: bool = True, silence: bool = False, **settings: Any
) -> Callable[[Callable[..., None]], click.Command]:
    """Decorate the function of a command called `name`.

    A `SedError` becomes one line on standard error and status 2 (`OptionError`) or 1. A package that is missing becomes
    one line that names `extras`. With `log`, warnings (with an option ``quiet`` errors only) go to standard error, and
    with `silence` what C libraries write there does not. `settings` are click's.
    """

    def decorate(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        def guarded(*arguments: Any, **options: Any) -> None:
            try:
                with (
                    quiet_libraries() if silence else contextlib.nullcontext()
                ):  # before the log takes its stream
                    if log:
                        level = logging.ERROR if options.get("quiet") else logging.WARNING
                        logging.basicConfig(level=level, format=f"{name}: %(message)s")
                    function(*arguments, **options)
            except SedError as error:
                fail(name, error)
            except ModuleNotFoundError as error:
                if not extras:
                    raise
                click.echo(f"{name}: needs {error.name}: {install_hint(extras)}", err=True)
                sys.exit(FAILED)

        versioned = click.version_option(package_name=DISTRIBUTION, prog_name=name)(guarded)
        context = {"help_option_names": ["-h", "--help"], **settings.pop("context_settings", {})}
        return click.command(name=name, context_settings=context, **settings)(versioned)

    return decorate


def fail(name: str, error: SedError, status: int | None = None) -> NoReturn:
    """Report `error` of the command `name` in one line, and exit with `status` (default: what suits its kind)."""
    click.echo(f"{name}: {error}", err=True)
    sys.exit(status or (USAGE if isinstance(error, OptionError) else FAILED))
