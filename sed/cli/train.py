"""``sed-train RECIPE.yaml --key value``: run a recipe of `hparams/`; keys on the command line override it.

SpeechBrain's own options work too (``--device cuda``); use ``torchrun`` for several processes.
"""

from __future__ import annotations

import os

import click

from sed.cli.base import FAILED, command, fail
from sed.errors import SedError

NAME = "sed-train"


@command(
    NAME,
    extras="train",
    log=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument(
    "arguments", metavar="RECIPE.yaml [--key value]...", nargs=-1, required=True, type=click.UNPROCESSED
)
def main(arguments: tuple[str, ...]) -> None:
    """Run a recipe of hparams/; keys on the command line override it.

    SpeechBrain's own options work too (--device cuda); use torchrun for several processes.
    """
    from sed.training.recipe.run import run_command

    try:
        folder = run_command(arguments)
    except SedError as error:
        fail(NAME, error, FAILED)
    except RuntimeError as error:
        if not _is_peer_failure(error):
            raise
        fail(NAME, SedError("another process of this run has ended and reports why"))
    if folder is not None and os.environ.get("RANK", "0") == "0":  # set by torchrun
        click.echo(folder)


def _is_peer_failure(error: RuntimeError) -> bool:
    """Whether gloo or NCCL raised the error because another process of the run has ended."""
    import torch.distributed

    return "gloo/transport" in str(error) or isinstance(error, torch.distributed.DistError)


if __name__ == "__main__":
    main()
