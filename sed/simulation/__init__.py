"""Simulated recordings with exact references: conversations, transition patterns, rooms, lines and codecs."""
