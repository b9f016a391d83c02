"""A `Report` in; text tables (rates in per cent) or plain data for JSON (rates from 0 to 1) out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sed.scoring.events import DetectionScore
from sed.scoring.rates import EmotionErrorRate, ErrorRate, JointErrorRate, SpeechBrainErrorRate
from sed.scoring.report import MetricReport, Report

TITLES = {
    "eder": "EDER",
    "der": "DER",
    "joint": "Speaker + emotion",
    "events": "Event F1",
    "boundaries": "Boundary error",
}
NO_LABEL = "(none)"
NOT_COMPUTED = "not computed"


@dataclass(frozen=True)
class Table:
    """A title, column headers and rows of text; the first column is a name, the others are numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """The table in GitHub's Markdown.

        >>> print(Table("T", ("a", "b"), (("x|y", "1"),)).markdown())
        **T**
        <BLANKLINE>
        | a | b |
        |---|---:|
        | x\\|y | 1 |
        """
        head = "|---|" + "---:|" * (len(self.columns) - 1)
        lines = [_markdown_row(self.columns), head, *map(_markdown_row, self.rows)]
        return "\n".join([f"**{self.title}**", "", *lines])

    def plain(self) -> str:
        """The table with columns aligned by blanks; wide characters count as two cells.

        >>> print(Table("T", ("a", "b"), (("激怒", "1"), ("sad", "2"))).plain())
        T
        a     b
        激怒  1
        sad   2
        """
        from rich.cells import cell_len

        widths = [max(map(cell_len, column)) for column in zip(self.columns, *self.rows, strict=True)]
        lines = []
        for row in (self.columns, *self.rows):
            blanks = [" " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)]
            padded = [blank + cell for cell, blank in zip(row[1:], blanks[1:], strict=True)]
            lines.append("  ".join([row[0] + blanks[0], *padded]).rstrip())
        return "\n".join([self.title, *lines])


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def percent(rate: float | None) -> str:
    """A rate in per cent with two decimals; a dash for None and nan.

    >>> percent(0.27049), percent(float("nan"))
    ('27.05 %', '-')
    """
    return "-" if rate is None or math.isnan(rate) else f"{100 * rate:.2f} %"


def seconds(value: float, digits: int = 2) -> str:
    """Seconds with `digits` decimals; a dash for nan."""
    return "-" if math.isnan(value) else f"{value:.{digits}f} s"


def _interval(metric: MetricReport, macro: bool) -> str:
    found = metric.macro_interval if macro else metric.interval
    method = metric.macro_interval_method if macro else metric.interval_method
    if found is None or math.isnan(found.low):
        return "-"
    if metric.name == "boundaries":
        return f"{found.low:.3f} - {found.high:.3f}"
    return f"{100 * found.low:.2f} - {100 * found.high:.2f}" + (" (exact)" if method == "exact" else "")


def tables(report: Report, *, per_file: bool = False) -> list[Table]:
    """The tables of `report`, the most important first; `per_file` adds one row per recording."""
    result = [_summary(report)]
    computed = {name: metric for name, metric in report.metrics.items() if metric.not_computed is None}
    result += [_parts(m) for m in computed.values() if isinstance(m.pooled, ErrorRate)]
    for metric in computed.values():
        if isinstance(metric.pooled, EmotionErrorRate):
            result += [_by_emotion(metric.pooled), _confusion(metric.pooled)]
    if "events" in computed:
        result.append(_events(report["events"].pooled))
    if "boundaries" in computed:
        found = report["boundaries"].pooled
        rows = [_detection(f"within {collar:g} s", score) for collar, score in found.within.items()]
        result.append(_detections("Boundaries", rows))
    if per_file:
        result.append(_files(report))
    return [table for table in result if table.rows]


def comparison(first: Report, second: Report, name: str) -> Table:
    """The paired test of `first` against `second`, a system called `name`, for each metric that both reports have."""
    rows = []
    for metric in first.shared(second):
        test = first.compare(second, metric)
        scale, show = (1, seconds) if metric == "boundaries" else (100, percent)
        interval, p_value = "-", "-"
        if not math.isnan(test.difference):
            p_value = f"{test.p_value:.4f}"
        if not math.isnan(test.interval.low):
            interval = f"{scale * test.interval.low:.2f} to {scale * test.interval.high:.2f}"
        values = (*(_value(report[metric], show) for report in (first, second)), show(test.difference))
        rows.append((TITLES[metric], *values, interval, p_value))
    columns = ("", "this", "other", "other - this", "interval", "p")
    unit = "recording" if not _grouped(first) else "group"
    return Table(f"Against {name}, paired by {unit}", columns, tuple(rows))


def _grouped(report: Report) -> bool:
    return next(iter(report.metrics.values())).groups is not None


def _value(metric: MetricReport, show: Callable[[float], str]) -> str:
    return NOT_COMPUTED if metric.not_computed else show(metric.value)


def _summary(report: Report) -> Table:
    level = f"{100 * report.options.level:g} %"
    rows = []
    for name, metric in report.metrics.items():
        value = _value(metric, (lambda v: seconds(v, 3)) if name == "boundaries" else percent)
        intervals = [_interval(metric, macro) for macro in (False, True)]
        rows.append((TITLES[name], value, intervals[0], percent(metric.macro), intervals[1]))
    first = next(iter(report.metrics.values()))
    title = _counted(len(first.files), "recording")
    units = _counted(first.units, "group" if _grouped(report) else "recording")
    if _grouped(report):
        title += f" in {units}"
    if not first.units:
        title += ": nothing is scored"
    elif first.units < 2:
        title += f": no interval can be computed from {units}"
    else:
        title += f", bootstrap intervals {'over groups ' if _grouped(report) else ''}at {level}"
    return Table(title, ("", "pooled", "interval", "mean of recordings", "interval"), tuple(rows))


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"


