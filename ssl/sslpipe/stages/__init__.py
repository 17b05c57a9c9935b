"""A stage reads params.yaml, calls the rooms below and writes files; no mathematics."""
