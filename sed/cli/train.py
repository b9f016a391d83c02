"""``sed-train RECIPE --key value``: run a recipe by name or file; keys on the command line override it."""

from __future__ import annotations

import os

import click

from sed.cli.base import FAILED, command, fail
from sed.errors import SedError

NAME = "sed-train"


class _RecipeCommand(click.Command):
    """Lists the recipes below the options, read when the help is shown."""

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a line for each recipe."""
        from sed.training.recipe.catalog import description, recipe_names

        with formatter.section("Recipes"):
            formatter.write_dl([(name, description(name)) for name in recipe_names()])


@command(
    NAME,
    extras="train",
    log=False,
    cls=_RecipeCommand,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument(
    "arguments", metavar="RECIPE [--key value]...", nargs=-1, required=True, type=click.UNPROCESSED
)
def main(arguments: tuple[str, ...]) -> None:
    """Run a recipe: the name of one below, or a YAML file; keys on the command line override it.

    \b
    sed-train RECIPE --help          the keys of a recipe with their defaults
    sed-train RECIPE --seeds 5       five runs from the recipe's seed on, and a table of scores
    sed-train RECIPE --smoke         a few utterances the whole way, to check machine and data
    SpeechBrain's own options work too (--device cuda, --precision bf16); use torchrun for several processes.
    """
    if {"-h", "--help"} & set(arguments[1:]):
        _show_keys(arguments[0])
        return
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


def _show_keys(recipe: str) -> None:
    """Print the keys of a recipe with their defaults and comments."""
    from sed.training.recipe.catalog import find_recipe, keys

    path = find_recipe(recipe)
    click.echo(f"Keys of {path}, with their defaults:\n")
    formatter = click.HelpFormatter(width=120, indent_increment=2)
    formatter.indent()
    formatter.write_dl([(f"--{key} {value}", comment) for key, value, comment in keys(path)], col_max=70)
    click.echo(formatter.getvalue())
    click.echo("The options of an object are changed together: --clips '{length: [1.0, 2.0]}'.")


def _is_peer_failure(error: RuntimeError) -> bool:
    """Whether gloo or NCCL raised the error because another process of the run has ended."""
    import torch.distributed

    return "gloo/transport" in str(error) or isinstance(error, torch.distributed.DistError)


if __name__ == "__main__":
    main()