def _parts(metric: MetricReport) -> Table:
    pooled = metric.pooled
    if isinstance(pooled, SpeechBrainErrorRate):
        names: tuple[str, ...] = ()
    else:
        names = (*pooled.ERRORS, "correct")
    rows = []
    for name in names:
        value = getattr(pooled, name)
        rows.append((name.replace("_", " "), seconds(value), percent(_share(value, pooled.total))))
    if names:
        rows.append(("total", seconds(pooled.total), percent(_share(pooled.total, pooled.total))))
    if isinstance(pooled, JointErrorRate):
        for who in ("detection", "speaker", "emotion"):
            rate = getattr(pooled, f"{who}_rate")
            rows.append((f"got wrong by the {who}", seconds(rate * pooled.total), percent(rate)))
    return Table(TITLES[metric.name] + " in parts", ("", "time", "of total"), tuple(rows))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _by_emotion(rate: EmotionErrorRate) -> Table:
    rows = []
    for label in rate.matrix:
        s = rate.matrix.scores(label)
        numbers = [seconds(s[name]) for name in ("reference", "hypothesis")]
        quotients = [percent(s[name]) for name in ("precision", "recall", "f1", "error_rate")]
        rows.append((label, *numbers, *quotients))
    columns = ("emotion", "reference", "hypothesis", "precision", "recall", "F1", "error rate")
    return Table("By emotion, by time", columns, tuple(rows))


def _confusion(rate: EmotionErrorRate) -> Table:
    matrix = rate.matrix
    names: list[str | None] = list(matrix.labels)
    outside = matrix.seconds[-1].sum() + matrix.seconds[:, -1].sum() > 0
    if outside:
        names.append(None)
    rows = tuple((row or NO_LABEL, *(f"{matrix[row, column]:.2f}" for column in names)) for row in names)
    columns = ("reference \\ hypothesis", *(name or NO_LABEL for name in names))
    return Table("Confusion in seconds", columns, rows)


def _detection(name: str, score: DetectionScore) -> tuple[str, ...]:
    quotients = [percent(value) for value in (score.precision, score.recall, score.f1)]
    return (name, *map(str, (score.reference, score.hypothesis, score.found)), *quotients)


def _detections(title: str, rows: Iterable[tuple[str, ...]]) -> Table:
    columns = ("", "reference", "hypothesis", "found", "precision", "recall", "F1")
    return Table(title, columns, tuple(rows))


def _events(score: DetectionScore) -> Table:
    rows = [_detection(label, part) for label, part in score.by_label.items()]
    rows.append(_detection("all", score))
    rows.append(("mean of emotions", "", "", "", "", "", percent(score.macro_f1)))
    return _detections("Events", rows)


def _files(report: Report) -> Table:
    columns, cells = ["recording"], []
    for name, metric in report.metrics.items():
        columns.append(TITLES[name])
        if name == "boundaries":
            cells.append([seconds(s.mean_error) for s in metric.files.values()])
        else:
            values = (s.rate if isinstance(s, ErrorRate) else s.f1 for s in metric.files.values())
            cells.append([percent(value) for value in values])
    recordings = next(iter(report.metrics.values())).files
    rows = [*zip(recordings, *cells, strict=True)]
    rows += [(uri, *(NOT_COMPUTED for _ in cells)) for uri in report.unscored]
    return Table("By recording", tuple(columns), tuple(rows))


def to_dict(report: Report, *, per_file: bool = False) -> dict[str, Any]:
    """`report` as plain data for JSON: rates from 0 to 1, times in seconds, None for undefined values."""
    result: dict[str, Any] = {
        "missing": list(report.missing),
        "extra": list(report.extra),
        "outside_uem": list(report.outside_uem),
        "without_reference": list(report.without_reference),
        "unscored": dict(report.unscored),
        "skipped": dict(report.skipped or {}),
        "not_computed": report.not_computed,
        "labels": {
            "renamed": dict(report.spelling.renamed),
            "only_reference": list(report.spelling.only_reference),
            "only_hypothesis": list(report.spelling.only_hypothesis),
        },
        "level": report.options.level,
        "collar": report.options.collar,
        "seed": report.options.seed,
        "metrics": {},
    }
    for name, metric in report.metrics.items():
        row = {
            "value": metric.value,
            "interval": list(metric.interval),
            "interval_method": metric.interval_method,
            "recordings": len(metric.files),
            "pooled": metric.pooled.to_dict(),
        }
        if metric.groups is not None:
            row["groups"] = metric.units
        if metric.macro is not None and metric.macro_interval is not None:
            row |= {"macro": metric.macro, "macro_interval": list(metric.macro_interval)}
            row["macro_interval_method"] = metric.macro_interval_method
        if isinstance(metric.pooled, EmotionErrorRate):
            matrix = metric.pooled.matrix
            row["by_label"] = {label: matrix.scores(label) for label in matrix}
            row["confusion_matrix"] = matrix.to_dict()
        if per_file:
            row["files"] = {uri: part.to_dict() for uri, part in metric.files.items()}
            row["files"] |= dict.fromkeys(report.unscored)
        result["metrics"][name] = row
    if per_file:
        result["regions"] = {uri: [list(span) for span in spans] for uri, spans in report.regions.items()}
    return finite(result)


def finite(value: Any) -> Any:
    """`value` with None in place of numbers that are not finite, which JSON cannot represent."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
