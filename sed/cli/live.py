"""``sed-live``: a microphone in; who feels what right now, on the terminal, in files and on disk."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sed.cli.options import common_options
from sed.console import handled

if TYPE_CHECKING:
    from sed.live.outputs import Files
    from sed.live.session import LiveSession

FAILED, USAGE = 1, 2
_COUNT = click.IntRange(min=1)
_POSITIVE = click.FloatRange(min=0, min_open=True)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--list-devices", is_flag=True, help="Show the microphones and end.")
@click.option("--device", metavar="NUMBER|NAME", help="Which microphone: its number, or a part of its name.")
@click.option("--channels", metavar="N|mix", help="Which channel of it, or the mean of all [default: 1].")
@click.option("--rate", type=_COUNT, metavar="HZ", help="Open it at this rate (default: the device's own).")
@click.option("--input", "file", metavar="FILE", help="Play a file instead.")
@click.option("--fast", is_flag=True, help="With --input: as fast as it can be analysed.")
@click.option("--record", metavar="PATH", help="Record what is heard as .wav or .flac.")
@click.option("--overwrite", is_flag=True, help="Let --record replace a file.")
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="FORMAT|PATH",
    help="rttm, json, csv, ..., or a path whose suffix picks the format; several with commas. RTTM grows "
    "during the run, the others are written at its end.",
)
@click.option("--json-lines", is_flag=True, help="Every event as a line of JSON on standard output.")
@click.option("--duration", type=_POSITIVE, metavar="S", help="End after so many seconds.")
@click.option("--latency", type=float, default=1.0, show_default=True, metavar="S", help="0.5 to 5 seconds.")
@click.option("--speakers", type=_COUNT, help="How many people speak (default: found out).")
@click.option("--max-speakers", type=_COUNT, help="At most so many.")
@click.option("--tagger", metavar="NAME|PATH", help="Emotion model (default: the bundled one).")
@click.option("--span", type=_POSITIVE, default=30.0, show_default=True, metavar="S", help="Seconds to show.")
@common_options
def main(list_devices: bool, **options: Any) -> None:
    """Listen to a microphone, and show who feels what.

    \b
    sed-live                                 a timeline on the terminal
    sed-live --record talk.wav -o talk.rttm  and keep it
    sed-live -o rttm | tee talk.rttm         lines, as they come
    sed-live --list-devices                  which microphones there are
    sed-live --input demo/conversation.flac  without a microphone

    Ctrl-C ends it and writes everything. Exit status: 0; 1 if something failed (what was heard until then is
    written); 2 for wrong usage.
    """
    from sed.console import quiet_libraries

    with quiet_libraries():
        status = _guarded(list_devices, options)
    sys.exit(status)


def _guarded(list_devices: bool, options: dict[str, Any]) -> int:
    """Do what is asked for; what goes wrong becomes a sentence and an exit status."""
    from sed.errors import OptionError, SedError

    level = logging.ERROR if options["quiet"] else logging.WARNING
    logging.basicConfig(level=level, format="sed-live: %(message)s")
    try:
        if list_devices:
            _print_devices()
            return 0
        return FAILED if _listen(**options) else 0
    except SedError as error:
        click.echo(f"sed-live: {error}", err=True)
        return USAGE if isinstance(error, OptionError) else FAILED


def _listen(
    *,
    outputs: tuple[str, ...],
    record: str | None,
    overwrite: bool,
    json_lines: bool,
    duration: float | None,
    span: float,
    quiet: bool,
    **options: Any,
) -> bool:
    """One run; True if something failed that has been reported."""
    from sed.live.recorder import check_path, open_recorder
    from sed.live.session import LiveSession
    from sed.live.timeline import Timeline

    if record:
        check_path(Path(record), overwrite)
        _keep_input(options["file"], Path(record))
    files = _files(outputs, json_lines)
    source = _source(**{name: options[name] for name in ("device", "channels", "rate", "file", "fast")})
    uri = Path(record).stem if record else getattr(source, "uri", "live")
    files.check(uri)
    stream = _stream(
        **{name: options[name] for name in ("latency", "speakers", "max_speakers", "tagger", "threads")}
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
        recorder=recorder,
        duration=duration,
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
            failures += files.write(session.result())
        except BrokenPipeError:
            failures.append(_reader_gone())
    for failure in failures:
        click.echo(f"sed-live: {failure}", err=True)
    if not quiet and session.status.captured:
        _report(session, recorder is not None and recorder.samples > 0, record, files.written)
    return bool(failures)


def _keep_input(file: str | None, record: Path) -> None:
    """Raise `OptionError` where the recording would take the place of what is being played."""
    from sed.errors import OptionError

    if file is not None and record.exists() and Path(file).exists() and record.samefile(file):
        raise OptionError(f"--record {record} is the file that --input plays: expected another one")


def _files(outputs: Sequence[str], json_lines: bool) -> Files:
    """What ``-o`` and ``--json-lines`` ask for; nothing at all if they don't."""
    from sed import formats
    from sed.archive.outputs import Outputs
    from sed.errors import OptionError
    from sed.live.outputs import Files

    if not outputs:
        return Files((), None, json_lines, sys.stdout)
    kinds = {part for value in outputs for part in value.split(",") if part in formats.names()}
    if len(kinds) > 1:
        raise OptionError(f"{len(kinds)} formats on standard output: expected one, and paths for the others")
    plan = Outputs.parse(outputs, None, 1)
    if json_lines and plan.kinds:
        raise OptionError(f"{plan.kinds[0]} and events on standard output: expected one of them, or a path")
    return Files(
        tuple(dict.fromkeys(plan.paths)), plan.kinds[0] if plan.kinds else None, json_lines, sys.stdout
    )


