"""Doctests of modules that need an optional framework are collected only where it is installed."""

from importlib.util import find_spec

FRAMEWORKS = {"sed/agents/pipecat.py": "pipecat", "sed/agents/livekit.py": "livekit"}
collect_ignore = [module for module, package in FRAMEWORKS.items() if find_spec(package) is None]
