"""A reproducible comparison of self-supervised image encoders."""

__version__ = "0.1.0"
