"""Live diarization of the default microphone, printed as lines of text. The full program is ``sed-live``.

    python demo/microphone.py [seconds]

Each line is a final segment: start and end in seconds, speaker, emotion, confidence.
"""

from __future__ import annotations

import sys

from sed import EmotionDiarizer
from sed.errors import SedError
from sed.live import Microphone


def main(seconds: float) -> None:
    """Run for `seconds` of audio, or until Ctrl-C."""
    stream = EmotionDiarizer().stream(latency=1.0)

    def show(events: list) -> None:
        for event in events:
            if event.final:
                s = event.segment
                print(
                    f"{s.start:7.2f} {s.end:7.2f}  {s.speaker}  {s.emotion}  {s.confidence:.2f}", flush=True
                )

    try:
        with Microphone() as microphone:
            print(f"recording from {microphone.name}", file=sys.stderr)
            for block in microphone.blocks():
                show(stream.push(block))
                if stream.time >= seconds:
                    break
    except KeyboardInterrupt:
        pass
    show(stream.close())


if __name__ == "__main__":
    try:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else float("inf"))
    except SedError as error:
        sys.exit(str(error))
