"""Recorded conversations, answered again by another version of their agent."""
