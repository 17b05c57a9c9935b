"""The self-supervised methods. To add one: its file here, its settings in schema/training.py, this dict."""

from sslpipe.methods.byol import BYOL
from sslpipe.methods.method import Method
from sslpipe.methods.moco import MoCo
from sslpipe.methods.simclr import SimCLR

METHODS: dict[str, type[Method]] = {"simclr": SimCLR, "moco": MoCo, "byol": BYOL}
