"""``sed-train RECIPE.yaml --key value``: run a recipe of `hparams/`; keys on the command line win.

SpeechBrain's own options work too (``--device cuda``), and ``torchrun`` starts several processes.
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
    """Run a recipe of hparams/; keys on the command line win.

    SpeechBrain's own options work too (--device cuda), and torchrun starts several processes.
    """
    from sed.training.recipe.run import run_command

    try:
        folder = run_command(arguments)
    except SedError as error:
        fail(NAME, error, FAILED)
    except RuntimeError as error:
        if not _left_alone(error):
            raise
        fail(NAME, SedError("another process of this run has ended and reports why"))
    if os.environ.get("RANK", "0") == "0":  # torchrun's name for a process's number
        click.echo(folder)


def _left_alone(error: RuntimeError) -> bool:
    """Whether an error is that of a process which waits for one that has ended, as gloo and NCCL raise it."""
    import torch.distributed

    return "gloo/transport" in str(error) or isinstance(error, torch.distributed.DistError)


if __name__ == "__main__":
    main()
