"""``sed-train RECIPE.yaml --key value``: run a recipe of `hparams/`; keys on the command line win.

SpeechBrain's own options work too (``--device cuda``), and ``torchrun`` starts several processes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from sed.errors import SedError
from sed.training.recipes import run_command


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; exit status 1 and one line on a `SedError`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        print("Usage: sed-train RECIPE.yaml [--key value]...\n\n" + (__doc__ or "").split("\n", 1)[1].strip())
        sys.exit(0 if given else 2)
    try:
        print(run_command(given))
    except SedError as error:
        print(f"sed-train: {_said(error)}", file=sys.stderr)
        sys.exit(1)
    except ModuleNotFoundError as error:
        print(
            f"sed-train: training needs {error.name}: in sed's folder, pip install '.[wavlm]'",
            file=sys.stderr,
        )
        sys.exit(1)


def _said(error: SedError) -> str:
    """What an error says; of one in a process that makes batches torch hands over its whole traceback as text.

    >>> _said(SedError("Caught AudioError in worker 0.\\nOriginal Traceback ...\\nAudioError: no audio"))
    'no audio'
    """
    text = str(error)
    if text.startswith("Caught ") and "Original Traceback" in text:
        return text.strip().splitlines()[-1].partition(": ")[2]
    return text


if __name__ == "__main__":
    main()
