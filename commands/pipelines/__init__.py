"""Pipelines: steps in sequence, as durable runs."""
