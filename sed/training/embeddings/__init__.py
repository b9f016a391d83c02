"""Embeddings of utterances from the states of their frames."""
