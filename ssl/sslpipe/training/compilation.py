"""torch.compile of a run's networks and views."""

import torch

from sslpipe.methods.method import Method


def compiles(wanted: str, device: torch.device) -> bool:
    """A CPU's kernels gain nothing from a compiler that takes a minute."""
    return wanted in ("always", "graphs") or (wanted == "auto" and device.type == "cuda")


def compile_networks(method: Method, wanted: str) -> None:
    """Compile encoders and heads in place; what they are named and hold stays the same."""
    config = torch._dynamo.config
    # Every network and size of view is a graph of its own, and all count against one limit. Past it
    # some calls of a network would run uncompiled, which autograd refuses where others are compiled.
    config.recompile_limit = 256
    # It would cut the graphs where gradients are sent, and torch 2.11's cannot cut ours.
    config.optimize_ddp = False
    mode = "reduce-overhead" if wanted == "graphs" else "default"
    for network in method.children():
        network.compile(dynamic=False, mode=mode)
