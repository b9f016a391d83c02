"""Emotional speech corpora: manifests, ratings, audio, splits, and one reader per published corpus. No torch."""
