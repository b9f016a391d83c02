"""Colour of each emotion in plots and on the web page: emotion names in, sRGB hex strings out.

The colours are distinguishable with normal, deuteranopic and protanopic vision: they differ in lightness as
well as in hue (bright yellow for happy, dark red for angry, blue for sad, mid grey for neutral), and black or
white text (`ink`) is legible on each. The tests simulate the three kinds of vision: any two colours differ by
at least 15 in CIELAB, any two of the first four by at least 30, and text has a contrast ratio of at least 4.5.

>>> colour("sad"), colour("no such emotion")
('#1060cc', '#b5832a')
"""

from __future__ import annotations

COLOURS = {
    "neutral": "#b8b8b8",
    "happy": "#f0d000",
    "angry": "#b01f24",
    "sad": "#1060cc",
    "fearful": "#3f1a70",
    "disgust": "#2f8f57",
    "surprised": "#d769be",
    "bored": "#4d4d4d",
    "calm": "#8fe0f2",
}
OTHER = "#b5832a"  # every other label
SYNONYMS = {"fear": "fearful", "disgusted": "disgust", "surprise": "surprised", "boredom": "bored"}


def colour(emotion: str | None) -> str:
    """Hex colour of `emotion`; `OTHER` for unknown names and None."""
    return COLOURS.get(SYNONYMS.get(emotion or "", emotion or ""), OTHER)


def luminance(hex_colour: str) -> float:
    """Relative luminance of ``#rrggbb`` from 0 (black) to 1 (white), as defined by WCAG 2."""
    channels = [int(hex_colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def on_black(hex_colour: str) -> str:
    """`hex_colour` mixed with white until it has a contrast of at least 4.5 as text on black, as captions have it.

    >>> on_black(COLOURS["happy"]), on_black(COLOURS["angry"])
    ('#f0d000', '#c4575b')
    """
    channels = [int(hex_colour[i : i + 2], 16) for i in (1, 3, 5)]
    for percent in range(0, 101, 5):
        mixed = "#" + "".join(f"{round(c + (255 - c) * percent / 100):02x}" for c in channels)
        if luminance(mixed) >= 4.5 * 0.05 - 0.05:
            return mixed
    return "#ffffff"


def ink(hex_colour: str) -> str:
    """Black or white, whichever has more contrast as text on `hex_colour`.

    >>> ink(COLOURS["happy"]), ink(COLOURS["angry"])
    ('#000000', '#ffffff')
    """
    return "#000000" if luminance(hex_colour) > 0.179 else "#ffffff"
