"""Command lines, one module a command: only parsing and printing."""
