"""Several processes for one training: started here or by torchrun, and joined in a group."""

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import torch
import torch.distributed as dist
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, Std
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from sslpipe.errors import TRY_AGAIN, Interrupted, UserError
from sslpipe.networks.ranks import PATIENCE

LOST = 3  # exit code of a rank that another one has left
# A rank that was asked to stop may be compiling or scoring the encoder before it can save its state.
SECONDS_TO_STOP = 600


def launched() -> bool:
    """Whether this process is one rank of a training (torchrun's variables)."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def launch(run: str, count: int) -> None:
    """Train a run in `count` processes of this command line.

    Raises UserError when one of them fails or is killed; the others are stopped then.
    """
    for noisy in ("agent.server.api", "multiprocessing.api"):
        logging.getLogger(f"torch.distributed.elastic.{noisy}").setLevel(logging.CRITICAL)
    # An environment variable, as older releases have no such option.
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(SECONDS_TO_STOP))
    with tempfile.TemporaryDirectory() as folder:
        others = dict.fromkeys(range(1, count), Std.ALL)  # the first rank speaks for all
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            run_id=run,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="127.0.0.1",  # else found by a host name, which not every machine can resolve
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=folder, redirects=others),
        )
        signal.signal(signal.SIGUSR1, _pass_on)  # torch's launcher passes on the other signals
        try:
            elastic_launch(config, sys.executable)("-m", "sslpipe", "pretrain", run)
        except SignalException as stopped:
            raise Interrupted(int(stopped.sigval)) from None
        except ChildFailedError as failed:
            _explain(run, count, failed, Path(folder))


def _pass_on(number: int, _frame: object) -> None:
    for rank in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            rank.send_signal(number)


def _explain(run: str, count: int, failed: ChildFailedError, folder: Path) -> None:
    """Raises what this process should end with: for the cause, not for what followed from it."""
    # In the order in which they were noticed: those that were stopped because of it come later.
    codes = {rank: failure.exitcode for rank, failure in failed.failures.items()}
    rank = next((rank for rank, code in codes.items() if code != LOST), min(codes))
    if (code := codes[rank]) in (TRY_AGAIN, -signal.SIGUSR1):  # the latter before it was listening
        raise Interrupted(signal.SIGUSR1)
    if code - 128 in (signal.SIGTERM, signal.SIGINT):
        raise Interrupted(code - 128)
    if rank == 0 and code == 1:  # the first rank has said why
        raise SystemExit(1)
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    said = [
        line
        for log in folder.rglob(f"{failed.failures[rank].local_rank}/stderr.log")
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines()
        if line.strip()
    ]
    last = said[-1] if said and code > 0 else ""
    stopped = f"{run}: process {rank} of {count}"
    if last.startswith("sslpipe: "):  # it knew what is wrong, and what to do
        raise UserError(f"{stopped} stopped: {last.removeprefix('sslpipe: ')}")
    raise UserError(
        f"{stopped} ended with {how}{f' ({last})' if last else ''}; the others were stopped. "
        "Run again to go on from the last checkpoint"
    )


@contextmanager
def group(device: torch.device) -> Iterator[None]:
    """Join the other ranks, for the time of a training.

    Raises SystemExit when another rank is gone: the launcher says which, and why.
    """
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=PATIENCE)
    try:
        yield
    except RuntimeError as error:
        if not _of_a_lost_rank(error):
            raise
        raise SystemExit(LOST) from None
    finally:
        dist.destroy_process_group()


def _of_a_lost_rank(error: RuntimeError) -> bool:
    """NCCL's errors have a class, gloo's a text."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)
