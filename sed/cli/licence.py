"""The notice about the licence of the default emotion model, so that no company uses it by accident."""

from __future__ import annotations

import os

import click

from sed.emotion.bundled import FREE, edition_of

VARIABLE = "SED_LICENCE_NOTICE"


def licence_notice(command: str, tagger: str | None, quiet: bool) -> None:
    """Print one line on standard error if `command` is about to use a non-commercial model that nobody has named.

    `tagger` is the value of ``--tagger``. Naming a model, ``--quiet`` and ``SED_LICENCE_NOTICE=0`` silence it.
    """
    edition = edition_of(tagger)
    if (
        tagger is not None
        or quiet
        or edition is None
        or edition.commercial
        or os.environ.get(VARIABLE) == "0"
    ):
        return
    click.echo(
        f"{command}: the default emotion model is {edition.licence}, not for commercial use; --tagger {FREE.name} is"
        f" free for every use (--tagger {edition.name} or {VARIABLE}=0 hides this line)",
        err=True,
    )
