"""``sed-score``: references and hypotheses in, error rates with confidence intervals out."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from sed.cli.base import FAILED, command
from sed.cli.printing import output_option, print_json, print_tables

if TYPE_CHECKING:
    from sed.result import Diarization
    from sed.scoring.corpus import Report
    from sed.scoring.loading import Annotations

NAME = "sed-score"
METRICS = ("eder", "der", "joint", "events", "boundaries")


class Renaming(click.ParamType):
    """``old=new,old=new`` as a dictionary."""

    name = "OLD=NEW,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, str]:
        """Parse the pairs; empty and duplicate names are refused."""
        if isinstance(value, dict):
            return value
        pairs: dict[str, str] = {}
        for part in value.split(","):
            old, equals, new = (text.strip() for text in part.partition("="))
            if not (old and equals and new) or old in pairs:
                self.fail(f"{part!r} in {value!r}: expected old=new, each old name once", param, ctx)
            pairs[old] = new
        return pairs


@command(NAME)
@click.argument("reference", metavar="REF")
@click.argument("hypothesis", metavar="HYP")
@click.option(
    "-m",
    "--metric",
    "metrics",
    multiple=True,
    type=click.Choice(METRICS),
    help="Compute only this metric; may be repeated (default: all that the annotations allow).",
)
@click.option("--collar", default=0.0, metavar="S", help="Exclude S seconds on either side of boundaries.")
@click.option("--uem", metavar="PATH", help="Score only these regions (default: whole recordings).")
@click.option(
    "--labels",
    type=Renaming(),
    help="Rename emotions on both sides, such as hap=happy,exc=happy. Other spellings of a label (Happy, hap, h) are "
    "read as the same one and reported; hap=hap keeps them apart.",
)
@click.option(
    "--neutral", default="neutral", show_default=True, help="The emotion of time without a segment."
)
@click.option("--skip-overlap", is_flag=True, help="Exclude overlapping speech from DER.")
@click.option(
    "--compat",
    type=click.Choice(["speechbrain"]),
    help="Compute EDER as SpeechBrain does; gaps of the hypothesis are neutral.",
)
@click.option(
    "--engine",
    type=click.Choice(["sed", "pyannote"]),
    default="sed",
    show_default=True,
    help="Implementation of DER; pyannote.metrics gives the same values, slowly.",
)
@click.option("--against", metavar="HYP2", help="Compare HYP with this second system in a paired test.")
@click.option(
    "--group",
    metavar="SOURCE",
    help="Intervals and tests over groups of recordings: 'speaker' (of the references), a CSV file (file,group), a "
    "manifest, or a pattern whose capturing group is the group in a recording's name, such as '^([^_]+)_'.",
)
@click.option("--per-file", is_flag=True, help="Add one row per recording.")
@output_option
@click.option("--plot", metavar="PATH", help="Draw the reference above the hypothesis (png, svg, pdf).")
@click.option("--recording", metavar="NAME", help="The recording to plot, if there are several.")
@click.option("--samples", default=1000, show_default=True, metavar="N", help="Bootstrap samples.")
@click.option(
    "--level", default=0.95, show_default=True, metavar="P", help="Confidence level of the intervals."
)
@click.option("--seed", default=0, show_default=True, metavar="N", help="Seed of the bootstrap.")
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
    group: str | None,
    **settings: Any,
) -> None:
    """Score hypotheses HYP against references REF: files, folders, quoted patterns, or lists of files.

    Formats are recognised by content or suffix: RTTM, JSON, SegLST, CSV, ZED.json, SpeechBrain's dictionary and the
    others that sed reads. Recordings are matched by name; a missing hypothesis counts as an empty one. All systems are
    scored over the same time: the regions of the UEM, or up to the duration that the reference states, or else that
    the hypotheses state, or else the end of the reference's last segment. To compare with results on ZED, whose metric
    counts every frame, run `sed-run --vad none --diarizer none`.

    \b
    sed-score ref.rttm hyp.rttm                     all metrics, bootstrap intervals
    sed-score ZED.json out/ -m eder --per-file      one row for each of 180 utterances
    sed-score ref/ hyp/ --against other/ -o json    a paired test of two systems
    sed-score ref.rttm hyp.json --plot call.png     a plot

    Exit status: 0; 1 if a recording has no counterpart or no scored time, or a file could not be read (the others
    are scored); 2 for wrong usage.
    """
    from sed.cli.score_messages import report_failures, report_not_computed, report_skipped, report_unpaired
    from sed.errors import OptionError
    from sed.scoring.corpus import Options, score
    from sed.scoring.ends import common_ends
    from sed.scoring.groups import read_groups
    from sed.scoring.loading import load

    if recording is not None and plot is None:
        raise OptionError("--recording selects the recording to plot: expected --plot as well")
    truth = load(reference)
    options = Options(**settings)
    regions = _regions(uem)
    names = [name for name in (hypothesis, against) if name is not None]
    systems = [_hypothesis(name, truth) for name in names]
    ends = common_ends(truth.recordings, truth.stated, [(s.recordings, s.stated) for s in systems])
    reports = [
        score(
            truth.recordings,
            system.recordings,
            metrics=metrics or None,
            uem=regions,
            durations=ends.durations,
            groups=None if group is None else read_groups(group, _grouped(truth, regions)),
            options=options,
            system=name if against is not None else None,
        )
        for name, system in zip(names, systems, strict=True)
    ]
    if plot is not None:
        _plot(truth, systems[0], plot, recording, reports[0])
    for line in ends.warnings() if regions is None else ():
        click.echo(f"sed-score: {line}", err=True)
    report_skipped(reports, (hypothesis, against))
    _print(reports, (hypothesis, against), output, per_file)
    pairs = list(zip(reports, names if against is not None else (None,), strict=True))
    failed = [report_failures([truth, *systems]), report_not_computed(reports[0], metrics)]
    if any([*failed, *(report_unpaired(report, name) for report, name in pairs)]):
        sys.exit(FAILED)


def _hypothesis(name: str, truth: Annotations) -> Annotations:
    """The annotations of `name`; a recording whose name differs from a reference's in blanks only, or that is the
    only one on each side, is matched to that reference."""
    from sed.formats import spelling
    from sed.scoring.loading import load, match_folders, pair_single

    found = load(name)
    for other, same in spelling.match(truth.recordings, found.recordings).items():
        click.echo(f"sed-score: {other} is scored against {same}: the names differ in blanks only", err=True)
        found.rename(other, same)
    matched = match_folders(truth.recordings, found.recordings)
    for other, same in matched.items():
        found.rename(other, same)
    if matched:
        other, same = next(iter(matched.items()))
        click.echo(
            f"sed-score: {len(matched)} recordings are scored against references whose names differ in folders only, "
            f"such as {other} against {same}",
            err=True,
        )
    if (uri := pair_single(truth.recordings, found.recordings)) is not None:
        (name,) = found.recordings
        click.echo(f"sed-score: {name} is scored against {uri}, the only recording on each side", err=True)
        found.rename(name, uri)
    return found


def _grouped(truth: Annotations, regions: dict[str, Any] | None) -> dict[str, Any]:
    """The references that are scored and need a group; a recording of the UEM without a reference is empty."""
    from sed.result import Diarization

    if regions is None:
        return truth.recordings
    shared = truth.recordings.keys() & regions.keys()
    names = regions if shared or not truth.recordings else ()
    return {uri: truth.recordings.get(uri, Diarization(uri, 0.0, [])) for uri in names}


def _regions(uem: str | None) -> dict[str, Any] | None:
    if uem is None:
        return None
    from sed import formats

    return dict(formats.read_uem(uem))


def _plot(truth: Annotations, system: Annotations, path: str, recording: str | None, report: Report) -> None:
    from sed.errors import OptionError
    from sed.plot import save_plot
    from sed.result import Diarization

    names = sorted(truth.recordings)
    name = recording or (names[0] if len(names) == 1 else None)
    if name not in truth.recordings:
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        raise OptionError(
            f"--plot of {name or 'several recordings'}: expected --recording with one of {shown}"
        )
    assert name is not None
    mine = truth.recordings[name]
    theirs = system.recordings.get(name, Diarization(name, mine.duration, []))
    sides = [_as_scored(side, report) for side in (mine, theirs)]
    neutral, region = report.options.neutral, report.regions.get(name, ())
    save_plot(sides[0], sides[1], path, neutral=neutral, region=region)


def _as_scored(side: Diarization, report: Report) -> Diarization:
    """`side` with its emotions renamed as they were scored."""
    return replace(side, segments=[replace(s, emotion=report.emotion(s.emotion)) for s in side])


def _print(reports: list[Report], names: tuple[str, str | None], output: str, per_file: bool) -> None:
    """Print the first report and, if there is a second, their comparison."""
    from sed.scoring.tables import comparison, finite, tables, to_dict

    first, *others = reports
    if output == "json":
        result = to_dict(first, per_file=per_file)
        if others:
            result["against"] = {"hypothesis": names[1], **to_dict(others[0], per_file=per_file)}
            tests = {name: first.compare(others[0], name) for name in first.shared(others[0])}
            result["comparison"] = finite({name: test.to_dict() for name, test in tests.items()})
        print_json(result)
        return
    shown = tables(first, per_file=per_file)
    if others:
        shown.insert(1, comparison(first, others[0], names[1] or ""))
    print_tables(shown, output)


if __name__ == "__main__":
    main()
