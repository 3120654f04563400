"""Channels: how each type of them is spoken to."""
