"""What every image encoder is."""

from torch import nn


class Encoder(nn.Module):
    """(N, 3, H, W) -> (N, width). image_size, content: of one that was read from a file (`load_encoder`)."""

    width: int
    image_size: int
    content: str
