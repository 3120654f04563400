"""Conversations and their turns: begun, answered, followed, forked, closed."""
