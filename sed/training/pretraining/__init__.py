"""Continued pretraining of encoders on unlabelled speech (task-adaptive pretraining)."""
