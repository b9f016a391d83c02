"""Several runs of a recipe that differ by their seed: ``--seeds 5`` in, a folder for each and a table of scores out.

Every run is that of ``--seed N --output_folder OUTPUT/seed-N``, so the same command resumes all of them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sed.errors import OptionError
from sed.files import save_bytes

_log = logging.getLogger("sed.training")

SHARED = ("manifests",)
"""Keys whose folder all seeds share."""
_RATES = ("uar", "pattern_error", "script", "eder", "pooled")  # shown in percent
_HIDDEN = ("seed", "recordings")


def seeds_of(value: Any, first: int) -> list[int]:
    """The seeds that ``--seeds`` stands for: a number of them from `first` on, or a list.

    >>> seeds_of(3, 78), seeds_of([1, 5], 78)
    ([78, 79, 80], [1, 5])
    """
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 100:
        return list(range(first, first + value))
    if isinstance(value, list) and value and all(isinstance(each, int) and each >= 0 for each in value):
        return list(dict.fromkeys(value))
    raise OptionError(f"seeds: found {value!r}, expected a number from 1 to 100 or a list of seeds")


def run_seeds(
    values: Mapping[str, Any], changes: Mapping[str, Any], seeds: Any, run: Callable[[dict[str, Any]], Path]
) -> Path:
    """Call `run` with the changes for each seed; returns the path of the table, ``table.md`` in the output folder.

    `values` are the plain values of the recipe with `changes`. The table is written after each run.
    """
    import speechbrain as sb

    if "seed" not in values or not isinstance(values.get("output_folder"), str):
        raise OptionError("--seeds: found a recipe without seed or output_folder, expected one with both")
    folder = Path(values["output_folder"])
    shared = {key: values[key] for key in SHARED if key in values}
    scores: dict[int, dict[str, Any]] = {}
    for seed in seeds_of(seeds, int(values["seed"])):
        output = folder / f"seed-{seed}"
        run({**changes, **shared, "seed": seed, "output_folder": str(output)})
        sb.utils.distributed.ddp_barrier()  # the main process has written the scores
        scores[seed] = json.loads((output / "scores.json").read_text(encoding="utf-8"))
        text = seed_table(scores, values.get("published") or {}, str(values.get("published_score") or ""))
        if sb.utils.distributed.if_main_process():
            save_bytes(text.encode(), folder / "table.md")
            _log.info("%s", text)
    return folder / "table.md"


def seed_table(
    scores: Mapping[int, Mapping[str, Any]],
    published: Mapping[str, Sequence[float]] | None = None,
    published_score: str = "",
) -> str:
    """A Markdown table: a row for each seed, mean and sample deviation, and `published` values of one score.

    >>> print(seed_table({1: {"valid": {"uar": 0.5}}, 2: {"valid": {"uar": 0.75}}}, {"paper": [60, 2]}, "valid.uar"))
    | seed | valid uar % |
    |---|---:|
    | 1 | 50.0 |
    | 2 | 75.0 |
    | mean ± deviation | 62.5 ± 17.7 |
    | paper | 60.0 ± 2.0 |
    <BLANKLINE>
    """
    flat = {seed: dict(_numbers(found)) for seed, found in scores.items()}
    names = [name for name in next(iter(flat.values())) if all(name in found for found in flat.values())]
    names.sort(key=lambda name: name != published_score)  # the published score first
    percent = [name.rpartition(".")[2] in _RATES for name in names]
    heads = [name.replace(".", " ") + " %" * is_rate for name, is_rate in zip(names, percent, strict=True)]

    def shown(value: float, is_rate: bool) -> str:
        return f"{100 * value:.1f}" if is_rate else f"{value:.3f}"

    rows = [["seed", *heads]]
    for seed, found in flat.items():
        rows.append([str(seed), *(shown(found[n], p) for n, p in zip(names, percent, strict=True))])
    columns = [np.array([found[name] for found in flat.values()]) for name in names]
    if len(flat) > 1:
        cells = [
            f"{shown(float(c.mean()), p)} ± {shown(float(c.std(ddof=1)), p)}"
            for c, p in zip(columns, percent, strict=True)
        ]
        rows.append(["mean ± deviation", *cells])
    for title, (mean, deviation) in (published or {}).items():
        value = f"{mean:.1f} ± {deviation:.1f}"
        rows.append([title, *(value if name == published_score else "-" for name in names)])
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---|" + "---:|" * len(names), *lines[1:]]) + "\n"


def _numbers(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and key not in _HIDDEN and not key.endswith("_seconds"):
            yield f"{prefix}{key}", float(value)
