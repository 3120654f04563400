"""Rendering of prompts, in a limited child process; this package's child imports nothing else of Magnet."""
