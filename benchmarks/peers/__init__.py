"""What users run today for prompts, beside Magnet: measured by hand, `python -m benchmarks.peers`."""
