"""``sed-prepare CORPUS SOURCE -o manifest.json``: a corpus as published -> a manifest for training and scoring."""

from __future__ import annotations

from typing import Any

import click

from sed.cli.base import command
from sed.cli.score import Renaming


def _list(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    from sed.corpora.readers import PREPARERS

    for preparer in PREPARERS.values():
        click.echo(f"{preparer.name:9}{preparer.title}")
        for what, text in (
            ("languages", preparer.languages),
            ("licence", preparer.licence),
            ("published", preparer.address),
            ("splits", preparer.splits),
        ):
            click.echo(f"{'':9}{what}: {text}")
    context.exit()


@command("sed-prepare")
@click.argument("corpus")
@click.argument("source", type=click.Path())
@click.option("-o", "--output", required=True, metavar="PATH", help="The manifest to write (.json).")
@click.option(
    "--split",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "speakers", "train", "valid", "test"]),
    help="auto: what --list tells; speakers: drawn by the seed, each on one side; else one for all.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), metavar="N", help="Of the draw of speakers.  [default: 0]"
)
@click.option("--valid", type=float, metavar="P", help="Share of speakers to validate on.  [default: 0.1]")
@click.option("--test", type=float, metavar="P", help="Share of speakers to test on.  [default: 0.2]")
@click.option("--fold", type=int, metavar="N", help="The session of IEMOCAP that is test.")
@click.option(
    "--rename", type=Renaming(), help="Call emotions otherwise, such as excited=happy,amused=happy."
)
@click.option("--language", "languages", multiple=True, metavar="CODE", help="Only this one, such as en.")
@click.option("--corpus-name", "name", metavar="NAME", help="What the manifest calls the corpus.")
@click.option("--strict", is_flag=True, help="Fail if anything is missing, instead of leaving it out.")
@click.option("-q", "--quiet", is_flag=True, help="Errors only.")
@click.option("--list", is_flag=True, is_eager=True, expose_value=False, callback=_list, help="The corpora.")
def main(
    corpus: str,
    source: str,
    output: str,
    rename: dict[str, str] | None,
    name: str | None,
    quiet: bool,
    **settings: Any,
) -> None:
    """Check the corpus at SOURCE, a folder or an archive as published, and write its manifest.

    Audio of a folder stays where it is; what is needed of an archive is unpacked beside the manifest. What is
    missing or cannot be read is left out, and told.

    \b
    sed-prepare ravdess Audio_Speech_Actors_01-24.zip -o ravdess.json
    sed-prepare iemocap IEMOCAP_full_release -o fold1.json --fold 1 --rename excited=happy
    sed-prepare esd "Emotion Speech Dataset" -o esd.json --language en
    sed-prepare csv calls.csv -o calls.json --split test
    sed-prepare zed ZED -o zed.json           and then: sed-score zed.json out/ -m eder

    Exit status: 0; 1 if there is no manifest; 2 for wrong usage.
    """
    from sed.corpora.readers import Options, find_preparer, prepare

    options = Options(
        rename=rename or {}, corpus=name, **{**settings, "languages": tuple(settings["languages"])}
    )
    report = prepare(find_preparer(corpus), source, output, options)
    if not quiet:
        for problem in report.problems:
            click.echo(f"sed-prepare: {problem}", err=True)
        click.echo(report.summary)


if __name__ == "__main__":
    main()
