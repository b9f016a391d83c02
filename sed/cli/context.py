"""``sed-context``: labelled conversations in, a context for ``sed-run --context`` out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sed.cli.base import command

if TYPE_CHECKING:
    from sed.emotion.context import Context, Turn

NAME = "sed-context"


@command(NAME)
@click.argument("tables", metavar="TABLE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="Write this file (JSON)."
)
@click.option(
    "--strength",
    default=0.3,
    show_default=True,
    metavar="X",
    help="Factor on the context's share when emotions are decoded; 1 suits a tagger whose errors are independent.",
)
@click.option("-q", "--quiet", is_flag=True, help="Show errors only.")
def main(tables: tuple[Path, ...], output: Path, strength: float, quiet: bool) -> None:
    """Learn from each TABLE which emotion follows on which, within and between speakers.

    \b
    sed-context train_sent_emo.csv -o context.json        MELD's own table
    sed-context corrected/*.rttm -o context.json          annotations, or corrected results
    sed-run call.wav --context context.json -o rttm

    A table (csv, tsv) has a row per turn with the columns conversation, speaker and emotion, and may have start.

    For each table, or with one table for each fifth of its conversations, the command states how much more probable its
    emotions are in the context that the others give, in nats per turn: 0 or less means that a context does not help.
    """
    from sed.corpora.dialogues import read_conversations
    from sed.emotion.context import learn_context

    parts = [(str(table), read_conversations(table)) for table in tables]
    context = learn_context([turns for _, conversations in parts for turns in conversations], strength)
    context.save(output)
    if quiet:
        return
    click.echo(
        f"{output}: {context.conversations} conversations, {context.turns} turns, {', '.join(context.labels)}"
    )
    for name, gain in held_out(parts if len(parts) > 1 else fifths(*parts[0])):
        click.echo(f"  {name}: {gain:+.3f} nats per turn with what the others give")


def fifths(name: str, conversations: Sequence[Sequence[Turn]]) -> list[tuple[str, list[Sequence[Turn]]]]:
    """The conversations of one table in five parts, by turns.

    >>> [(name, len(part)) for name, part in fifths("a", [[]] * 7)][:2]
    [('a, part 1 of 5', 2), ('a, part 2 of 5', 2)]
    """
    return [(f"{name}, part {n + 1} of 5", list(conversations[n::5])) for n in range(5)]


def held_out(parts: Sequence[tuple[str, Sequence[Sequence[Turn]]]]) -> list[tuple[str, float]]:
    """For each part its name and the mean gain of its turns, in nats, with the context of all other parts; without
    parts that nothing is known about."""
    from sed.emotion.context import learn_context, log_likelihood

    found = []
    for number, (name, own) in enumerate(parts):
        rest = [turns for other, (_, part) in enumerate(parts) if other != number for turns in part]
        if not any(rest):
            continue
        context: Context = learn_context(rest)
        scores = [log_likelihood(context, turns) for turns in own]
        if total := sum(count for _, count in scores):
            found.append((name, sum(score for score, _ in scores) / total))
    return found


if __name__ == "__main__":
    main()
