"""MoCo (He et al. 2020, "Momentum Contrast"), with the head and views of v2 (Chen et al. 2020b)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from sslpipe.methods.losses import info_nce
from sslpipe.methods.method import Method, Output, Step
from sslpipe.networks.encoder import Encoder
from sslpipe.networks.heads import mlp
from sslpipe.networks.momentum import ema_update, momentum_at, momentum_copy
from sslpipe.networks.ranks import joined, own_part, ranks
from sslpipe.schema.methods.moco import MoCo as MoCoSettings
from sslpipe.seeds import seed_of
from sslpipe.views.keyed import sample_keys


class MoCo(Method):
    """Queries from the trained encoder, keys from its momentum copy, negatives from a queue."""

    queue: Tensor

    def __init__(
        self, encoder: Encoder, settings: MoCoSettings, autocast: torch.dtype | None = None
    ) -> None:
        super().__init__(encoder, autocast)
        head = settings.projector
        self.temperature = settings.temperature
        self.ema, self.ema_schedule = settings.ema, settings.ema_schedule
        self.symmetric = settings.symmetric
        # Without groups a permutation changes no statistic, so there is nothing to shuffle.
        self.shuffle = settings.shuffle_bn and settings.bn_groups > 1
        self.projector = mlp(encoder.width, head.hidden, head.output, batch_norm=False)
        self.key_encoder = momentum_copy(self.encoder)
        self.key_projector = momentum_copy(self.projector)
        self.register_buffer("queue", F.normalize(torch.randn(settings.queue, head.output), dim=1))
        self.new_keys: list[Tensor] = []

    def loss(self, global_views: list[Tensor], local_views: list[Tensor], step: Step) -> Output:
        # The order matters: queries, EMA, keys, logits, and only then (after_step) the queue.
        queried = global_views if self.symmetric else global_views[:1]
        queries = [
            F.normalize(self.project([view], self.encoder, self.projector)[0], dim=-1)
            for view in queried
        ]
        locals_ = []
        if local_views:
            locals_ = self.project(local_views, self.encoder, self.projector)
            locals_ = [F.normalize(z, dim=-1) for z in locals_]

        if step.part == 0:
            momentum = momentum_at(step.index, step.total, self.ema, self.ema_schedule)
            ema_update(self.key_encoder, self.encoder, momentum)
            ema_update(self.key_projector, self.projector, momentum)

        keyed = [global_views[1], global_views[0]][: len(queried)]
        keys = [self.keys(view, step, number) for number, view in enumerate(keyed)]
        losses = [
            info_nce(torch.stack([query, *locals_]), own_part(key), self.queue, self.temperature)
            for query, key in zip(queries, keys, strict=True)
        ]
        self.new_keys += keys
        return Output(torch.stack(losses).mean(), queries[0].detach())

    @torch.no_grad()
    def keys(self, view: Tensor, step: Step, number: int) -> Tensor:
        """Unit keys (W·N, d) of the ranks' joined view, permuted against the queries' if asked.

        view: (N, 3, S, S), this rank's part. The permutation is that of the whole batch, so that
        a key's batch statistics come from any images of it (ShuffleBN).
        """
        if not self.shuffle:
            return joined(self._key(view))
        # By keyed numbers, as drawing on the host would make a GPU wait.
        seed = seed_of(step.seed, "shuffle_bn")
        places = torch.arange(len(view) * ranks(), device=view.device)
        stream = 2 * step.part + number
        order = sample_keys(places, seed=seed, epoch=step.index, view=stream).argsort()
        z = joined(self._key(joined(view).index_select(0, own_part(order))))
        return z.index_select(0, order.argsort())

    def _key(self, view: Tensor) -> Tensor:
        (z,) = self.project([view], self.key_encoder, self.key_projector)
        return F.normalize(z, dim=-1)

    @torch.no_grad()
    def after_step(self, step: Step) -> None:
        """Enqueue the step's keys. The place in the ring follows from the step's number."""
        keys = torch.cat(self.new_keys)
        start = step.index * len(keys) % len(self.queue)
        places = torch.arange(start, start + len(keys), device=keys.device) % len(self.queue)
        self.queue.index_copy_(0, places, keys)
        self.new_keys = []
