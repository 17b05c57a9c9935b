"""MoCo's settings."""

from collections.abc import Iterator
from typing import ClassVar

from sslpipe.schema.methods.base import EmaSchedule, Given, Optimizer, Projector, Share
from sslpipe.schema.training import ResolvedRun
from sslpipe.schema.types import Count, Positive


class MoCo(Optimizer):
    PAPER: ClassVar = "MoCo (He et al. 2020)"
    OWN_BATCH_STATISTICS: ClassVar = True
    temperature: Positive = 0.2
    projector: Projector = Projector()
    queue: Count = 65536
    ema: Share = 0.999
    ema_schedule: EmaSchedule = "constant"
    symmetric: bool = False
    bn_groups: Count = 8
    """Batch statistics are taken in this many groups; 1 is ordinary batch normalisation."""
    shuffle_bn: bool = True
    """Permute the keys' batch, so that a query and its key fall into different groups."""

    @property
    def batch_groups(self) -> int:
        return self.bn_groups

    def misfits(self, run: ResolvedRun, given: Given) -> Iterator[str]:
        batch, parts, groups = run.pretrain.batch_size, run.pretrain.accumulate, self.bn_groups
        if batch % (parts * groups) or batch // (parts * groups) < 2:
            by = f"accumulate {parts} × bn_groups {groups}" if parts > 1 else f"bn_groups {groups}"
            yield f"batch_size {batch} must be a multiple of {by}, with at least 2 images a group"
        if groups > 1 and groups % given.processes:
            yield f"bn_groups {groups} must be 1 or a multiple of {given.processes_in_words}"
        if given.images is not None and self.queue > given.images:
            yield (
                f"queue {self.queue} is larger than corpus {run.corpus!r} ({given.images_in_words}): "
                "positives would be among the negatives; make queue smaller"
            )
        keys = 2 * batch if self.symmetric else batch
        if keys > self.queue:
            yield f"queue {self.queue} is smaller than the {keys} keys of one step"
