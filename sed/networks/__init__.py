"""Torch modules of the frame taggers: waves in, logits of every 20 ms frame out. No data, no training.

Importing this package lets `torchaudio` import beside a CPU build of torch (`sed.networks._torchaudio` has the
reason), so every module that imports torchaudio, or a library that does, imports this package first.
"""

from sed.networks._torchaudio import allow_missing_extension

__all__ = ["allow_missing_extension"]

allow_missing_extension()
