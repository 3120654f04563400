"""Runs: what is recorded of every execution."""
