"""The self-supervised methods, one file each; their settings lie in sslpipe/schema/methods."""

import importlib

from sslpipe.methods.method import Method


def method_class(name: str) -> type[Method]:
    """The subclass of Method in the file of this name. No other method is imported, so that a run depends
    on the code of its own alone."""
    module = importlib.import_module(f"sslpipe.methods.{name}")
    (found,) = (
        some
        for some in vars(module).values()
        if isinstance(some, type)
        and issubclass(some, Method)
        and some.__module__ == module.__name__
    )
    return found
