"""``sed-live``: live diarization of a microphone, shown on the terminal and written to files."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sed.cli.base import FAILED, command
from sed.cli.options import TAGGER_SETTINGS, common_options, enrol_option, tagger_options
from sed.console import handled

if TYPE_CHECKING:
    from sed.live.outputs import Files
    from sed.live.session import LiveSession

NAME = "sed-live"
_COUNT = click.IntRange(min=1)
_POSITIVE = click.FloatRange(min=0, min_open=True)


@command(NAME, extras="live", silence=True)
@click.option("--list-devices", is_flag=True, help="List the microphones and exit.")
@click.option("--device", metavar="NUMBER|NAME", help="Microphone: its number, or a part of its name.")
@click.option(
    "--channels", metavar="N|mix", help="Channel of the microphone, or the mean of all [default: 1]."
)
@click.option("--rate", type=_COUNT, metavar="HZ", help="Sample rate (default: that of the device).")
@click.option("--input", "file", metavar="FILE", help="Play a file instead of using a microphone.")
@click.option("--fast", is_flag=True, help="With --input: process the file as fast as possible.")
@click.option("--record", metavar="PATH", help="Record the audio as .wav or .flac.")
@click.option("--overwrite", is_flag=True, help="Allow --record to replace a file.")
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="FORMAT|PATH",
    help="rttm, json, csv, ..., or a path whose suffix selects the format; several separated by commas. RTTM is "
    "written during the run, the others at its end.",
)
@click.option("--json-lines", is_flag=True, help="Write every event as a line of JSON to standard output.")
@click.option(
    "--relabel",
    is_flag=True,
    help="Also report, on the terminal and with --json-lines, which speakers have turned out to be others; files keep "
    "the names.",
)
@click.option("--duration", type=_POSITIVE, metavar="S", help="Stop after this many seconds.")
@click.option("--latency", type=float, default=1.0, show_default=True, metavar="S", help="0.5 to 5 seconds.")
@click.option(
    "--refine", is_flag=True, help="Write the refined result at the end: speakers as of a whole file."
)
@click.option("--speakers", type=_COUNT, help="Number of speakers (default: estimated).")
@click.option("--max-speakers", type=_COUNT, help="Maximum number of speakers.")
@enrol_option
@tagger_options
@click.option(
    "--span",
    type=_POSITIVE,
    default=30.0,
    show_default=True,
    metavar="S",
    help="Seconds shown on the timeline.",
)
@common_options
def main(list_devices: bool, **options: Any) -> None:
    """Process a microphone live, and show the emotions of each speaker.

    \b
    sed-live                                 a timeline on the terminal
    sed-live --record talk.wav -o talk.rttm  also write files
    sed-live -o rttm | tee talk.rttm         segments as they become final
    sed-live --enrol anna=anna.wav           a known speaker, by a recording
    sed-live --list-devices                  list the microphones
    sed-live --input demo/conversation.flac  without a microphone

    Ctrl-C stops it and writes everything. Exit status: 0; 1 if something failed (the results until then are
    written); 2 for wrong usage.
    """
    if list_devices:
        _print_devices()
    elif _process(**options):
        sys.exit(FAILED)


def _process(
    *,
    outputs: tuple[str, ...],
    record: str | None,
    overwrite: bool,
    json_lines: bool,
    relabel: bool,
    duration: float | None,
    span: float,
    quiet: bool,
    refine: bool,
    **options: Any,
) -> bool:
    """One live run; returns whether an error was reported."""
    from sed.live.recorder import check_path, open_recorder
    from sed.live.session import LiveSession
    from sed.live.timeline import Timeline

    if record:
        check_path(Path(record), overwrite)
        _check_not_input(options["file"], Path(record))
    files = _files(outputs, json_lines)
    source = _source(**{name: options[name] for name in ("device", "channels", "rate", "file", "fast")})
    uri = Path(record).stem if record else getattr(source, "uri", "live")
    files.check(uri)
    stream = _stream(
        **{
            name: options[name]
            for name in ("latency", "enrolments", "speakers", "max_speakers", *TAGGER_SETTINGS, "threads")
        },
        refine=refine,
    )
    recorder = open_recorder(record, source.rate, overwrite) if record else None
    showing = sys.stdout.isatty() and not quiet and not files.to_stdout
    timeline = Timeline(span + 1) if showing else None
    listeners = files.listeners(uri, plain=not showing and not quiet)
    session = LiveSession(
        source,
        stream,
        uri=uri,
        labels=stream.labels,
        settings=stream.settings,
        dimensions=stream.dimensions,
        recorder=recorder,
        duration=duration,
        relabel=relabel,
        listeners=[*listeners, *([timeline] if timeline else [])],
        on_level=timeline.level if timeline else None,
    )
    display: AbstractContextManager[Any] = nullcontext()
    if timeline:
        from sed.live.display import Display

        display = Display(timeline, stream.labels, source.name, options["latency"], span, record)
    failures = _run(session, display)
    if session.status.captured or not failures:
        try:
            if refine and not failures:
                session.refine(stream.refined(uri))
            failures += files.write(session.result())
        except BrokenPipeError:
            failures.append(_broken_pipe())
    for failure in failures:
        click.echo(f"{NAME}: {failure}", err=True)
    if not quiet and session.status.captured:
        _report(session, recorder is not None and recorder.samples > 0, record, files.written)
    return bool(failures)


def _check_not_input(file: str | None, record: Path) -> None:
    """Raise `OptionError` if the recording would overwrite the file that is being played."""
    from sed.errors import OptionError

    if file is not None and record.exists() and Path(file).exists() and record.samefile(file):
        raise OptionError(f"--record {record} is the file that --input plays: expected a different file")


def _files(outputs: Sequence[str], json_lines: bool) -> Files:
    """The outputs selected by ``-o`` and ``--json-lines``, possibly none."""
    from sed import formats
    from sed.archive.outputs import Outputs
    from sed.errors import OptionError
    from sed.live.outputs import Files

    if not outputs:
        return Files((), None, json_lines, sys.stdout)
    kinds = {part for value in outputs for part in value.split(",") if part in formats.names()}
    if len(kinds) > 1:
        raise OptionError(
            f"{len(kinds)} formats on standard output: expected at most one, and paths for the others"
        )
    plan = Outputs.parse(outputs, None, 1)
    if json_lines and plan.kinds:
        raise OptionError(
            f"{plan.kinds[0]} and events on standard output: expected one of them, or a path for -o"
        )
    return Files(
        tuple(dict.fromkeys(plan.paths)), plan.kinds[0] if plan.kinds else None, json_lines, sys.stdout
    )


def _source(
    *, file: str | None, fast: bool, device: str | None, channels: str | None, rate: int | None
) -> Any:
    """The file to play, or the microphone; raises `SedError` if it is not available."""
    from sed.errors import OptionError

    choice: int | str | None = channels
    if channels is not None and channels != "mix":
        if not channels.isdigit() or int(channels) < 1:
            raise OptionError(f"channels {channels!r}: expected mix or a channel number of 1 or more")
        choice = int(channels)
    if file is None:
        if fast:
            raise OptionError("--fast requires --input")
        from sed.live.microphone import Microphone

        return Microphone(device, choice or 1, rate)
    if device is not None or rate is not None:
        raise OptionError("--input cannot be combined with --device or --rate")
    from sed.live.playback import FilePlayer

    return FilePlayer(file, choice or "mix", fast)


def _stream(*, latency: float, refine: bool, enrolments: Sequence[str], **settings: Any) -> Any:
    """A live stream; loads the models and enrols the speakers."""
    from sed.enrolment import parse_enrolments
    from sed.pipeline import EmotionDiarizer

    enrol = parse_enrolments(enrolments)
    return EmotionDiarizer(enrol=enrol, **settings).stream(latency, refine=refine)


def _run(session: LiveSession, display: AbstractContextManager[Any]) -> list[str]:
    """Run until the end, however it is reached; returns messages of failures."""
    from sed.errors import SedError

    # A second signal discards the backlog.
    signals = handled(("SIGINT", "SIGTERM", "SIGHUP"), lambda *_: session.stop())
    with signals, display as shown:
        try:
            session.run(
                tick=(lambda: shown.tick(session)) if shown else None, period=shown.period if shown else 0.25
            )
        except BrokenPipeError:
            return [_broken_pipe()]
        except (SedError, OSError) as error:
            return [str(error)]
    return []


def _broken_pipe() -> str:
    """Redirect standard output to the null device, so that Python raises no error at exit; returns a message."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return "standard output was closed by its reader"


