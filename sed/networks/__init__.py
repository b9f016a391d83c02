"""Torch modules of the frame taggers: waves in, logits of every 20 ms frame out.

Importing this package makes `torchaudio` importable with a CPU build of torch (see `sed.networks._torchaudio`), so
every module that imports torchaudio, or a library that does, imports this package first.
"""

from sed.networks._torchaudio import allow_missing_extension

__all__ = ["allow_missing_extension"]

allow_missing_extension()
