"""``sed-serve``: the WebSocket and HTTP server with the web page."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import click

from sed.cli.base import FAILED, USAGE, command, fail
from sed.cli.options import TAGGER_SETTINGS, device_option, enrol_option, tagger_options

NAME = "sed-serve"
TOKEN_VARIABLE = "SED_TOKEN"


@command(NAME, extras="serve", log=False, context_settings={"show_default": True})
@click.option(
    "--host",
    default="127.0.0.1",
    help="Address to listen on; the default is reachable from this machine only.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=8765, help="Port; 0 picks a free one.")
@click.option(
    "--max-clients", type=click.IntRange(min=1), default=16, help="Maximum concurrent live streams."
)
@click.option(
    "--max-load", type=float, default=0.9, help="Maximum fraction of the CPUs for live streams, as measured."
)
@click.option(
    "--max-seconds", type=float, default=14400.0, help="Maximum seconds of audio per stream or file."
)
@click.option("--max-upload-seconds", type=float, default=3600.0, help="Maximum seconds of audio per file.")
@click.option("--max-upload", type=click.IntRange(min=1), default=1 << 29, help="Maximum bytes per file.")
@click.option(
    "--max-uploads",
    type=click.IntRange(min=1),
    default=16,
    help="Maximum complete files being processed or queued.",
)
@click.option(
    "--max-receiving", type=click.IntRange(min=1), default=32, help="Maximum uploads being received."
)
@click.option(
    "--uploads-per-address",
    type=click.IntRange(min=1),
    default=4,
    help="Maximum concurrent uploads per address.",
)
@click.option(
    "--trusted-proxy",
    multiple=True,
    metavar="ADDRESS|NETWORK",
    help="A reverse proxy whose X-Forwarded-For contains the client's address (127.0.0.1); otherwise all of its "
    "clients share one address.",
)
@click.option(
    "--stuck-after",
    type=float,
    default=60.0,
    help="Seconds without progress after which /healthz reports 'stuck'.",
)
@click.option(
    "--max-message", type=click.IntRange(min=1), default=1 << 18, help="Maximum bytes per WebSocket message."
)
@click.option(
    "--max-rate", type=float, default=8.0, help="Maximum rate at which a client may send, in times real time."
)
@click.option("--burst", type=float, default=30.0, help="Seconds of audio that a client may send at once.")
@click.option("--queue", type=float, default=60.0, help="Maximum seconds of queued audio per live stream.")
@click.option(
    "--send-timeout",
    type=float,
    default=10.0,
    help="Seconds after which a client that does not read is disconnected.",
)
@click.option(
    "--idle-timeout",
    type=float,
    default=30.0,
    help="Seconds after which a client that sends nothing is disconnected.",
)
@click.option(
    "--resume-seconds",
    type=float,
    default=120.0,
    help="Seconds for which a live stream is kept when its connection is lost; 0: not at all.",
)
@click.option(
    "--max-kept", type=click.IntRange(min=1), default=16, help="Maximum live streams without connection."
)
@click.option(
    "--kept-per-address", type=click.IntRange(min=1), default=4, help="Maximum of them per address."
)
@click.option("--allow-origin", multiple=True, metavar="URL", help="A web origin whose pages may connect.")
@click.option(
    "--allow-host",
    multiple=True,
    metavar="NAME",
    help="A name of this server, besides localhost and the address that a client connects to.",
)
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False),
    help="File with the secret that clients must present.",
)
@click.option(
    "--no-token",
    is_flag=True,
    default=False,
    help="Allow all clients that can reach --host, without a secret.",
)
@enrol_option
@tagger_options
@device_option
@click.option("--max-speakers", type=click.IntRange(min=1), help="Maximum number of speakers.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads (default: all).")
@click.option("-q", "--quiet", is_flag=True, help="Warnings and errors only.")
def main(
    token_file: str | None,
    allow_origin: tuple[str, ...],
    allow_host: tuple[str, ...],
    trusted_proxy: tuple[str, ...],
    enrolments: tuple[str, ...],
    max_speakers: int | None,
    threads: int | None,
    quiet: bool,
    **settings: Any,
) -> None:
    """Serve the web page, the live WebSocket (/stream) and file analysis (POST /diarize).

    \b
    sed-serve                                  then open http://127.0.0.1:8765/
    sed-serve --host 0.0.0.0 --token-file t    for other machines, with the secret in t
    sed-serve --host 0.0.0.0 --no-token --allow-host pc.lan     for everyone in a network
    curl -F file=@call.wav 'http://127.0.0.1:8765/diarize?format=rttm'

    The secret can also be set in the environment variable SED_TOKEN. Ctrl-C stops the server.

    Exit status: 0; 1 if a package is missing; 2 for any other error.
    """
    from sed.enrolment import parse_enrolments
    from sed.errors import MissingDependencyError, SedError

    logging.basicConfig(level=logging.WARNING, format=f"{NAME}: %(message)s")
    for library in ("uvicorn.error", "python_multipart"):  # they warn about every mistake of a client
        logging.getLogger(library).setLevel(logging.ERROR)
    try:
        from sed.server.options import ServerOptions

        models = {name: settings.pop(name) for name in (*TAGGER_SETTINGS, "device")}
        models |= {"enrol": parse_enrolments(enrolments), "max_speakers": max_speakers}
        if threads is not None:
            settings["threads"] = threads
        options = ServerOptions(
            **settings,
            token=_token(token_file),
            origins=allow_origin,
            hosts=allow_host,
            trusted_proxies=trusted_proxy,
        )
        _check_packages()
        _serve(options, models, quiet)
    except SedError as error:
        fail(NAME, error, FAILED if isinstance(error, MissingDependencyError) else USAGE)


def _token(path: str | None) -> str | None:
    if path is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    from sed.files import load_text

    return load_text(path).strip()


def _check_packages() -> None:
    """Raise `MissingDependencyError` with the names of all packages that are missing."""
    from importlib.util import find_spec

    from sed.errors import MissingDependencyError, install_hint

    required = {
        "starlette": "starlette",
        "uvicorn": "uvicorn",
        "websockets": "websockets",
        "multipart": "python-multipart",
    }
    if missing := [package for module, package in required.items() if find_spec(module) is None]:
        raise MissingDependencyError(f"the server needs {', '.join(missing)}: {install_hint('serve')}")


def _serve(options: Any, models: dict[str, Any], quiet: bool) -> None:
    import asyncio
    import signal

    from sed.pipeline import EmotionDiarizer
    from sed.server.app import create_app
    from sed.server.run import listen, make_server, serve, url_of

    listener = listen(options)
    app: Any = None
    try:
        diarizer = EmotionDiarizer(**models)
        app = create_app(options, make_stream=diarizer.stream, diarize=diarizer)

        def started() -> None:
            if not quiet:
                secret = " (with #token=... for the secret)" if options.token else ""
                click.echo(f"{NAME}: {url_of(listener)}{secret}  Ctrl-C stops it")

        # uvicorn re-raises signals after it has shut down: nothing is left to do then.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        asyncio.run(serve(make_server(app, options), listener, started))
    except KeyboardInterrupt:
        pass
    finally:
        listener.close()
        _exit_if_stuck(app)


def _exit_if_stuck(app: Any) -> None:
    """Exit the process immediately if a file still occupies the file worker.

    Its thread runs C code that Python cannot interrupt, and a regular exit would finalize the interpreter while the
    thread is still running.
    """
    if app is not None and app.state.hub.files.working and app.state.hub.stopping.is_set():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


if __name__ == "__main__":
    main()
