"""Backbones, heads and momentum copies. Knows nothing of files or data."""
