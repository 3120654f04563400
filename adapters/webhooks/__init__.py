"""Webhooks: the log sent to addresses that users set."""
