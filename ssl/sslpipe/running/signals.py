"""Stopping a training between two steps instead of in the middle of one."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist

from sslpipe.networks.ranks import PATIENCE, distributed
from sslpipe.running.jobs import left_alone


@dataclass
class Stop:
    """number: the signal that asked for a stop, 0 while none has."""

    number: int = 0


STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Note these signals instead of dying, so that the step can end and be saved."""
    stop = Stop()

    def note(number: int, _frame: object) -> None:
        stop.number = number

    before = {number: signal.signal(number, note) for number in STOPPING}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Agreement:
    """Lets the ranks stop and save at the same step, though a signal or a clock reaches each at
    another.

    What a rank says in one step all ranks hear in the next: the answer travels over the CPU's
    network while the device computes. One rank alone is heard at once. A rank whose launcher is gone
    (killed, with the lease that it held), or that nobody waits for any more, asks to stop.
    """

    def __init__(self) -> None:
        self._group: dist.ProcessGroup | None = None
        if distributed():
            group = dist.new_group(backend="gloo", timeout=PATIENCE)
            assert not isinstance(group, int), "every rank is a member"
            self._group = group
        self._launcher = os.getppid()
        self._asked: tuple[dist.Work, torch.Tensor] | None = None

    def hear(self, stop: int, save: bool) -> tuple[int, bool]:
        """The largest of all ranks' `stop` signals, and whether any wants to `save`."""
        if not stop and left_alone():
            stop = signal.SIGTERM
        if self._group is None:
            return stop, save
        if os.getppid() != self._launcher:
            stop = stop or signal.SIGTERM
        said = torch.tensor([stop, int(save)])
        work = dist.all_reduce(said, dist.ReduceOp.MAX, group=self._group, async_op=True)
        assert work is not None, "as every rank is a member"
        before, self._asked = self._asked, (work, said)
        if before is None:
            return 0, False
        before[0].wait()
        return int(before[1][0]), bool(before[1][1])
