"""Recipes: YAML and command line in, checked hyperparameters and a training run out."""
