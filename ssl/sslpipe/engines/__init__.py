"""Snakemake and DVC side by side."""
