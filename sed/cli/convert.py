"""``sed-convert``: annotation files in one format in, the same in another out."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from sed.cli.base import FAILED, command

NAME = "sed-convert"


@command(NAME)
@click.argument("inputs", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FORMAT|PATH",
    help="A format, or a path whose suffix selects the format.",
)
@click.option("-d", "--directory", metavar="DIR", help="Write one file per recording into this folder.")
@click.option(
    "--from", "source_format", metavar="FORMAT", help="The format of the input (default: by its content)."
)
@click.option("--force", is_flag=True, help="Replace files that exist.")
@click.option(
    "--audio",
    metavar="PATH",
    help="With html: the recording, or a folder with recordings by name, to be played.",
)
@click.option("--embed-audio", is_flag=True, help="Put the recording into the page (default: a link).")
@click.option("-q", "--quiet", is_flag=True, help="Show errors only.")
def main(
    inputs: tuple[str, ...],
    output: str,
    directory: str | None,
    source_format: str | None,
    force: bool,
    audio: str | None,
    embed_audio: bool,
    quiet: bool,
) -> None:
    """Convert annotations FILE: files, or folders with files of any format that sed reads.

    \b
    sed-convert call.json -o rttm              to standard output
    sed-convert call.eaf -o call.csv           the suffix selects the format
    sed-convert results/ -o parquet -d out/    one file per recording, folders kept
    sed-convert call.json -o call.html --audio call.wav

    What the target format cannot hold is stated on standard error. Existing files are kept without --force.

    Exit status: 0; 1 if a file failed (the others are converted); 2 for wrong usage.
    """
    from sed import formats
    from sed.archive.conversion import Target, convert, find_annotations
    from sed.errors import FormatError, OptionError

    if output in formats.names():
        kind, path = output, None
    else:
        path = Path(output)
        try:
            kind = formats.format_of(path)
        except FormatError as error:
            raise OptionError(f"output {error}") from None
        if kind not in formats.names():
            raise OptionError(
                f"output {output}: {kind} can only be read, expected one of {', '.join(formats.names())}"
            )
    if path is not None and directory is not None:
        raise OptionError(f"output {output} cannot be combined with -d: expected a format")
    if (audio is not None or embed_audio) and not formats.plays_audio(kind):
        raise OptionError("--audio and --embed-audio are for the format html only")
    if embed_audio and audio is None:
        raise OptionError("--embed-audio needs --audio, the recording")
    formats.check(kind)
    folder = None if directory is None else Path(directory)
    target = Target(kind, folder, path, force, None if audio is None else Path(audio), embed_audio)
    done = convert(find_annotations(inputs), target, source_format)
    for data in done.output:
        sys.stdout.buffer.write(data)
    sys.stdout.flush()
    for text in done.failures:
        click.echo(f"{NAME}: {text}", err=True)
    if not quiet and (lost := done.losses(kind)):
        click.echo(f"{NAME}: {lost}", err=True)
    if done.failures:
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
