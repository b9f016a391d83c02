"""Training clips: utterances and unlabelled audio in, augmented batches with frame targets out."""
