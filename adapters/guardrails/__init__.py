"""Guardrails that come along: personal data, injected instructions, a provider's moderation."""
