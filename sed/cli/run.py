"""``sed-run``: recordings in, who felt what and when out."""

from __future__ import annotations

import logging
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import click

from sed.cli.options import common_options, diarizer_options

if TYPE_CHECKING:
    from sed.cli.inputs import Input
    from sed.cli.outputs import Outputs
    from sed.pipeline import EmotionDiarizer

FAILED, USAGE = 1, 2


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("inputs", nargs=-1, required=True, metavar="AUDIO...")
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="FORMAT|PATH",
    help="rttm (default), json, jsonl, seglst, csv, audacity, textgrid, webvtt, ..., or a path whose suffix picks "
    "the format; several with commas.",
)
@click.option("-d", "--directory", metavar="DIR", help="Write a file a recording into this folder.")
@click.option(
    "--json-lines", is_flag=True, help="One JSON object a recording on standard output, as they finish."
)
@click.option("--posteriors", is_flag=True, help="Put the frame posteriors into json and jsonl, too.")
@click.option(
    "--speech", metavar="RTTM", help="Take turns and speakers from this file instead of finding them."
)
@diarizer_options
@common_options
def main(
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    directory: str | None,
    json_lines: bool,
    posteriors: bool,
    speech: str | None,
    quiet: bool,
    **settings: Any,
) -> None:
    """Tell who felt what, and when, in each AUDIO: files, folders, globs, or - for standard input.

    \b
    sed-run call.wav -o rttm               to standard output
    sed-run calls/ -o rttm,json -d out/    two files a recording
    sed-run call.wav -o call.vtt           the suffix picks the format
    sed-run stereo.wav --channels split    one speaker a channel

    Exit status: 0; 1 if a recording failed (the others are done); 2 for wrong usage.
    """
    from sed.cli.inputs import find_inputs
    from sed.cli.outputs import Outputs
    from sed.errors import SedError
    from sed.live.devices import quiet_libraries

    click.get_current_context().with_resource(quiet_libraries())  # libmpg123 has notes on every MP3
    logging.basicConfig(level=logging.ERROR if quiet else logging.WARNING, format="sed-run: %(message)s")
    try:
        recordings = find_inputs(inputs)
        plan = Outputs.parse([*outputs, *(["jsonl"] if json_lines else [])], directory, len(recordings))
        turns = _reference_turns(speech, recordings)
        from sed.pipeline import EmotionDiarizer

        diarizer = EmotionDiarizer(**settings)
    except SedError as error:
        click.echo(f"sed-run: {error}", err=True)
        sys.exit(USAGE)
    failures = _run_all(diarizer, recordings, plan, turns, posteriors, quiet)
    if failures:
        if len(recordings) > 1:
            click.echo(f"sed-run: {failures} of {len(recordings)} recordings failed", err=True)
        sys.exit(FAILED)


def _run_all(
    diarizer: EmotionDiarizer,
    recordings: list[Input],
    plan: Outputs,
    turns: dict[str, Any] | None,
    posteriors: bool,
    quiet: bool,
) -> int:
    from dataclasses import replace

    from sed.errors import SedError
    from sed.speakers import ReferenceTurns

    failures = 0
    with _progress(len(recordings), quiet) as bar:
        for number, recording in enumerate(recordings):
            try:
                reference = None if turns is None else ReferenceTurns(turns[recording.uri])
                result = diarizer(recording.path, uri=recording.uri, turns=reference, progress=bar.at(number))
                plan.write(result if posteriors else replace(result, posteriors=None), recording, sys.stdout)
                sys.stdout.flush()
            except BrokenPipeError:  # the reader of standard output has gone: nothing left to do
                sys.stderr.close()
                sys.exit(FAILED)
            except (SedError, OSError, MemoryError) as error:
                failures += 1
                text = (
                    str(error)
                    if isinstance(error, SedError)
                    else f"{recording.path}: {error or 'out of memory'}"
                )
                bar.say(f"sed-run: {text}")
    return failures


def _reference_turns(speech: str | None, recordings: list[Input]) -> dict[str, Any] | None:
    if speech is None:
        return None
    from sed import formats
    from sed.errors import OptionError

    turns = {d.uri: d for d in formats.read_all(speech)}
    if len(turns) == 1 and len(recordings) == 1:  # one recording, one reference: whatever its name
        return {recordings[0].uri: next(iter(turns.values()))}
    if missing := [r.uri for r in recordings if r.uri not in turns]:
        raise OptionError(
            f"{speech}: expected turns for {', '.join(missing)}, found {', '.join(turns) or 'none'}"
        )
    return turns


def _progress(recordings: int, quiet: bool) -> AbstractContextManager[Any]:
    """A progress bar on a terminal; elsewhere nothing but the messages."""
    if quiet or not sys.stderr.isatty():
        return nullcontext(_Silent())
    from sed.cli.progress import ProgressBar

    return ProgressBar(recordings)


class _Silent:
    def at(self, number: int) -> None:
        return None

    def say(self, text: str) -> None:
        click.echo(text, err=True)


if __name__ == "__main__":
    main()
