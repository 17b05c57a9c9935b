"""BYOL (Grill et al. 2020, "Bootstrap Your Own Latent")."""

import torch
from torch import Tensor
from torch.nn import functional as F

from sslpipe.methods.losses import cosine_regression
from sslpipe.methods.method import Method, Output, Step
from sslpipe.networks.encoder import Encoder
from sslpipe.networks.heads import mlp
from sslpipe.networks.momentum import ema_update, momentum_at, momentum_copy
from sslpipe.schema.methods.byol import BYOL as BYOLSettings


class BYOL(Method):
    """The online network predicts the momentum target's projection of the other view."""

    def __init__(
        self, encoder: Encoder, settings: BYOLSettings, autocast: torch.dtype | None = None
    ) -> None:
        super().__init__(encoder, autocast)
        head = settings.projector
        self.ema, self.ema_schedule = settings.ema, settings.ema_schedule
        self.projector = mlp(encoder.width, head.hidden, head.output, batch_norm=True)
        self.predictor = mlp(head.output, settings.predictor_hidden, head.output, batch_norm=True)
        self.target_encoder = momentum_copy(self.encoder)
        self.target_projector = momentum_copy(self.projector)

    def loss(self, global_views: list[Tensor], local_views: list[Tensor], step: Step) -> Output:
        # One forward pass for each global view: batch statistics are a view's own.
        z = [self.project([view], self.encoder, self.projector)[0] for view in global_views]
        with torch.no_grad():
            targets = [
                self.project([view], self.target_encoder, self.target_projector)[0]
                for view in global_views
            ]
        predictions = [self.project([view], self.predictor)[0] for view in z]
        if local_views:
            local_z = self.project(local_views, self.encoder, self.projector)
            predictions += self.project(local_z, self.predictor)

        predictions = [F.normalize(p, dim=-1) for p in predictions]
        targets = [F.normalize(t, dim=-1) for t in targets]
        pairs = [
            cosine_regression(prediction, target)
            for v, prediction in enumerate(predictions)
            for u, target in enumerate(targets)
            if u != v
        ]
        # The paper sums both directions, so twice the mean, whatever the number of local crops.
        loss = 2 * torch.stack(pairs).mean()
        return Output(loss, F.normalize(z[0].detach(), dim=-1))

    def after_step(self, step: Step) -> None:
        momentum = momentum_at(step.index, step.total, self.ema, self.ema_schedule)
        ema_update(self.target_encoder, self.encoder, momentum)
        ema_update(self.target_projector, self.projector, momentum)
