"""One colour an emotion, for plots and the web page: sRGB hex strings in, by emotion name, out.

Chosen so that they stay apart for people with normal, deuteranopic and protanopic sight: the colours differ
in lightness as well as in hue (bright warm joy, dark red anger, blue sadness, mid grey for neutral), and
black or white text (`ink`) reads well on each. A test simulates both kinds of sight: any two colours are at
least 15 apart in CIELAB, any two of the first four 30, and text has a contrast of at least 4.5.

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
OTHER = "#b5832a"  # any label that has no colour of its own
SYNONYMS = {"fear": "fearful", "disgusted": "disgust", "surprise": "surprised", "boredom": "bored"}


def colour(emotion: str | None) -> str:
    """Hex colour of `emotion`; unknown names, and None, give `OTHER`."""
    return COLOURS.get(SYNONYMS.get(emotion or "", emotion or ""), OTHER)


def luminance(hex_colour: str) -> float:
    """Relative luminance of ``#rrggbb``, 0 (black) to 1 (white), as WCAG 2 defines it."""
    channels = [int(hex_colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def ink(hex_colour: str) -> str:
    """The better of black and white for text on `hex_colour`.

    >>> ink(COLOURS["happy"]), ink(COLOURS["angry"])
    ('#000000', '#ffffff')
    """
    return "#000000" if luminance(hex_colour) > 0.179 else "#ffffff"
