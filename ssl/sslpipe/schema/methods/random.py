"""No training: the encoder as it was initialised."""

from sslpipe.schema.methods.base import MethodSettings


class Random(MethodSettings):
    """No training: the encoder as it was initialised."""
