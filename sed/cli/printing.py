"""Reports on standard output: tables or JSON, for ``sed-score`` and ``sed-evaluate``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from sed.scoring.tables import Table

output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "markdown"]),
    default="table",
    show_default=True,
    help="Format of the report on standard output.",
)


def print_json(result: Any) -> None:
    """Print `result`, which has no value that is not finite."""
    import json

    from sed.formats.spelling import printable

    click.echo(printable(json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False)))


def print_tables(shown: Sequence[Table], output: str) -> None:
    """Print tables as Markdown if `output` is ``markdown``, coloured on a terminal, and plain elsewhere."""
    from sed.formats.spelling import printable

    if output == "markdown":
        click.echo(printable("\n\n".join(table.markdown() for table in shown)))
    elif sys.stdout.isatty():
        _print_rich(shown)
    else:
        click.echo(printable("\n\n".join(table.plain() for table in shown)))


def _print_rich(shown: Sequence[Table]) -> None:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    from sed.formats.spelling import printable

    console = Console()
    for table in shown:
        drawn = RichTable(title=Text(table.title), title_justify="left", header_style="bold")
        for number, column in enumerate(table.columns):
            drawn.add_column(Text(column), justify="left" if number == 0 else "right")
        for row in table.rows:
            drawn.add_row(*(Text(printable(cell)) for cell in row))
        console.print(drawn)
