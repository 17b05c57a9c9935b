"""One optimiser step: forward and backward over the parts of a batch, then the update."""

import warnings
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sslpipe.methods.method import Method, Step
from sslpipe.networks.ranks import distributed
from sslpipe.schema.training import Pretrain
from sslpipe.training.batches import Part


class OptimizerStep:
    """Gradients are the mean over a batch's parts and over ranks, clipped if the run says so.

    In fp16 the loss is scaled so that small gradients do not vanish, and a step whose gradients
    overflow changes no weight (Micikevicius et al. 2018); nothing here waits for the device.
    """

    def __init__(
        self, method: Method, optimizer: torch.optim.Optimizer, settings: Pretrain
    ) -> None:
        self.method, self.optimizer = method, optimizer
        self.parts, self.clip_norm = settings.accumulate, settings.clip_norm
        self.trained = [p for p in method.parameters() if p.requires_grad]
        self.looks_at_gradients = type(method).after_backward is not Method.after_backward
        device = self.trained[0].device
        self.scaler = torch.amp.GradScaler(device.type, enabled=method.autocast is torch.float16)
        self.parallel: nn.Module = method
        if distributed():
            here = [device.index] if device.type == "cuda" else None
            with warnings.catch_warnings():  # the option's new name is unknown to torch below 2.14
                warnings.simplefilter("ignore", FutureWarning)
                # Buffers are batch statistics and queues, which the ranks keep alike themselves.
                self.parallel = DistributedDataParallel(method, here, broadcast_buffers=False)

    def __call__(self, parts: Iterable[Part], step: Step) -> tuple[Tensor, Tensor]:
        """parts: of the batch, normalised.

        Returns the loss, a scalar on the device, and an embedding to watch (N, d), both detached.
        """
        self.optimizer.zero_grad(set_to_none=True)
        losses = []
        for number, (global_views, local_views, labels) in enumerate(parts):
            last = number == self.parts - 1
            with nullcontext() if last else self._alone():
                output = self.parallel(
                    global_views, local_views, replace(step, part=number), *labels
                )
                self.scaler.scale(output.loss / self.parts).backward()
            losses.append(output.loss.detach())
        if self.clip_norm is not None or self.looks_at_gradients:
            self.scaler.unscale_(self.optimizer)
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.trained, self.clip_norm, foreach=True)
        self.method.after_backward(step)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.method.after_step(step)
        return torch.stack(losses).mean(), output.embedding

    def _alone(self) -> AbstractContextManager[None]:
        """Inside, gradients stay on their rank."""
        parallel = self.parallel
        return (
            parallel.no_sync() if isinstance(parallel, DistributedDataParallel) else nullcontext()
        )
