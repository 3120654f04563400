"""Searches, and answers from what they find."""
