"""Channels: web chat, Slack, signed webhooks; what comes in by them, and how answers go out."""
