"""``sed-simulate MANIFEST... -o DIR --conversations N``: simulate conversations or transition patterns."""

from __future__ import annotations

from typing import Any

import click

from sed.cli.base import command
from sed.cli.options import on_command_line


class PositiveIntegers(click.ParamType):
    """A comma-separated list of positive integers such as ``2,3,4``."""

    name = "N,N,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Parse the list."""
        if isinstance(value, tuple):
            return value
        parts = [part.strip() for part in str(value).split(",")]
        if not all(part.isdigit() and int(part) >= 1 for part in parts):
            self.fail(f"{value!r}: expected positive integers such as 2,3,4", param, ctx)
        return tuple(int(part) for part in parts)


@command("sed-simulate")
@click.argument("manifests", nargs=-1, required=True, metavar="MANIFEST...", type=click.Path())
@click.option("-o", "--output", required=True, metavar="DIR", help="New or empty output folder.")
@click.option("--conversations", type=click.IntRange(min=1), metavar="N", help="Number of conversations.")
@click.option(
    "--patterns", type=click.IntRange(min=1), metavar="N", help="Number of clips in the four patterns."
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(min=0),
    metavar="N",
    help="Random seed; the same seed gives the same bytes.",
)
@click.option("--split", default="train", show_default=True, help="Split whose speakers are used.")
@click.option(
    "--speakers",
    default="2,3,4",
    show_default=True,
    type=PositiveIntegers(),
    help="Speakers per conversation, used in turn.",
)
@click.option(
    "--duration", default=60.0, show_default=True, metavar="S", help="Minimum seconds of a conversation."
)
@click.option("--room", type=click.FloatRange(0, 1), metavar="P", help="Share of conversations in a room.")
@click.option("--noise", nargs=2, type=float, metavar="LOW HIGH", help="Range of speech-to-noise ratios, dB.")
@click.option(
    "--line", type=click.Choice(["wide", "telephone", "opus"]), help="Use this line for all conversations."
)
@click.option("--dry", is_flag=True, help="Simulate no room, noise or line.")
@click.option(
    "--format",
    "kind",
    default="flac",
    show_default=True,
    type=click.Choice(["flac", "wav"]),
    help="Audio format.",
)
@click.option("-q", "--quiet", is_flag=True, help="Show errors only.")
def main(
    manifests: tuple[str, ...],
    output: str,
    conversations: int | None,
    patterns: int | None,
    quiet: bool,
    **settings: Any,
) -> None:
    """Simulate recordings from the utterances of MANIFEST (as written by sed-prepare).

    Conversations simulate turn-taking, overlap, pauses, emotion transitions, loudness, rooms, noise, and telephone or
    codec lines. Patterns are the transition patterns of the paper: neutral-emotion, emotion-neutral,
    neutral-emotion-neutral and emotion, of one speaker, without room, noise or line. The output in DIR is audio/,
    rttm/, manifest.json and options.json.

    \b
    sed-simulate ravdess.json nemo.json -o calls --conversations 100 --seed 1
    sed-simulate ravdess.json -o clips --patterns 400 --split test
    sed-run calls/audio/*.flac -d out; sed-score calls/rttm out

    Exit status: 0; 1 if nothing could be simulated; 2 for wrong usage.
    """
    from sed.simulation.writing import write_conversations, write_patterns

    if (conversations is None) == (patterns is None):
        raise click.UsageError("expected either --conversations N or --patterns N")
    if patterns is not None and (
        unused := on_command_line("speakers", "duration", "room", "noise", "line", "dry")
    ):
        raise click.UsageError(
            f"--{unused[0]} cannot be combined with --patterns: it applies to --conversations"
        )
    sources = manifests[0] if len(manifests) == 1 else manifests
    common = {"seed": settings["seed"], "kind": settings["kind"]}
    if patterns is not None:
        rows = write_patterns(sources, output, settings["split"], patterns, **common)
    else:
        assert conversations is not None
        rows = write_conversations(
            sources,
            output,
            settings["split"],
            conversations,
            options=_options(settings),
            sizes=settings["speakers"],
            **common,
        )
    if not quiet:
        hours = sum(row.duration or 0.0 for row in rows) / 3600
        click.echo(f"{output}: {len(rows)} recordings, {hours:.2f} h")


def _options(settings: dict[str, Any]) -> Any:
    from sed.errors import OptionError
    from sed.simulation.conversation import ConversationOptions

    given: dict[str, Any] = {"duration": settings["duration"]}
    if settings["dry"]:
        if settings["room"] or settings["noise"] or settings["line"]:
            raise OptionError("--dry cannot be combined with --room, --noise or --line")
        given |= {"room": 0.0, "noise": None, "lines": {"wide": 1.0}}
    if settings["room"] is not None:
        given["room"] = settings["room"]
    if settings["noise"]:
        given["noise"] = settings["noise"]
    if settings["line"]:
        given["lines"] = {settings["line"]: 1.0}
    return ConversationOptions(**given)


if __name__ == "__main__":
    main()
