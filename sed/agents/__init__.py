"""Emotions in voice agents: `sed.agents.pipecat` for Pipecat, `sed.agents.livekit` for LiveKit Agents.

Both take the audio of a running conversation and emit the `Event`s of a live stream, without delaying the audio.
"""
