"""What ``sed-score`` writes on standard error: what was left out of the figures, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sed.scoring.loading import Annotations
    from sed.scoring.report import Report


def complain(sources: list[Annotations]) -> bool:
    """Name the files that could not be read; whether there were any."""
    failures = {path: text for source in sources for path, text in source.failures.items()}
    for text in failures.values():
        click.echo(f"sed-score: {text}", err=True)
    return bool(failures)


def unpaired(report: Report, system: str | None) -> bool:
    """Name the recordings without a partner, of the `system` where there are two; whether there were any."""
    whose = "" if system is None else f"{system}: "
    for names, text in (
        (report.missing, "no hypothesis, so scored as empty"),
        (report.extra, "no reference, so not scored"),
        (report.outside_uem, "not in the UEM, so not scored"),
        (
            report.without_reference,
            "in the UEM without a reference, so scored as recordings in which nothing happens",
        ),
    ):
        if names:
            click.echo(f"sed-score: {whose}{text}: {', '.join(names)}", err=True)
    return bool(report.missing or report.extra or report.outside_uem)


def not_computed(report: Report, asked: tuple[str, ...]) -> bool:
    """Name what has no figure since nothing is scored, in all or in a recording; whether that is a failure."""
    for reason in dict.fromkeys(report.unscored.values()):
        names = ", ".join(name for name, why in report.unscored.items() if why == reason)
        click.echo(f"sed-score: no second is scored ({reason}) of {names}", err=True)
    reasons = report.not_computed
    for reason in dict.fromkeys(reasons.values()):
        metrics = ", ".join(metric for metric, why in reasons.items() if why == reason)
        click.echo(f"sed-score: not computed: {metrics} ({reason})", err=True)
    empty = any(metric.is_empty for metric in report.metrics.values())
    return bool(report.unscored or empty or set(asked) & reasons.keys())


def skipped(reports: list[Report], names: tuple[str, str | None]) -> None:
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
