"""Training of frame taggers with SpeechBrain: recipes, data, objectives, the learning loop, evaluation and export."""

import sed.networks  # noqa: F401  (torchaudio and speechbrain can be imported after this)
