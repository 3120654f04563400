"""Calls of models, and what is configured for them."""
