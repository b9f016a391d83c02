"""Options that several commands share: the stages of `EmotionDiarizer`, threads, and quietness."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


class Channels(click.ParamType):
    """``mix``, ``split`` or the number of a channel from 1 on."""

    name = "mix|split|N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | int:
        """The word itself, or the number."""
        if value in ("mix", "split"):
            return str(value)
        if isinstance(value, int) or (str(value).isdigit() and int(value) >= 1):
            return int(value)
        self.fail(f"{value!r}: expected mix, split or the number of a channel from 1 on", param, ctx)


def on_command_line(*names: str) -> list[str]:
    """Those of the running command's options `names` that are on its command line."""
    context = click.get_current_context()
    return [n for n in names if context.get_parameter_source(n) is click.core.ParameterSource.COMMANDLINE]


def _all_of(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


_COUNT = click.IntRange(min=1)

diarizer_options = _all_of(
    click.option(
        "--channels",
        type=Channels(),
        default="mix",
        show_default=True,
        help="mix, split (a channel is a speaker) or the number of one.",
    ),
    click.option(
        "--speakers",
        type=_COUNT,
        help="How many people speak (default: found out); live no more than so many.",
    ),
    click.option("--min-speakers", type=_COUNT, help="At least so many."),
    click.option("--max-speakers", type=_COUNT, help="At most so many."),
    click.option(
        "--tagger",
        metavar="NAME|PATH",
        help="Emotion model: an ONNX file, a folder from sed-train or SpeechBrain, or owner/name on the Hugging "
        "Face hub (default: the bundled one).",
    ),
    click.option(
        "--diarizer",
        default="segmentation",
        show_default=True,
        metavar="NAME[:MODEL]",
        help="How speakers are found: segmentation, pyannote, none (one speaker); pyannote:FOLDER or pyannote:HUB/NAME "
        "takes another model.",
    ),
    click.option(
        "--vad",
        type=click.Choice(["segmentation", "webrtc", "silero"]),
        help="How speech is found (default: what the diarizer brings).",
    ),
    click.option(
        "--decoder",
        type=click.Choice(["viterbi", "argmax", "median", "tv"]),
        default="viterbi",
        show_default=True,
        help="How posteriors become segments.",
    ),
    click.option("--latency", type=float, metavar="S", help="Decide like a live stream with this latency."),
)

common_options = _all_of(
    click.option("--threads", type=_COUNT, default=1, show_default=True, help="Processor threads."),
    click.option("-q", "--quiet", is_flag=True, help="Errors only: no progress bar, no warnings."),
    click.version_option(package_name="sed"),
)
