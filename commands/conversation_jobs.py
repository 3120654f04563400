"""The kinds of jobs that conversations ask for; the key of each is a conversation's id."""

QUEUED_TURNS = "queued_turns"
"""Begins the turn that waits longest."""
