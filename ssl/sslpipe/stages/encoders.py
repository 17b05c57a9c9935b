"""Trained encoders, as stages read them."""

import numpy as np

from sslpipe.errors import UserError
from sslpipe.networks.encoder import Encoder
from sslpipe.networks.encoder_file import load_encoder
from sslpipe.provenance.checks import require, require_same
from sslpipe.provenance.record import Artefact
from sslpipe.provenance.whose import Whose


def open_encoder(whose: Whose, run: str) -> Encoder:
    """A run's encoder. Raises UserError when it is missing, damaged, or not what params.yaml asks for."""
    artefact, path = Artefact("encoder", run), whose.layout.encoder(run)
    whose.require(artefact)
    encoder = load_encoder(require(path, artefact.made_by))
    require_same(path, encoder.content, whose, artefact)
    return encoder


def require_size(run: str, encoder: Encoder, dataset: str, images: np.ndarray, wanted: int) -> None:
    """Raises UserError for packed images, (N, S, S, 3), of another side than those it was trained on,
    naming the command for whichever is not of `wanted` pixels, params.yaml's `image_size`."""
    if (side := images.shape[1]) != encoder.image_size:
        makers = {f"sslpipe subset {dataset}": side, f"sslpipe pretrain {run}": encoder.image_size}
        again = " and ".join(maker for maker, made in makers.items() if made != wanted)
        raise UserError(
            f"{run}: trained on images of {encoder.image_size} px, but {dataset} is packed with {side} px; "
            f"run snakemake or dvc repro, or: {again}"
        )
