"""``sed-run``: recordings in; speakers, emotions and times out."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sed.cli.base import FAILED, USAGE, command, fail
from sed.cli.options import common_options, device_option, diarizer_options, enrol_option, on_command_line
from sed.console import handled

if TYPE_CHECKING:
    from sed.archive.inputs import Input
    from sed.archive.outputs import Outputs
    from sed.archive.summary import Summary
    from sed.cli.progress import Messages, ProgressBar

NAME = "sed-run"


@command(NAME, silence=True)
@click.argument("inputs", nargs=-1, metavar="AUDIO...")
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="FORMAT|PATH",
    help="rttm (default), json, jsonl, seglst, csv, parquet, npz, html, textgrid, webvtt, ..., or a path whose "
    "suffix selects the format; separate several by commas.",
)
@click.option(
    "-d", "--directory", metavar="DIR|URL", help="Write one file per recording and format into this folder."
)
@click.option(
    "--list",
    "list_file",
    metavar="FILE",
    help="List of recordings, one path or URL per line (-: standard input).",
)
@click.option(
    "--json-lines",
    is_flag=True,
    help="Write one JSON object per recording to standard output, in input order.",
)
@click.option(
    "--embed-audio", is_flag=True, help="With html: put the recording into the page (default: a link)."
)
@click.option("--posteriors", is_flag=True, help="Include the frame posteriors in json, jsonl, npz and html.")
@click.option(
    "--speech", metavar="PATH", help="Take turns and speakers from this file instead of detecting them."
)
@click.option(
    "--words",
    metavar="FILE|DIR",
    help="Transcript (JSON of WhisperX, Whisper or faster-whisper, SRT, WebVTT, CTM), or a folder with one per "
    "recording, whose words get speakers and emotions: -o json (WhisperX's, default), webvtt, seglst, srt, ass.",
)
@click.option(
    "--asr",
    metavar="NAME[:MODEL]",
    help="As --words with the transcript of an installed recogniser: faster-whisper[:MODEL].",
)
@enrol_option
@click.option(
    "--context",
    metavar="FILE",
    help="Decode the emotions of each conversation in this context, a file of sed-context: which emotion follows on "
    "which, within and between speakers.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Number of worker processes, which share --threads (default: 1).",
)
@click.option(
    "--ray",
    metavar="ADDRESS",
    help="Run on this Ray cluster (auto: the running one); --threads is per worker.",
)
@click.option(
    "--on-error",
    type=click.Choice(["skip", "stop"]),
    default="skip",
    show_default=True,
    help="What to do after a recording failed.",
)
@click.option("--fresh", is_flag=True, help="With -d: process recordings again that earlier runs have done.")
@diarizer_options
@device_option
@common_options
def main(
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    directory: str | None,
    list_file: str | None,
    json_lines: bool,
    embed_audio: bool,
    posteriors: bool,
    speech: str | None,
    words: str | None,
    asr: str | None,
    enrolments: tuple[str, ...],
    workers: int | None,
    ray: str | None,
    on_error: str,
    fresh: bool,
    threads: int,
    quiet: bool,
    **settings: Any,
) -> None:
    """Find speakers, emotions and their times in each AUDIO: files, folders, globs, URLs, or - for standard input.

    \b
    sed-run call.wav -o rttm                   to standard output
    sed-run calls/ -o rttm,json -d out/        two files per recording
    sed-run call.wav -o call.vtt               the suffix selects the format
    sed-run call.wav -o call.html              a page with timeline, summary and player
    sed-run stereo.wav --channels split        one speaker per channel
    sed-run call.wav --words call.json -o call.vtt
    sed-run s3://calls/ -d s3://out/ --workers 8

    With -d a journal in the folder records what is done: run the same command again to resume.

    Exit status: 0; 1 if a recording failed (the others are processed); 2 for wrong usage.
    """
    from sed.archive.inputs import check_names, find_inputs
    from sed.archive.outputs import Outputs
    from sed.enrolment import parse_enrolments
    from sed.errors import FormatError, OptionError, SedError, WorkerError
    from sed.files import load_bytes

    if not inputs and list_file is None:
        raise click.UsageError("Missing argument 'AUDIO...'.")
    try:
        recordings: Sequence[Input] = find_inputs(inputs, list_file)
        worded = words is not None or asr is not None
        default = "json" if worded else "rttm"
        plan = Outputs.parse(outputs, directory, len(recordings), json_lines, default, embed_audio)
        if plan.to_stdout and sys.stdout is None:  # sed-run >&-, or a service without standard output
            raise OptionError("standard output is closed: expected a folder for results (-d)")
        if plan.to_stdout or speech is not None:
            check_names(recordings)
        if enrolments:
            settings["enrol"] = parse_enrolments(enrolments)
        if speech is not None:
            _check_speech_options(settings)
        recordings, transcripts = _transcripts(words, asr, recordings, plan) if worded else (recordings, None)
        given = None if speech is None else load_bytes(speech)
        turns = _reference_turns(speech, given, recordings)
        if fresh and directory is None:
            raise OptionError("--fresh needs an output folder: expected -d")
        from sed.archive.journal import Journal, fingerprint
        from sed.archive.run import WorkerPool, run
        from sed.archive.work import Order

        order, pool = Order(settings, plan, posteriors, asr=asr), WorkerPool(workers, threads, ray)
        journal = None
        if directory is not None:
            identity = fingerprint(settings, speech, given)
            if worded:
                identity |= {"words": asr or "given"}
            journal = Journal(plan, identity, posteriors=posteriors, fresh=fresh)
    except SedError as error:
        fail(NAME, error, USAGE)
    stop = on_error == "stop"
    try:
        with journal or contextlib.nullcontext(), _interrupted_by_signals(), _listener(quiet) as listener:
            summary = run(
                recordings,
                order,
                pool,
                listener,
                sys.stdout,
                turns=turns,
                transcripts=transcripts,
                journal=journal,
                stop_on_error=stop,
            )
    except BrokenPipeError:  # the reader of standard output has closed it
        sys.stderr.close()
        sys.exit(FAILED)
    except SedError as error:
        # The journal or the workers failed, rather than the command line.
        broken = isinstance(error, FormatError | WorkerError)
        fail(NAME, error, FAILED if broken else USAGE)
    _print_summary(summary, quiet, None if journal is None else journal.name)
    if summary.failed or summary.interrupted:
        sys.exit(FAILED)


def _print_summary(summary: Summary, quiet: bool, journal: str | None) -> None:
    """Print the summary, unless a single recording was processed."""
    if quiet or (summary.recordings == 1 and not summary.before and not summary.interrupted):
        return
    if summary.interrupted:
        hint = "" if journal is None else "; run the same command again to resume"
        click.echo(f"sed-run: interrupted{hint}", err=True)
    click.echo(f"sed-run: {summary.text()}", err=True)
    if summary.before:
        click.echo(f"  done before according to {journal}; --fresh processes them again", err=True)


def _check_speech_options(settings: Mapping[str, Any]) -> None:
    """Raise `OptionError` if --speech is combined with an option for detecting the turns that it gives."""
    from sed.errors import OptionError

    if any(settings[name] for name in ("speakers", "min_speakers", "max_speakers")):
        raise OptionError("--speech cannot be combined with a number of speakers: the turns name them")
    if settings["channels"] == "split":
        raise OptionError("--speech cannot be combined with --channels split")
    if "enrol" in settings:
        raise OptionError("--speech cannot be combined with --enrol: the turns name the speakers")
    for name in on_command_line("vad", "diarizer"):
        raise OptionError(f"--speech cannot be combined with --{name}")


def _transcripts(
    words: str | None, asr: str | None, recordings: Sequence[Input], plan: Outputs
) -> tuple[Sequence[Input], dict[str, str] | None]:
    """The recordings, and the path of each one's transcript; None if `asr` makes them."""
    from sed.archive.words import check_outputs, find_transcripts, with_versions
    from sed.errors import OptionError
    from sed.transcripts.engines import check_engine

    check_outputs([*plan.kinds, *(kind for _, kind in plan.paths)])
    if words is None:
        check_engine(asr or "")
        return recordings, None
    if asr is not None:
        raise OptionError("--words cannot be combined with --asr: expected one of them")
    found = find_transcripts(words, recordings)
    return with_versions(recordings, found), found