def _report(session: LiveSession, recorded: bool, record: str | None, written: Sequence[Path]) -> None:
    """Summarise the run and the written files on standard error."""
    from sed.live.screen import clock

    status, result = session.status, session.result()
    lost = f", {status.lost:.1f} s of it not processed" if status.lost else ""
    count = f"{len(result)} segment{'' if len(result) == 1 else 's'}"
    click.echo(f"{NAME}: {clock(status.captured, 1)} of audio{lost}, {count}", err=True)
    totals: dict[str, dict[str, float]] = {}
    for segment in result:
        emotions = totals.setdefault(segment.speaker or "?", {})
        emotions[segment.emotion or "?"] = emotions.get(segment.emotion or "?", 0.0) + segment.duration
    for speaker, emotions in sorted(totals.items()):
        parts = sorted(emotions.items(), key=lambda pair: -pair[1])
        click.echo(f"  {speaker:<8} " + ", ".join(f"{emotion} {t:.1f} s" for emotion, t in parts), err=True)
    paths = [*([record] if recorded and record else []), *map(str, written)]
    if paths:
        click.echo(f"  written: {', '.join(paths)}", err=True)


def _print_devices() -> None:
    """The table of ``--list-devices``."""
    from rich.console import Console
    from rich.table import Table

    from sed.errors import DeviceError
    from sed.live.devices import list_devices

    devices = list_devices()
    if not devices:
        raise DeviceError("no microphone found: expected an input device that this user is allowed to open")
    table = Table("number", "name", "system", "channels", "rate", "default", box=None, pad_edge=False)
    for column in (0, 3, 4):
        table.columns[column].justify = "right"
    for d in devices:
        mark = "yes" if d.default else ""
        table.add_row(str(d.number), d.name, d.host, str(d.channels), f"{d.rate} Hz", mark)
    Console().print(table, highlight=False, markup=False)


if __name__ == "__main__":
    main()
