"""Simulated recordings with exact references: conversations, transition patterns, room acoustics and codecs."""
