"""A program that listens to `sed-serve`: sends a recording in real time and prints who feels what, as it settles.

    sed-serve &
    python demo/web_client.py demo/conversation.flac

The page that the server shows at http://127.0.0.1:8765/ does the same with a microphone.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator

import numpy as np
import soundfile

from sed.errors import SedError
from sed.server.client import stream


def in_real_time(path: str, seconds: float = 0.1) -> Iterator[np.ndarray]:
    """The first channel of a file in short blocks, each when it would have been said."""
    begun = time.monotonic()
    with soundfile.SoundFile(path) as file:
        for block in file.blocks(round(seconds * file.samplerate), dtype="float32", always_2d=True):
            time.sleep(max(0.0, begun + file.tell() / file.samplerate - time.monotonic()))
            yield block[:, 0]


async def main(path: str, url: str = "ws://127.0.0.1:8765/stream") -> None:
    """Print every final segment of `path` when the server has decided it."""
    async for event in stream(url, in_real_time(path), soundfile.info(path).samplerate, latency=1.0):
        if event.final and event.segment:
            who = event.segment
            print(
                f"{who.start:7.2f} to {who.end:7.2f} s  {who.speaker}  {who.emotion} ({who.confidence:.0%})"
            )


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:]))
    except SedError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        pass
