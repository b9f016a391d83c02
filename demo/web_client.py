"""A client of `sed-serve`: sends a recording in real time and prints the segments as they become final.

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
    """Yield the first channel of a file in short blocks, in real time."""
    started = time.monotonic()
    with soundfile.SoundFile(path) as file:
        for block in file.blocks(round(seconds * file.samplerate), dtype="float32", always_2d=True):
            time.sleep(max(0.0, started + file.tell() / file.samplerate - time.monotonic()))
            yield block[:, 0]


async def main(path: str, url: str = "ws://127.0.0.1:8765/stream") -> None:
    """Print the segments of `path` as they become final."""
    async for event in stream(url, in_real_time(path), soundfile.info(path).samplerate, latency=1.0):
        if event.final and event.segment:
            s = event.segment
            print(f"{s.start:7.2f} to {s.end:7.2f} s  {s.speaker}  {s.emotion} ({s.confidence:.0%})")


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:]))
    except SedError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        pass
