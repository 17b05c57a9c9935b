"""Speed, side by side with the usual alternatives: `python -m benchmarks`."""