def _reference_turns(
    speech: str | None, data: bytes | None, recordings: Sequence[Input]
) -> dict[str, Any] | None:
    """The turns in `data`, the content of the file `speech`, by the recording's uri."""
    if speech is None or data is None:
        return None
    from sed import formats
    from sed.errors import OptionError
    from sed.formats import spelling

    turns = {d.uri: d for d in formats.parse(data, Path(speech))[1]}
    if len(turns) == 1 and len(recordings) == 1:  # one recording and one reference: names need not match
        return {recordings[0].uri: next(iter(turns.values()))}
    for uri, name in spelling.match(turns, [r.uri for r in recordings]).items():
        logging.getLogger("sed").warning(
            "%s: the turns of %s are used for %s: the names differ in blanks only", speech, name, uri
        )
        turns[uri] = turns.pop(name)
    if missing := [r.uri for r in recordings if r.uri not in turns]:
        raise OptionError(
            f"{speech}: expected turns for {', '.join(missing)}, found {', '.join(turns) or 'none'}"
        )
    return turns


def _interrupted_by_signals() -> contextlib.AbstractContextManager[None]:
    """Treat SIGTERM and SIGHUP like Ctrl-C, so that temporary files are removed; a second signal is ignored."""

    def stop(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    return handled(("SIGTERM", "SIGHUP"), stop)


def _listener(quiet: bool) -> Messages | ProgressBar:
    """A progress bar on a terminal, error messages only elsewhere."""
    from sed.cli.progress import Messages, ProgressBar

    return Messages() if quiet or not sys.stderr.isatty() else ProgressBar()


if __name__ == "__main__":
    main()
