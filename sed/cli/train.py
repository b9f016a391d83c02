"""``sed-train RECIPE.yaml --key value``: run a recipe of `hparams/`; keys on the command line win.

SpeechBrain's own options work too (``--device cuda``), and ``torchrun`` starts several processes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from sed.errors import SedError
from sed.training.recipe.run import run_command


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; exit status 1 and one line on a `SedError`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        print("Usage: sed-train RECIPE.yaml [--key value]...\n\n" + (__doc__ or "").split("\n", 1)[1].strip())
        sys.exit(0 if given else 2)
    try:
        folder = run_command(given)
        if os.environ.get("RANK", "0") == "0":  # torchrun's name for a process's number
            print(folder)
    except SedError as error:
        print(f"sed-train: {_said(error)}", file=sys.stderr)
        sys.exit(1)
    except ModuleNotFoundError as error:
        print(
            f"sed-train: training needs {error.name}: in sed's folder, pip install '.[wavlm]'",
            file=sys.stderr,
        )
        sys.exit(1)

    except RuntimeError as error:
        if not _left_alone(error):
            raise
        print("sed-train: another process of this run has ended, and says why", file=sys.stderr)
        sys.exit(1)


def _left_alone(error: RuntimeError) -> bool:
    """Whether an error is that of a process which waits for one that has ended, as gloo and NCCL raise it."""
    import torch.distributed

    return "gloo/transport" in str(error) or isinstance(error, torch.distributed.DistError)


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
