"""The schema of pretraining."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SerializeAsAny

from sslpipe.schema.methods.base import Given, MethodSettings, Optimizer
from sslpipe.schema.types import Count, Fraction, Name, NonNegative, Positive, Seed, Strict

# YAML has lists only, so a strict tuple could never be given.
Scale = Annotated[
    tuple[Positive, Positive], Field(description="lowest and highest value", strict=False)
]


def _ordered(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError(f"lowest first: [{pair[1]}, {pair[0]}]")
    return pair


def _areas(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[1] > 1:
        raise ValueError("areas are shares of the image: at most 1")
    return _ordered(pair)


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("must be odd")
    return value


class Views(Strict):
    """The augmentation policy, shared by all methods (study: SimCLR's, after Chen et al. 2020)."""

    backend: Literal["batched", "torchvision", "kornia"] = "batched"
    scale: Annotated[Scale, AfterValidator(_areas)] = (0.2, 1.0)
    ratio: Annotated[Scale, AfterValidator(_ordered)] = (3 / 4, 4 / 3)
    flip: Fraction = 0.5
    jitter: Fraction = 0.8
    brightness: NonNegative = 0.4
    contrast: NonNegative = 0.4
    saturation: NonNegative = 0.4
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    grayscale: Fraction = 0.2
    blur: Fraction = 0.5
    blur_sigma: Annotated[Scale, AfterValidator(_ordered)] = (0.1, 2.0)
    blur_kernel: Annotated[int, Field(ge=3), AfterValidator(_odd)] | None = None
    """Pixels, odd; by default a tenth of the view's side (SimCLR, appendix A)."""
    local: Annotated[int, Field(ge=0, le=16)] = 0
    """Local crops besides the two global views."""
    local_size: Annotated[int, Field(ge=8)] | None = None
    """Side of a local crop in pixels; by default image_size, as in the study."""
    local_scale: Annotated[Scale, AfterValidator(_areas)] = (0.05, 0.2)
    workers: Annotated[int, Field(ge=0, le=256)] = 0
    """Processes that make views; 0 makes them in the training process, on its device."""


class Online(Strict):
    """What is measured while training, on the val split of the named sets."""

    datasets: list[Name]
    knn_every: Count = 5
    probe_every: Count = 10
    probe_epochs: Count = 10
    probe_lr: Positive = 1e-3
    bank: Count = 10_000
    """At most this many training images of each set are embedded for it."""


class Pretrain(Strict):
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 100
    batch_size: Annotated[int, Field(ge=2, le=10**6)] = 256
    """Images of an optimiser step, over all its parts and GPUs."""
    accumulate: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Parts in which a batch is worked through, one after another, to save memory. Batch statistics
    and SimCLR's negatives are then those of a part."""
    gpus: Annotated[int, Field(ge=1, le=64)] = 1
    """GPUs that share each batch; the run stays the same."""
    sync_bn: bool = True
    """Batch statistics over all GPUs; false: each GPU's own, and another run for each number of
    GPUs. MoCo's are always those of its bn_groups."""
    clip_norm: Positive | None = None
    """The longest gradient, over all weights together; a longer one is scaled down to it."""
    warmup_epochs: NonNegative = 0
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """auto: bf16 where the device has instructions for it, else fp16 on a GPU with tensor cores,
    else fp32. fp16 scales the loss so that small gradients do not vanish."""
    compile: Literal["auto", "never", "always", "graphs"] = "auto"
    """torch.compile of views and networks. auto: on a GPU; graphs: also CUDA graphs, for batches so
    small that starting kernels takes longer than their work."""
    deterministic: bool = False
    """On a GPU: the same bytes each time, some per cent slower. A CPU's always are."""
    stem: Literal["imagenet", "small"] = "imagenet"
    """small: 3×3 stride 1 without max-pool, for images up to about 40 pixels."""
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """CPU threads; 0 is all. Sums depend on it in the last bits, so fix it to compare bytes."""
    seed: Seed = 0
    checkpoint_minutes: NonNegative = 5
    views: Views = Views()
    online: Online


class ResolvedRun(Strict):
    """A run with every setting filled in: its method's, `pretrain`'s, its own overrides."""

    name: str
    method: str
    backbone: str
    corpus: str
    image_size: int
    settings: SerializeAsAny[MethodSettings]
    pretrain: Pretrain

    @property
    def trained(self) -> bool:
        return self.method != "random"

    @property
    def optimization(self) -> Optimizer:
        """Of a run that is trained: its settings."""
        assert isinstance(self.settings, Optimizer)
        return self.settings

    def misfits(self, given: Given) -> Iterator[str]:
        """Which sizes do not go together, each as a line without the run's name."""
        batch, parts = self.pretrain.batch_size, self.pretrain.accumulate
        if given.images is not None and batch > given.images:
            yield f"batch_size {batch} is larger than corpus {self.corpus!r} ({given.images_in_words})"
        if batch % (parts * given.processes) or batch // (parts * given.processes) < 2:
            yield (
                f"batch_size {batch} must be a multiple of accumulate {parts} × "
                f"{given.processes_in_words}, with at least 2 images for each"
            )
        yield from self.settings.misfits(self, given)
