"""``sed-train RECIPE.yaml --key value``: run a recipe of `hparams/`; keys on the command line win.

SpeechBrain's own options work too (``--device cuda``), and ``torchrun`` starts several processes.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from sed.errors import OptionError, SedError


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; exit status 1 and one line on a `SedError`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        print("Usage: sed-train RECIPE.yaml [--key value]...\n\n" + (__doc__ or "").split("\n", 1)[1].strip())
        sys.exit(0 if given else 2)
    try:
        print(run(given))
    except SedError as error:
        print(f"sed-train: {error}", file=sys.stderr)
        sys.exit(1)
    except ModuleNotFoundError as error:
        print(f"sed-train: training needs {error.name}: pip install 'sed[wavlm]'", file=sys.stderr)
        sys.exit(1)


def run(arguments: Sequence[str]) -> Path:
    """Run the recipe named by the first of `arguments`; returns the folder of the trained tagger.

    The hyperparameters used are written beside the results. Raises `OptionError` where the recipe is missing
    or has no entry point.
    """
    from sed._torchaudio import allow_missing_extension

    allow_missing_extension()
    import speechbrain as sb
    from hyperpyyaml import load_hyperpyyaml

    if not Path(arguments[0]).is_file():
        raise OptionError(f"no recipe {arguments[0]}: expected a YAML file such as hparams/compact.yaml")
    recipe, run_options, overrides = sb.parse_arguments(list(arguments))
    sb.utils.distributed.ddp_init_group(run_options)
    with open(recipe, encoding="utf-8") as file:
        hparams = load_hyperpyyaml(file, overrides)
    if not callable(hparams.get("recipe")):
        raise OptionError(f"{recipe}: found no entry `recipe`, expected the function that trains")
    sb.create_experiment_directory(
        experiment_directory=hparams["output_folder"], hyperparams_to_save=recipe, overrides=overrides
    )
    logging.getLogger("sed").setLevel(logging.INFO)
    return hparams["recipe"](hparams, run_options)


if __name__ == "__main__":
    main()
