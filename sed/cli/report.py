"""``sed-report``: a page and a table of sums over an archive that ``sed-run -d`` has written."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from sed.cli.base import FAILED, command

NAME = "sed-report"


@command(NAME)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The page (default: DIR/report.html).",
)
@click.option(
    "--csv",
    "table",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Also write the table: one row per day, folder and speaker.",
)
@click.option(
    "--moments",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    metavar="N",
    help="The most intense moments to list, at most.",
)
@click.option("-q", "--quiet", is_flag=True, help="Show errors only.")
def main(folder: Path, output: Path | None, table: Path | None, moments: int, quiet: bool) -> None:
    """Sum up an archive DIR of results (Parquet or JSON) that sed-run -d has written.

    \b
    sed-run calls/ -o parquet,html -d out/
    sed-report out/ --csv out/report.csv

    The page shows the time of each emotion per day, folder and speaker, and the most intense moments, which link to the
    recordings' pages (sed-run -o html) if there are some. Days are dates in names, such as 2024-12-02 or 20241202.
    Summaries are for topics and weeks; they must not be used to judge employees.

    Exit status: 0; 1 if a file cannot be read (the others are summed up); 2 for wrong usage.
    """
    from sed.archive.report import summarise, to_csv, to_html
    from sed.archive.resultfiles import find_results
    from sed.errors import OptionError
    from sed.files import save_bytes

    page = folder / "report.html" if output is None else output
    files = find_results(folder)
    own = {file.path.with_name(file.stem) for file in files}
    for target in (page, *([] if table is None else [table])):
        if Path(os.path.abspath(target)).with_suffix("") in own:
            raise OptionError(f"{target}: is a file of the recording {target.stem}, expected another file")
    report = summarise(files, moments)
    contents = to_html(report, Path(os.path.abspath(folder)).name, page)
    if table is not None:
        save_bytes(to_csv(report), table)
    save_bytes(contents, page)
    for text in report.failures:
        click.echo(f"{NAME}: {text}", err=True)
    if not quiet:
        count = f"{report.recordings} recording{'' if report.recordings == 1 else 's'}"
        click.echo(f"{page}: {count}", err=True)
    if report.failures:
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
