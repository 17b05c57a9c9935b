"""W ranks of N images give the loss and the gradients of one rank of W·N images."""

import os
import socket

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from sslpipe.methods.method import Step
from sslpipe.methods.simclr import SimCLR
from sslpipe.schema.methods.base import Projector
from sslpipe.schema.methods.simclr import SimCLR as SimCLRSettings

RANKS, IMAGES = 2, 6


class Flat(nn.Sequential):
    width = 16

    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(3 * 4 * 4, 16))


def build():
    torch.manual_seed(0)
    method = SimCLR(Flat(), SimCLRSettings(projector=Projector(hidden=8, output=8)))
    method.projector[1] = nn.Identity()  # batch statistics are a rank's own
    return method.double()


def views(number, first=0, last=RANKS * IMAGES):
    draw = torch.Generator().manual_seed(1)
    every = [torch.randn(RANKS * IMAGES, 3, 4, 4, generator=draw).double() for _ in range(number)]
    return [view[first:last] for view in every]


def loss_and_gradients(method, local_views, first=0, last=RANKS * IMAGES):
    every = views(2 + local_views, first, last)
    method.project = lambda some, *networks: list(
        networks[1](networks[0](torch.cat(some))).chunk(len(some))
    )
    loss = method.loss(every[:2], every[2:], Step(0, 1, 0)).loss
    loss.backward()
    return loss.detach(), [p.grad for p in method.parameters()]


def work(rank, port, local_views, folder):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=RANKS)
    first = rank * IMAGES
    loss, gradients = loss_and_gradients(build(), local_views, first, first + IMAGES)
    for value in (loss, *gradients):  # what DistributedDataParallel does
        dist.all_reduce(value)
        value /= RANKS
    if rank == 0:
        torch.save((loss, gradients), f"{folder}/result.pt")
    dist.destroy_process_group()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_two_ranks_equal_one(tmp_path):
    for local_views in (0, 2):
        mp.spawn(work, (free_port(), local_views, str(tmp_path)), nprocs=RANKS)
        loss, gradients = torch.load(tmp_path / "result.pt")
        expected_loss, expected = loss_and_gradients(build(), local_views)
        torch.testing.assert_close(loss, expected_loss)
        for actual, wanted in zip(gradients, expected, strict=True):
            torch.testing.assert_close(actual, wanted)
