"""``sed-prepare CORPUS SOURCE -o manifest.json``: a published corpus in, a manifest for training and scoring out."""

from __future__ import annotations

from typing import Any

import click

from sed.cli.base import command
from sed.cli.score import Renaming


def _list_corpora(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if not value or context.resilient_parsing:
        return
    from sed.corpora.readers import READERS

    for reader in READERS.values():
        click.echo(f"{reader.name:9}{reader.title}")
        for key, text in (
            ("languages", reader.languages),
            ("licence", reader.licence),
            ("published", reader.url),
            ("splits", reader.split_summary),
        ):
            click.echo(f"{'':9}{key}: {text}")
    context.exit()


@command("sed-prepare")
@click.argument("corpus")
@click.argument("source", type=click.Path())
@click.option("-o", "--output", required=True, metavar="PATH", help="The manifest to write (.json).")
@click.option(
    "--split",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "speakers", "balanced", "train", "valid", "test"]),
    help="auto: as shown by --list; speakers: drawn at random, each in one split; balanced: the same, with the labels "
    "of each split in about the same proportions; other: one split for all.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), metavar="N", help="Seed of the speaker draw.  [default: 0]"
)
@click.option("--valid", type=float, metavar="P", help="Share of validation speakers.  [default: 0.1]")
@click.option("--test", type=float, metavar="P", help="Share of test speakers.  [default: 0.2]")
@click.option("--fold", type=int, metavar="N", help="Test session of IEMOCAP.")
@click.option("--rename", type=Renaming(), help="Rename emotions, such as excited=happy,amused=happy.")
@click.option(
    "--language", "languages", multiple=True, metavar="CODE", help="Keep only this language, such as en."
)
@click.option(
    "--text-labels",
    metavar="PATH",
    help="Label utterances without emotion by their text: a CSV with word, emotion and weight, or the folder of a text "
    "classifier of transformers.",
)
@click.option("--corpus-name", "name", metavar="NAME", help="Name of the corpus in the manifest.")
@click.option(
    "--strict", is_flag=True, help="Fail if anything is missing or invalid, instead of omitting it."
)
@click.option("-q", "--quiet", is_flag=True, help="Show errors only.")
@click.option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_corpora,
    help="List the corpora and exit.",
)
def main(
    corpus: str,
    source: str,
    output: str,
    rename: dict[str, str] | None,
    name: str | None,
    quiet: bool,
    **settings: Any,
) -> None:
    """Check the published corpus at SOURCE, a folder or an archive, and write its manifest.

    Audio in a folder stays there; audio in an archive is extracted beside the manifest. Whatever is missing or
    unreadable is omitted and reported.

    \b
    sed-prepare ravdess Audio_Speech_Actors_01-24.zip -o ravdess.json
    sed-prepare iemocap IEMOCAP_full_release -o fold1.json --fold 1 --rename excited=happy
    sed-prepare esd "Emotion Speech Dataset" -o esd.json --language en
    sed-prepare csv calls.csv -o calls.json --split test
    sed-prepare csv talks.csv -o talks.json --text-labels words.csv
    sed-prepare zed ZED -o zed.json           and then: sed-score zed.json out/ -m eder

    Exit status: 0; 1 if no manifest was written; 2 for wrong usage.
    """
    from sed.corpora.readers import Options, find_reader, prepare

    options = Options(
        rename=rename or {}, corpus=name, **{**settings, "languages": tuple(settings["languages"])}
    )
    report = prepare(find_reader(corpus), source, output, options)
    if not quiet:
        for problem in report.problems:
            click.echo(f"sed-prepare: {problem}", err=True)
        click.echo(report.summary)


if __name__ == "__main__":
    main()
