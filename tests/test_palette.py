"""The colours are distinguishable with normal and with red-green deficient vision, and text on them is legible."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from sed.palette import COLOURS, OTHER, colour, ink, luminance

# Machado, Oliveira, Fernandes 2009, severity 1, in linear RGB.
VISION = {
    "normal": np.eye(3),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
    ),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(hex_colour, vision):
    channels = np.array([int(hex_colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(VISION[vision] @ linear, 0, 1) / [0.9505, 1.0, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", VISION)
def test_colours_differ(vision):
    colours = {**COLOURS, "other": OTHER}
    distances = {
        pair: np.linalg.norm(lab(colours[pair[0]], vision) - lab(colours[pair[1]], vision))
        for pair in combinations(colours, 2)
    }
    assert min(distances.values()) > 15, min(distances, key=distances.get)
    main = ("neutral", "happy", "angry", "sad")
    assert min(value for pair, value in distances.items() if {*pair} <= {*main}) > 30


@pytest.mark.parametrize("background", [*COLOURS.values(), OTHER])
def test_text_contrast(background):
    darker, lighter = sorted((luminance(background), luminance(ink(background))))
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def test_names_and_synonyms():
    assert list(COLOURS)[:4] == ["neutral", "happy", "angry", "sad"]
    assert colour("fear") == colour("fearful") == COLOURS["fearful"]
    assert colour("surprise") == COLOURS["surprised"]
    assert colour(None) == colour("zeal") == OTHER
    assert len({*COLOURS.values(), OTHER}) == len(COLOURS) + 1
