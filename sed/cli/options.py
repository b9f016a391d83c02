"""Options that several commands share: the stages of `EmotionDiarizer`, ``--threads`` and ``--quiet``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from sed.emotion.bundled import LICENCE, NAME
from sed.errors import OptionError


class Channels(click.ParamType):
    """``mix``, ``split`` or the number of a channel, starting at 1."""

    name = "mix|split|N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | int:
        """The string ``mix`` or ``split``, or the number."""
        if value in ("mix", "split"):
            return str(value)
        if isinstance(value, int) or (str(value).isdigit() and int(value) >= 1):
            return int(value)
        self.fail(f"{value!r}: expected mix, split or the number of a channel (1 is the first)", param, ctx)


class Prior(click.ParamType):
    """Probabilities of labels: ``neutral=0.5,sad=0.1``."""

    name = "label=p,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, float]:
        """The probability by label."""
        from sed.emotion.priors import parse_prior

        if isinstance(value, dict):
            return value
        try:
            return parse_prior(value)
        except OptionError as error:
            self.fail(str(error), param, ctx)


class Enrolment(click.ParamType):
    """A known speaker and a recording: ``name=file``."""

    name = "name=file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The value, if it is of that form."""
        from sed.enrolment import parse_enrolments

        try:
            parse_enrolments([value])
        except OptionError as error:
            self.fail(str(error), param, ctx)
        return str(value)


def on_command_line(*names: str) -> list[str]:
    """The options among `names` that the user gave on the command line."""
    context = click.get_current_context()
    return [n for n in names if context.get_parameter_source(n) is click.core.ParameterSource.COMMANDLINE]


def _all_of(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


_COUNT = click.IntRange(min=1)
TAGGER_SETTINGS = ("tagger", "prior", "sensitivity")
"""The settings of `EmotionDiarizer` that `tagger_options` give."""

tagger_options = _all_of(
    click.option(
        "--tagger",
        metavar="NAME|PATH",
        help=f"Emotion model: an ONNX file, a folder from sed-train or SpeechBrain, or owner/name on the Hugging Face "
        f"hub (default: {NAME}, free for every use, {LICENCE}).",
    ),
    click.option(
        "--prior",
        type=Prior(),
        metavar="LABEL=P,...",
        help="How frequent labels are in this speech, such as neutral=0.5; the others share the rest (default: the "
        "model's).",
    ),
    click.option(
        "--sensitivity",
        type=float,
        metavar="X",
        help="Multiply the odds of every emotion against neutral by X: 2 finds more emotion, 0.5 less (default: 1).",
    ),
)

device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="auto|cpu|cuda[:N]",
    help="Where the networks run; a GPU needs onnxruntime-gpu. auto: torch taggers on a GPU if there is one, the "
    "rest on the CPU.",
)

enrol_option = click.option(
    "--enrol",
    "enrolments",
    multiple=True,
    type=Enrolment(),
    metavar="NAME=FILE",
    help="A recording of a known speaker, alone and sounding as usual; repeat for several files and speakers. Speakers "
    "who match get the name, others stay unknown.",
)

diarizer_options = _all_of(
    click.option(
        "--channels",
        type=Channels(),
        default="mix",
        show_default=True,
        help="mix, split (one speaker per channel) or the number of a channel.",
    ),
    click.option(
        "--speakers",
        type=_COUNT,
        help="Number of speakers (default: estimated); a live stream only enforces the maximum.",
    ),
    click.option("--min-speakers", type=_COUNT, help="Minimum number of speakers."),
    click.option("--max-speakers", type=_COUNT, help="Maximum number of speakers."),
    tagger_options,
    click.option(
        "--diarizer",
        default="segmentation",
        show_default=True,
        metavar="NAME[:MODEL]",
        help="Speaker diarizer: segmentation, pyannote, none (one speaker); pyannote:FOLDER or pyannote:HUB/NAME "
        "selects another model.",
    ),
    click.option(
        "--vad",
        type=click.Choice(["segmentation", "webrtc", "silero", "none"]),
        help="Voice activity detector (default: that of the diarizer); none: every frame is speech, to compare with "
        "systems that also label silence (with --diarizer none).",
    ),
    click.option(
        "--decoder",
        type=click.Choice(["viterbi", "argmax", "median", "tv"]),
        default="viterbi",
        show_default=True,
        help="Decoder from posteriors to segments.",
    ),
    click.option(
        "--latency", type=float, metavar="S", help="Decode like a live stream with a latency of S seconds."
    ),
)

common_options = _all_of(
    click.option("--threads", type=_COUNT, default=1, show_default=True, help="Number of CPU threads."),
    click.option("-q", "--quiet", is_flag=True, help="Errors only: no progress bar, no warnings."),
)
