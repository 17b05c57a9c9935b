"""The schema of params.yaml: every key, its type, its range and its default; neither torch nor numpy."""
