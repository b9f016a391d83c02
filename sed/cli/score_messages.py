"""Messages of ``sed-score`` on standard error: what was not scored, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sed.scoring.loading import Annotations
    from sed.scoring.report import Report


def report_failures(sources: list[Annotations]) -> bool:
    """Report the files that could not be read; returns whether there were any."""
    failures = {path: text for source in sources for path, text in source.failures.items()}
    for text in failures.values():
        click.echo(f"sed-score: {text}", err=True)
    return bool(failures)


def report_unpaired(report: Report, system: str | None) -> bool:
    """Report the recordings without a counterpart, for `system` if there are two; returns whether that is a failure."""
    prefix = "" if system is None else f"{system}: "
    for names, text in (
        (report.missing, "no hypothesis, scored as empty"),
        (report.extra, "no reference, not scored"),
        (report.outside_uem, "not in the UEM, not scored"),
        (
            report.without_reference,
            "in the UEM without a reference, scored as an empty reference",
        ),
    ):
        if names:
            click.echo(f"sed-score: {prefix}{text}: {', '.join(names)}", err=True)
    return bool(report.missing or report.extra or report.outside_uem)


def report_not_computed(report: Report, requested: tuple[str, ...]) -> bool:
    """Report recordings and metrics without a value since no time is scored; returns whether that is a failure."""
    for reason in dict.fromkeys(report.unscored.values()):
        names = ", ".join(name for name, why in report.unscored.items() if why == reason)
        click.echo(f"sed-score: no second is scored ({reason}) of {names}", err=True)
    reasons = report.not_computed
    for reason in dict.fromkeys(reasons.values()):
        metrics = ", ".join(metric for metric, why in reasons.items() if why == reason)
        click.echo(f"sed-score: not computed: {metrics} ({reason})", err=True)
    empty = any(metric.is_empty for metric in report.metrics.values())
    return bool(report.unscored or empty or set(requested) & reasons.keys())


def report_skipped(reports: list[Report], names: tuple[str, str | None]) -> None:
    """Report which metrics the annotations do not allow, and why."""
    lines: dict[str, None] = {}
    for report, name in zip(reports, names, strict=False):
        skipped = report.skipped or {}
        for reason in dict.fromkeys(skipped.values()):
            metrics = ", ".join(metric for metric, why in skipped.items() if why == reason)
            reason = reason.replace("the hypotheses", f"the hypotheses of {name}")
            lines[f"sed-score: not computed: {metrics} ({reason})"] = None
    for line in lines:
        click.echo(line, err=True)
