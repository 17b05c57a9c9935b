"""SimCLR (Chen et al. 2020, "A Simple Framework for Contrastive Learning")."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslpipe import schema
from sslpipe.methods.losses import nt_xent
from sslpipe.methods.method import Method, Output, Step
from sslpipe.networks.heads import mlp


class SimCLR(Method):
    def __init__(
        self, encoder: nn.Module, settings: schema.SimCLR, autocast: torch.dtype | None = None
    ) -> None:
        super().__init__(encoder, autocast)
        head = settings.projector
        self.temperature = settings.temperature
        self.projector = mlp(
            encoder.width, head.hidden, head.output, batch_norm=True, last_bias=False
        )

    def loss(self, global_views: list[Tensor], local_views: list[Tensor], step: Step) -> Output:
        z = self.project(global_views, self.encoder, self.projector)
        if local_views:
            z += self.project(local_views, self.encoder, self.projector)
        z = F.normalize(torch.stack(z), dim=-1)
        return Output(nt_xent(z, self.temperature), z[0].detach())
