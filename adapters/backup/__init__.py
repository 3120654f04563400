"""Backups: the whole of an installation in one checked file, and back."""
