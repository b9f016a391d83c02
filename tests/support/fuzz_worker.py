"""A process that reads files as `sed` does, one by one: paths in on standard input, one JSON line out for each.

``{"path", "seconds", "outcome", "text", "peak_mb"}``; `outcome` is ``ok``, ``refused`` (a `SedError`) or ``crash``.
"""

import json
import logging
import resource
import sys
import time
import traceback


def read(path: str) -> str:
    """Read `path` as audio or, where its name says so, as an annotation; what came out, in words."""
    if "annotation" in path:
        from sed import formats

        return f"{len(formats.read_all(path))} recordings"
    from sed.audio import open_audio

    with open_audio(path) as audio:
        return f"{sum(len(block) for block in audio)} samples"


def main() -> None:
    """Serve until standard input ends."""
    logging.disable(logging.CRITICAL)
    from sed.errors import SedError

    for line in sys.stdin:
        path = line.rstrip("\n")
        began = time.monotonic()
        try:
            outcome, text = "ok", read(path)
        except SedError as error:
            outcome, text = "refused", str(error)
        except BaseException:
            outcome, text = "crash", traceback.format_exc()
        seconds = time.monotonic() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        row = {
            "path": path,
            "seconds": round(seconds, 3),
            "outcome": outcome,
            "text": text,
            "peak_mb": round(peak),
        }
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