def _source(
    *, file: str | None, fast: bool, device: str | None, channels: str | None, rate: int | None
) -> Any:
    """The file that plays, or the microphone; raises `SedError` where there is none."""
    from sed.errors import OptionError

    choice: int | str | None = channels
    if channels is not None and channels != "mix":
        if not channels.isdigit() or int(channels) < 1:
            raise OptionError(f"channels {channels!r}: expected mix or the number of a channel from 1 on")
        choice = int(channels)
    if file is None:
        if fast:
            raise OptionError("--fast without --input: expected a file to play")
        from sed.live.microphone import Microphone

        return Microphone(device, choice or 1, rate)
    if device is not None or rate is not None:
        raise OptionError("--input with --device or --rate: expected a file or a microphone")
    from sed.live.playback import FilePlayer

    return FilePlayer(file, choice or "mix", fast)


def _stream(*, latency: float, **settings: Any) -> Any:
    """A live stream on models that are loaded here."""
    from sed.pipeline import EmotionDiarizer

    return EmotionDiarizer(**settings).stream(latency)


def _run(session: LiveSession, display: AbstractContextManager[Any]) -> list[str]:
    """Run to the end, by whatever way it comes; returns what failed."""
    from sed.errors import SedError

    # A second signal gives up the backlog.
    ending = handled(("SIGINT", "SIGTERM", "SIGHUP"), lambda *_: session.stop())
    with ending, display as shown:
        try:
            session.run(
                tick=(lambda: shown.tick(session)) if shown else None, period=shown.period if shown else 0.25
            )
        except BrokenPipeError:
            return [_reader_gone()]
        except (SedError, OSError) as error:
            return [str(error)]
    return []


def _reader_gone() -> str:
    """Standard output leads nowhere from now on, or Python complains at its exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return "standard output was closed by its reader"


def _report(session: LiveSession, recorded: bool, record: str | None, written: Sequence[Path]) -> None:
    """What was heard and where it is now, on standard error."""
    from sed.live.screen import clock

    status, result = session.status, session.result()
    lost = f", {status.lost:.1f} s of it not analysed" if status.lost else ""
    count = f"{len(result)} segment{'' if len(result) == 1 else 's'}"
    click.echo(f"sed-live: {clock(status.captured, 1)} heard{lost}, {count}", err=True)
    totals: dict[str, dict[str, float]] = {}
    for segment in result:
        emotions = totals.setdefault(segment.speaker or "?", {})
        emotions[segment.emotion or "?"] = emotions.get(segment.emotion or "?", 0.0) + segment.duration
    for speaker, emotions in sorted(totals.items()):
        parts = sorted(emotions.items(), key=lambda pair: -pair[1])
        click.echo(f"  {speaker:<8} " + ", ".join(f"{emotion} {t:.1f} s" for emotion, t in parts), err=True)
    places = [*([record] if recorded and record else []), *map(str, written)]
    if places:
        click.echo(f"  written: {', '.join(places)}", err=True)


def _print_devices() -> None:
    """The table of ``--list-devices``."""
    from rich.console import Console
    from rich.table import Table

    from sed.errors import DeviceError
    from sed.live.devices import list_devices

    devices = list_devices()
    if not devices:
        raise DeviceError("no microphone found: expected an input device that this user may open")
    table = Table("number", "name", "system", "channels", "rate", "default", box=None, pad_edge=False)
    for column in (0, 3, 4):
        table.columns[column].justify = "right"
    for d in devices:
        mark = "yes" if d.default else ""
        table.add_row(str(d.number), d.name, d.host, str(d.channels), f"{d.rate} Hz", mark)
    Console().print(table, highlight=False, markup=False)


if __name__ == "__main__":
    main()
