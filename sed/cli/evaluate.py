"""``sed-evaluate MANIFEST --tagger MODEL``: a tagger on the utterances of a manifest, measures with intervals out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from sed.cli.base import command
from sed.cli.options import common_options, tagger_options
from sed.cli.printing import output_option, print_json, print_tables
from sed.cli.score import Renaming

if TYPE_CHECKING:
    from sed.corpora.manifest import Utterance
    from sed.emotion.tagger import Tagger
    from sed.scoring.evaluation import Evaluation, Prediction

NAME = "sed-evaluate"
FOLD = "{fold}"


@command(NAME, extras="wavlm")
@click.argument("manifests", metavar="MANIFEST...", nargs=-1, required=True)
@tagger_options
@click.option(
    "--split",
    type=click.Choice(["train", "valid", "test", "all"]),
    help="Evaluate these speakers (default: valid; with --folds: all). Choose on valid, report test.",
)
@click.option("--corpus", "corpora", multiple=True, metavar="NAME", help="Only this corpus; may be repeated.")
@click.option(
    "--labels",
    "rename",
    type=Renaming(),
    help="Rename emotions of the manifest and labels of the tagger, such as excited=happy.",
)
@click.option(
    "--every-label",
    is_flag=True,
    help="Count utterances of emotions that the tagger lacks as errors (default: they are left out and reported).",
)
@click.option(
    "--by",
    multiple=True,
    type=click.Choice(["corpus", "language", "gender", "speaker"]),
    help="Group the figures; may be repeated (default: corpus, language and gender).",
)
@click.option(
    "--folds",
    metavar="NAME",
    help="Also group by fold: session (IEMOCAP's five), speaker, or a pattern whose group is the fold in a speaker's "
    "name. {fold} in --tagger stands for the fold, so that each is evaluated by its own model.",
)
@click.option("--fold", metavar="NAME", help="Only this fold.")
@output_option
@click.option("--plot", metavar="PATH", help="Draw the confusion matrix (png, svg, pdf).")
@click.option("--predictions", metavar="PATH", help="Write one row per utterance (CSV).")
@click.option("--samples", default=1000, show_default=True, metavar="N", help="Bootstrap samples.")
@click.option("--level", default=0.95, show_default=True, metavar="P", help="Level of the intervals.")
@click.option("--seed", default=0, show_default=True, metavar="N", help="Seed of the bootstrap.")
@common_options
def main(
    manifests: tuple[str, ...],
    rename: dict[str, str] | None,
    every_label: bool,
    by: tuple[str, ...],
    folds: str | None,
    output: str,
    plot: str | None,
    predictions: str | None,
    samples: int,
    level: float,
    seed: int,
    quiet: bool,
    **settings: Any,
) -> None:
    """Label each utterance of MANIFEST, as sed-prepare writes it, and compare with its emotion.

    The label of an utterance is that of its mean posterior over the speech. Reported are unweighted average recall
    (UAR), accuracy (weighted), macro and weighted F1, the expected calibration error (ECE), and for models and
    manifests with arousal, valence and dominance their concordance (CCC). Intervals resample speakers.

    \b
    sed-evaluate ravdess.json                        the bundled model on the validation speakers
    sed-evaluate iemocap.json --folds session --tagger 'runs/session{fold}' --labels excited=happy
    sed-evaluate meld.json --tagger runs/meld --split test --every-label      weighted F1 of seven labels
    sed-evaluate corpora/ --plot confusion.png -o json

    Exit status: 0; 1 if a manifest, its audio or a model cannot be read; 2 for wrong usage.
    """
    from sed.errors import OptionError
    from sed.plot import check_path, plot_confusion, save
    from sed.scoring.evaluation import EvaluationOptions, evaluate

    options = EvaluationOptions(samples, level, seed)
    if plot is not None:
        check_path(plot)
    tagger = settings["tagger"] or ""
    if FOLD in tagger and folds is None:
        raise OptionError(f"--tagger {tagger} has {FOLD}: expected --folds as well")
    if settings["fold"] is not None and folds is None:
        raise OptionError("--fold selects one of the folds: expected --folds as well")
    rows = _rows(manifests, settings, folds)
    labels, found = _predict(rows, settings, folds, rename or {}, quiet)
    groups = by or ("corpus", "language", "gender")
    evaluation = evaluate(
        found, labels, by=(*groups, *(["fold"] if folds else [])), every_label=every_label, options=options
    )
    if predictions is not None:
        _write(predictions, found, labels)
    if plot is not None:
        uar = 100 * evaluation.overall.measures["uar"].value
        title = f"{evaluation.overall.utterances} utterances, UAR {uar:.1f} %"
        save(plot_confusion(evaluation.overall.confusion, evaluation.labels, title), plot)
    if evaluation.left_out and not quiet:
        _report_left_out(evaluation, labels)
    _print(evaluation, output)


def _rows(manifests: Sequence[str], settings: dict[str, Any], folds: str | None) -> list[Utterance]:
    """The selected utterances."""
    from sed.corpora.manifest import read_manifest
    from sed.errors import OptionError
    from sed.labelling import by_fold

    split = settings["split"] or ("all" if folds else "valid")
    rows = read_manifest(manifests, () if split == "all" else [split])
    if corpora := settings["corpora"]:
        known = sorted({row.corpus for row in rows})
        if unknown := [name for name in corpora if name not in known]:
            raise OptionError(f"--corpus {unknown[0]}: expected one of {', '.join(known)}")
        rows = [row for row in rows if row.corpus in corpora]
    if (fold := settings["fold"]) is not None:
        parts = by_fold(rows, folds or "")
        if fold not in parts:
            raise OptionError(f"--fold {fold}: expected one of {', '.join(parts)}")
        rows = parts[fold]
    return rows


def _predict(
    rows: Sequence[Utterance],
    settings: dict[str, Any],
    folds: str | None,
    rename: dict[str, str],
    quiet: bool,
) -> tuple[tuple[str, ...], list[Prediction]]:
    """Labels after renaming, and a prediction for each of `rows` with speech."""
    from sed.emotion import load_tagger
    from sed.emotion.priors import reweighted
    from sed.labelling import label_utterances, predictions_by_fold, renamed_labels

    def load(name: str | None) -> Tagger:
        return reweighted(load_tagger(name, settings["threads"]), settings["prior"], settings["sensitivity"])

    name: str | None = settings["tagger"]
    found: list[Prediction] = []
    labels: tuple[str, ...] = ()
    with _ProgressBar(len(rows), quiet) as show:
        if folds is not None and name is not None and FOLD in name:
            template = name
            parts = predictions_by_fold(lambda fold: load(template.replace(FOLD, fold)), rows, folds, rename)
        else:
            tagger = load(name)
            parts = iter([(tagger, label_utterances(tagger, rows, rename=rename, folds=folds))])
        for tagger, own in parts:
            labels = renamed_labels(tagger.labels, rename)
            found += show(own)
    return labels, found


class _ProgressBar:
    """A progress bar on standard error, on a terminal only."""

    def __init__(self, length: int, quiet: bool) -> None:
        self._bar: Any = None
        if not quiet and sys.stderr.isatty():
            self._bar = click.progressbar(length=length, label=NAME, file=sys.stderr)

    def __enter__(self) -> Callable[[Iterable[Any]], Iterator[Any]]:
        if self._bar is not None:
            self._bar.__enter__()
        return self._show

    def __exit__(self, *reason: Any) -> None:
        if self._bar is not None:
            self._bar.__exit__(*reason)

    def _show(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            yield item
            if self._bar is not None:
                self._bar.update(1)


def _report_left_out(evaluation: Evaluation, labels: Sequence[str]) -> None:
    shown = ", ".join(f"{count} {label}" for label, count in evaluation.left_out.items())
    click.echo(
        f"{NAME}: left out {shown}: the tagger has {', '.join(labels)} (--every-label counts them as errors, --labels "
        "renames)",
        err=True,
    )


def _write(path: str, predictions: Sequence[Prediction], labels: Sequence[str]) -> None:
    """One row per utterance: identity, reference, decision, and the mean posterior of each label."""
    import csv
    import io

    from sed.files import save_bytes, to_bytes

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "speaker", "emotion", "recognised", *labels])
    for row in predictions:
        decided = labels[int(row.posterior.argmax())]
        writer.writerow([row.id, row.speaker, row.emotion, decided, *(f"{p:.4f}" for p in row.posterior)])
    save_bytes(to_bytes(text.getvalue()), path)


def _print(evaluation: Evaluation, output: str) -> None:
    from sed.scoring.evaluation_tables import evaluation_tables

    if output == "json":
        print_json(evaluation.to_dict())
    else:
        print_tables(evaluation_tables(evaluation), output)


if __name__ == "__main__":
    main()
