"""Training: corpora, transition patterns, augmentation, the compact model, the SpeechBrain Brain, export."""
