"""What is measured: one command, `python -m benchmarks`, prints what Magnet does beside what others do."""
