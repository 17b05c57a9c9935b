"""SimCLR (Chen et al. 2020, "A Simple Framework for Contrastive Learning")."""

import torch
from torch import Tensor
from torch.nn import functional as F

from sslpipe.methods.losses import nt_xent
from sslpipe.methods.method import Method, Output, Step
from sslpipe.networks.encoder import Encoder
from sslpipe.networks.heads import mlp
from sslpipe.networks.ranks import gather, rank
from sslpipe.schema.methods.simclr import SimCLR as SimCLRSettings


class SimCLR(Method):
    def __init__(
        self, encoder: Encoder, settings: SimCLRSettings, autocast: torch.dtype | None = None
    ) -> None:
        super().__init__(encoder, autocast)
        head = settings.projector
        self.temperature = settings.temperature
        self.projector = mlp(
            encoder.width, head.hidden, head.output, batch_norm=True, last_bias=False
        )

    def loss(self, global_views: list[Tensor], local_views: list[Tensor], step: Step) -> Output:
        projected = self.project(global_views, self.encoder, self.projector)
        if local_views:
            projected += self.project(local_views, self.encoder, self.projector)
        z = F.normalize(torch.stack(projected), dim=-1)
        everyones = gather(z[:2])  # (W, 2, N, d)
        targets = everyones.transpose(0, 1).flatten(1, 2)
        loss = nt_xent(z, self.temperature, targets=targets, first=rank() * z.shape[1])
        return Output(loss, z[0].detach())
