"""Encoders as safetensors: torchvision's own parameter names, and how to build the network."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from sslpipe.errors import UserError
from sslpipe.io.files import write_bytes
from sslpipe.networks.backbones import build_backbone
from sslpipe.networks.encoder import Encoder

if TYPE_CHECKING:
    from sslpipe.schema.training import ResolvedRun


def save_encoder(
    path: Path, encoder: Encoder, run: "ResolvedRun", made_of: Mapping[str, Any]
) -> str:
    """The same weights, made of the same (see provenance.record), always give the same bytes. Returns
    their checksum."""
    tensors = {name: t.detach().cpu().contiguous() for name, t in encoder.state_dict().items()}
    about: dict[str, Any] = {
        "run": run.name,
        "method": run.method,
        "backbone": run.backbone,
        "stem": run.pretrain.stem,
        "image_size": run.image_size,
        "made_of": dict(made_of),
    }
    about["sha256"] = checksum(about, tensors)
    # One key only: safetensors does not keep the order of several.
    write_bytes(path, save(tensors, metadata={"sslpipe": json.dumps(about)}))
    return about["sha256"]


def checksum(about: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    """sha256 of both, names and shapes included."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def load_encoder(path: Path) -> Encoder:
    """The encoder in evaluation mode, on the CPU; `image_size`: the side of images it was trained on;
    `content`: its checksum.

    Raises UserError for a damaged file."""
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["sslpipe"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        content = about.pop("sha256")
        if content != checksum(about, tensors):
            raise ValueError("its checksum does not fit")
        encoder = build_backbone(about["backbone"], stem=about["stem"])
        encoder.load_state_dict(tensors)
        encoder.image_size, encoder.content = about["image_size"], content
    except (SafetensorError, KeyError, TypeError, RuntimeError, ValueError) as error:
        raise UserError(
            f"{path}: not an encoder of this pipeline ({str(error).splitlines()[0]}); "
            f"delete it and run: dvc checkout {path}, or: sslpipe pretrain {path.parent.name}"
        ) from None
    return encoder.eval()
