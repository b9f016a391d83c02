"""``sed-serve``: the WebSocket and HTTP server with the web page."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import click

from sed.errors import DISTRIBUTION

FAILED, USAGE = 1, 2
TOKEN_VARIABLE = "SED_TOKEN"


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option(
    "--host", default="127.0.0.1", help="Address to listen on; the default is for this machine only."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8765, help="0 takes a free one.")
@click.option("--max-clients", type=click.IntRange(min=1), default=16, help="Live streams at once.")
@click.option(
    "--max-load", type=float, default=0.9, help="Share of the processors for live streams, as measured."
)
@click.option("--max-seconds", type=float, default=14400.0, help="Audio a stream or file may last.")
@click.option("--max-upload-seconds", type=float, default=3600.0, help="Audio an uploaded file may last.")
@click.option("--max-upload", type=click.IntRange(min=1), default=1 << 29, help="Bytes of an uploaded file.")
@click.option(
    "--max-uploads", type=click.IntRange(min=1), default=16, help="Complete files in work or waiting."
)
@click.option(
    "--max-receiving", type=click.IntRange(min=1), default=32, help="Uploads that are being received."
)
@click.option(
    "--uploads-per-address", type=click.IntRange(min=1), default=4, help="Uploads of one address at once."
)
@click.option(
    "--trusted-proxy",
    multiple=True,
    metavar="ADDRESS|NETWORK",
    help="A reverse proxy whose X-Forwarded-For names the client (127.0.0.1); otherwise all of its clients "
    "share one address.",
)
@click.option(
    "--stuck-after", type=float, default=60.0, help="Seconds without progress: /healthz says stuck."
)
@click.option(
    "--max-message", type=click.IntRange(min=1), default=1 << 18, help="Bytes of one WebSocket message."
)
@click.option("--max-rate", type=float, default=8.0, help="Times real time at which a client may send.")
@click.option("--burst", type=float, default=30.0, help="Seconds of audio a client may send at once.")
@click.option("--queue", type=float, default=60.0, help="Seconds of audio that wait per live stream.")
@click.option("--send-timeout", type=float, default=10.0, help="Seconds to leave what is sent unread.")
@click.option("--idle-timeout", type=float, default=30.0, help="Seconds without audio before goodbye.")
@click.option("--allow-origin", multiple=True, metavar="URL", help="A web origin whose pages may connect.")
@click.option(
    "--allow-host",
    multiple=True,
    metavar="NAME",
    help="A name of this server, beside localhost and the address that a client connects to.",
)
@click.option(
    "--token-file", type=click.Path(exists=True, dir_okay=False), help="Secret that clients must show."
)
@click.option(
    "--no-token", is_flag=True, default=False, help="Let everyone in who can reach --host, without a secret."
)
@click.option("--tagger", metavar="NAME|PATH", help="Emotion model (default: the bundled one).")
@click.option("--max-speakers", type=click.IntRange(min=1), help="At most so many people speak.")
@click.option("--threads", type=click.IntRange(min=1), help="Processor threads (default: all).")
@click.option("-q", "--quiet", is_flag=True, help="Warnings and errors only.")
@click.version_option(package_name=DISTRIBUTION)
def main(
    token_file: str | None,
    allow_origin: tuple[str, ...],
    allow_host: tuple[str, ...],
    trusted_proxy: tuple[str, ...],
    tagger: str | None,
    max_speakers: int | None,
    threads: int | None,
    quiet: bool,
    **settings: Any,
) -> None:
    """Serve the web page, the live WebSocket (/stream) and file analysis (POST /diarize).

    \b
    sed-serve                                  then open http://127.0.0.1:8765/
    sed-serve --host 0.0.0.0 --token-file t    for others, who need the secret in t
    sed-serve --host 0.0.0.0 --no-token --allow-host pc.lan     for all in a network
    curl -F file=@call.wav 'http://127.0.0.1:8765/diarize?format=rttm'

    The secret may also be in the variable SED_TOKEN. Ctrl-C ends the server.
    """
    from sed.errors import MissingDependencyError, SedError

    logging.basicConfig(level=logging.WARNING, format="sed-serve: %(message)s")
    for library in ("uvicorn.error", "python_multipart"):  # which warn of everything that a client does wrong
        logging.getLogger(library).setLevel(logging.ERROR)
    try:
        from sed.server.options import ServerOptions

        if threads is not None:
            settings["threads"] = threads
        options = ServerOptions(
            **settings,
            token=_token(token_file),
            origins=allow_origin,
            hosts=allow_host,
            trusted_proxies=trusted_proxy,
        )
        _need_packages()
        _serve(options, {"tagger": tagger, "max_speakers": max_speakers}, quiet)
    except MissingDependencyError as error:
        click.echo(f"sed-serve: {error}", err=True)
        sys.exit(FAILED)
    except SedError as error:
        click.echo(f"sed-serve: {error}", err=True)
        sys.exit(USAGE)


def _token(path: str | None) -> str | None:
    if path is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    from sed.files import load_text

    return load_text(path).strip()


def _need_packages() -> None:
    from importlib.util import find_spec

    from sed.errors import MissingDependencyError, install_hint

    needed = {
        "starlette": "starlette",
        "uvicorn": "uvicorn",
        "websockets": "websockets",
        "multipart": "python-multipart",
    }
    if missing := [package for module, package in needed.items() if find_spec(module) is None]:
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
                click.echo(f"sed-serve: {url_of(listener)}{secret}  Ctrl-C ends")

        # uvicorn hands signals on when it has shut down: by then there is nothing left to do.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        asyncio.run(serve(make_server(app, options), listener, started))
    except KeyboardInterrupt:
        pass
    finally:
        listener.close()
        _leave(app)


def _leave(app: Any) -> None:
    """End the process at once where a file still holds its thread.

    That thread is in foreign code that Python cannot stop, and ending in the usual way would take the
    interpreter's state away from under it.
    """
    if app is not None and app.state.hub.files.working and app.state.hub.stopping.is_set():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


if __name__ == "__main__":
    main()
