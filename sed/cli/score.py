"""``sed-score``: references and hypotheses in, error rates with intervals out."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from sed.scoring.corpus import Report
    from sed.scoring.loading import Annotations
    from sed.scoring.tables import Table

FAILED, USAGE = 1, 2
METRICS = ("eder", "der", "joint", "events", "boundaries")


class Renaming(click.ParamType):
    """``old=new,old=new`` as a dictionary."""

    name = "OLD=NEW,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, str]:
        """The pairs; a name that is given twice or an empty one is refused."""
        if isinstance(value, dict):
            return value
        pairs: dict[str, str] = {}
        for part in value.split(","):
            old, equals, new = (text.strip() for text in part.partition("="))
            if not (old and equals and new) or old in pairs:
                self.fail(f"{part!r} in {value!r}: expected old=new, each old name once", param, ctx)
            pairs[old] = new
        return pairs


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("reference", metavar="REF")
@click.argument("hypothesis", metavar="HYP")
@click.option(
    "-m",
    "--metric",
    "metrics",
    multiple=True,
    type=click.Choice(METRICS),
    help="Only this one; may be repeated (default: all that the annotations allow).",
)
@click.option("--collar", default=0.0, metavar="S", help="Leave out S seconds on either side of boundaries.")
@click.option("--uem", metavar="PATH", help="Score these regions only (default: whole recordings).")
@click.option("--labels", type=Renaming(), help="Rename emotions on both sides, such as hap=happy,exc=happy.")
@click.option("--neutral", default="neutral", show_default=True, help="The emotion of gaps.")
@click.option("--skip-overlap", is_flag=True, help="Leave overlapping speech out of DER.")
@click.option("--compat", type=click.Choice(["speechbrain"]), help="Compute EDER as SpeechBrain does.")
@click.option(
    "--engine",
    type=click.Choice(["sed", "pyannote"]),
    default="sed",
    show_default=True,
    help="What computes DER; pyannote.metrics gives the same, slowly.",
)
@click.option("--against", metavar="HYP2", help="Compare HYP with this second system: a paired test.")
@click.option("--per-file", is_flag=True, help="A row for each recording, too.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "markdown"]),
    default="table",
    show_default=True,
    help="Form of the report on standard output.",
)
@click.option("--plot", metavar="PATH", help="Draw the reference above the hypothesis (png, svg, pdf).")
@click.option("--recording", metavar="NAME", help="The recording to plot, where there are several.")
@click.option("--samples", default=1000, show_default=True, metavar="N", help="Bootstrap samples.")
@click.option("--level", default=0.95, show_default=True, metavar="P", help="Level of the intervals.")
@click.option("--seed", default=0, show_default=True, metavar="N", help="Seed of the bootstrap.")
@click.version_option(package_name="sed")
def main(
    reference: str,
    hypothesis: str,
    metrics: tuple[str, ...],
    uem: str | None,
    against: str | None,
    per_file: bool,
    output: str,
    plot: str | None,
    recording: str | None,
    **settings: Any,
) -> None:
    """Score hypotheses HYP against references REF: files, folders, quoted patterns, or lists of files.

    Formats are told by suffix or content: RTTM, JSON, SegLST, CSV, ZED.json, SpeechBrain's dictionary and the
    others that sed reads. Recordings are matched by name; one without a hypothesis counts as one in which the
    system found nothing.

    \b
    sed-score ref.rttm hyp.rttm                     all metrics, bootstrap intervals
    sed-score ZED.json out/ -m eder --per-file      180 utterances, one by one
    sed-score ref/ hyp/ --against other/ -o json    which of two systems is better
    sed-score ref.rttm hyp.json --plot call.png     a picture

    Exit status: 0; 1 if a recording has no partner or a file could not be read (the rest is scored);
    2 for wrong usage.
    """
    from sed.errors import OptionError, SedError
    from sed.scoring.corpus import Options, score
    from sed.scoring.loading import load

    logging.basicConfig(level=logging.WARNING, format="sed-score: %(message)s")
    try:
        if recording is not None and plot is None:
            raise OptionError("--recording names the one to plot: expected --plot beside it")
        truth = load(reference)
        options = Options(**settings, extent="reference" if truth.durations_stated else "union")
        regions = _regions(uem)
        systems = [_hypothesis(name, truth) for name in (hypothesis, against) if name is not None]
        reports = [
            score(truth.recordings, s.recordings, metrics=metrics or None, uem=regions, options=options)
            for s in systems
        ]
        if plot is not None:
            _plot(truth, systems[0], plot, recording, options.neutral)
        _skipped(reports, (hypothesis, against))
        _print(reports, (hypothesis, against), output, per_file)
    except SedError as error:
        click.echo(f"sed-score: {error}", err=True)
        sys.exit(USAGE if isinstance(error, OptionError) else FAILED)
    names = (hypothesis, against) if against is not None else (None,)
    pairs = zip(reports, names, strict=True)
    if any([_complain([truth, *systems]), *(_unpaired(report, name) for report, name in pairs)]):
        sys.exit(FAILED)


def _hypothesis(name: str, truth: Annotations) -> Annotations:
    """What `name` holds; a recording whose name differs from a reference's in blanks only, and a lone recording of
    another name, go with that reference."""
    from sed.formats import spelling
    from sed.scoring.loading import load, pair_single

    found = load(name)
    for other, same in spelling.match(truth.recordings, found.recordings).items():
        click.echo(f"sed-score: {other} is scored against {same}: the names differ in blanks only", err=True)
        found.rename(other, same)
    if (uri := pair_single(truth.recordings, found.recordings)) is not None:
        ((own, item),) = found.recordings.items()
        click.echo(f"sed-score: {own} is scored against {uri}, the only recording on each side", err=True)
        found.recordings = {uri: replace(item, uri=uri)}
    return found


def _regions(uem: str | None) -> dict[str, Any] | None:
    if uem is None:
        return None
    from sed import formats

    return dict(formats.read_uem(uem))


def _complain(sources: list[Annotations]) -> bool:
    """Name the files that could not be read; whether there were any."""
    failures = {path: text for source in sources for path, text in source.failures.items()}
    for text in failures.values():
        click.echo(f"sed-score: {text}", err=True)
    return bool(failures)


def _unpaired(report: Report, system: str | None) -> bool:
    """Name the recordings without a partner, of the `system` where there are two; whether there were any."""
    whose = "" if system is None else f"{system}: "
    for names, text in (
        (report.missing, "no hypothesis, so scored as empty"),
        (report.extra, "no reference, so not scored"),
        (report.outside_uem, "not in the UEM, so not scored"),
    ):
        if names:
            click.echo(f"sed-score: {whose}{text}: {', '.join(names)}", err=True)
    return bool(report.missing or report.extra or report.outside_uem)


def _skipped(reports: list[Report], names: tuple[str, str | None]) -> None:
    """Say which metrics the annotations do not allow, and why."""
    lines: dict[str, None] = {}
    for report, name in zip(reports, names, strict=False):
        skipped = report.skipped or {}
        for reason in dict.fromkeys(skipped.values()):
            metrics = ", ".join(metric for metric, why in skipped.items() if why == reason)
            reason = reason.replace("the hypotheses", f"the hypotheses of {name}")
            lines[f"sed-score: not computed: {metrics} ({reason})"] = None
    for line in lines:
        click.echo(line, err=True)


def _plot(truth: Annotations, system: Annotations, path: str, recording: str | None, neutral: str) -> None:
    from sed.errors import OptionError
    from sed.plot import save_plot
    from sed.result import Diarization

    names = sorted(truth.recordings)
    name = recording or (names[0] if len(names) == 1 else None)
    if name not in truth.recordings:
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        raise OptionError(f"--plot of {name or 'which recording?'}: expected --recording with one of {shown}")
    assert name is not None
    mine = truth.recordings[name]
    save_plot(mine, system.recordings.get(name, Diarization(name, mine.duration, [])), path, neutral=neutral)


def _print(reports: list[Report], names: tuple[str, str | None], output: str, per_file: bool) -> None:
    """The report, and where there are two its comparison with the other, on standard output."""
    from sed.formats.spelling import printable
    from sed.scoring.tables import comparison, finite, tables, to_dict

    first, *others = reports
    if output == "json":
        import json

        result = to_dict(first, per_file=per_file)
        if others:
            result["against"] = {"hypothesis": names[1], **to_dict(others[0], per_file=per_file)}
            tests = {name: first.compare(others[0], name) for name in first.shared(others[0])}
            result["comparison"] = finite({name: test.to_dict() for name, test in tests.items()})
        click.echo(printable(json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False)))
        return
    shown = tables(first, per_file=per_file)
    if others:
        shown.insert(1, comparison(first, others[0], names[1] or ""))
    if output == "markdown":
        click.echo(printable("\n\n".join(table.markdown() for table in shown)))
    elif sys.stdout.isatty():
        _print_rich(shown)
    else:
        click.echo(printable("\n\n".join(table.plain() for table in shown)))


def _print_rich(shown: list[Table]) -> None:
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


if __name__ == "__main__":
    main()
