"""A training in several processes is the same training: same batches, losses, weights and queue."""

import os
import signal
import socket
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import torch
import torch.multiprocessing as mp
from small_runs import CPU, METHODS, TIMES, make_run, small_backbone, train

from sslpipe.errors import Interrupted
from sslpipe.methods import method_class
from sslpipe.methods.moco import MoCo
from sslpipe.networks.ranks import rank
from sslpipe.running.launch import group
from sslpipe.schema.training import ResolvedRun
from sslpipe.training import loop

RANKS = 2
# Sums are made in another order, in float32; ten optimiser steps carry that on.
TOLERANCE = {"rtol": 1e-3, "atol": 1e-4}

SGD = {"optimizer": "sgd", "lr": 0.1}
RUNS = {
    "simclr": make_run("simclr", settings=SGD),
    "moco": make_run("moco", settings=SGD),
    "moco, symmetric": make_run("moco", settings=SGD | {"symmetric": True}),
    "moco, ordinary statistics": make_run("moco", settings=SGD | {"bn_groups": 1}),
    "byol": make_run("byol", settings={"lr": 0.3}),
    "byol, in parts": make_run("byol", settings={"lr": 0.3}, accumulate=2, clip_norm=0.5),
    "simclr, compiled": make_run("simclr", settings=SGD, compile="always"),
    "moco, compiled": make_run("moco", settings=SGD, compile="always"),
    "byol, compiled": make_run("byol", settings={"lr": 0.3}, compile="always"),
}


@dataclass(frozen=True)
class Job:
    """A training by two ranks. stop_at: the step after which one of them is told to stop."""

    run: ResolvedRun
    folder: Path
    stop_at: int | None = None


def work(number, ports, jobs):
    torch.set_num_threads(1)
    loop.build_backbone = small_backbone
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "RANK": str(number), "WORLD_SIZE": str(RANKS)}
    for port, job in zip(ports, jobs, strict=True):
        os.environ["MASTER_PORT"] = str(port)
        with group(CPU), after_each_step(job.run.method, job.stop_at, RANKS - 1) as seen:
            try:
                trained = train(job.run, job.folder, lead=number == 0)
            except Interrupted:
                torch.save(len(seen), job.folder / f"stopped{number}.pt")
                continue
            queue = getattr(seen[-1], "queue", None)
        result = {"encoder": trained.encoder.state_dict(), "queue": queue}
        torch.save(result, job.folder / f"rank{number}.pt")
        if number == 0:
            trained.state.table().to_csv(job.folder / "history.csv", index=False)


@contextmanager
def after_each_step(method, stop_at, told):
    """Collects the method after each step, and sends rank `told` SIGTERM after step `stop_at`."""
    kind = method_class(method)
    after_step, seen = kind.after_step, []

    def note(self, step):
        after_step(self, step)
        seen.append(self)
        if step.index == stop_at and rank() == told:
            os.kill(os.getpid(), signal.SIGTERM)

    kind.after_step = note
    try:
        yield seen
    finally:
        kind.after_step = after_step


def in_ranks(jobs):
    sockets = [socket.socket() for _ in jobs]
    for free in sockets:
        free.bind(("127.0.0.1", 0))
    ports = [free.getsockname()[1] for free in sockets]
    for job, free in zip(jobs, sockets, strict=True):
        job.folder.mkdir(parents=True, exist_ok=True)
        free.close()
    mp.spawn(work, (ports, jobs), nprocs=RANKS)


def in_one_process(run, folder, stop_at=None):
    with pytest.MonkeyPatch.context() as patch, after_each_step(run.method, stop_at, 0) as seen:
        patch.setattr(loop, "build_backbone", small_backbone)
        return train(run, folder), seen[-1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Everything that two ranks do here, done by one pair of processes: starting them takes longest."""
    folder = tmp_path_factory.mktemp("ranks")
    with pytest.raises(Interrupted):
        in_one_process(make_run("moco"), folder / "one first", stop_at=6)
    jobs = [Job(run, folder / case) for case, run in RUNS.items()]
    jobs += [Job(make_run(method), folder / f"{method} stopped", 3) for method in METHODS]
    jobs += [Job(make_run("moco"), folder / "one first")]
    jobs += [Job(make_run("byol", settings={"lr": 0.3}, sync_bn=False), folder / "apart")]
    in_ranks(jobs)
    return folder


def assert_close(encoder, history, expected):
    for name, wanted in expected.encoder.state_dict().items():
        torch.testing.assert_close(encoder[name], wanted, **TOLERANCE)
    wanted = expected.state.table().drop(columns=[*TIMES, "probe_random", "knn_random"])
    pd.testing.assert_frame_equal(history[list(wanted)], wanted, check_exact=False, **TOLERANCE)


@pytest.mark.parametrize("case", RUNS)
def test_two_ranks_train_as_one(case, folder, tmp_path):
    expected, method = in_one_process(RUNS[case], tmp_path)
    first, second = (torch.load(folder / case / f"rank{r}.pt") for r in range(RANKS))
    for name, tensor in first["encoder"].items():
        assert torch.equal(tensor, second["encoder"][name]), name
    assert_close(first["encoder"], pd.read_csv(folder / case / "history.csv"), expected)
    if isinstance(method, MoCo):
        assert torch.equal(first["queue"], second["queue"])
        torch.testing.assert_close(first["queue"], method.queue, **TOLERANCE)


def test_statistics_of_each_rank_are_another_run(folder, tmp_path):
    """Else the test above would not notice if nothing were synchronised."""
    expected, _ = in_one_process(make_run("byol", settings={"lr": 0.3}), tmp_path)
    history = pd.read_csv(folder / "apart/history.csv")
    assert (history["loss"] - expected.state.table()["loss"]).abs().max() > 1e-2


@pytest.mark.parametrize("method", METHODS)
def test_a_signal_to_one_rank_stops_all_and_one_process_can_go_on(method, folder, tmp_path):
    run = make_run(method)
    expected, _ = in_one_process(run, tmp_path)
    stopped = {torch.load(folder / f"{method} stopped/stopped{r}.pt") for r in range(RANKS)}
    assert len(stopped) == 1  # at the same step, the one after the signal was heard
    assert stopped.pop() in (4, 5, 6)
    resumed, _ = in_one_process(run, folder / f"{method} stopped")
    assert resumed.state.resumed == 1
    assert_close(resumed.encoder.state_dict(), resumed.state.table(), expected)


def test_ranks_can_go_on_where_one_process_stopped(folder, tmp_path):
    expected, _ = in_one_process(make_run("moco"), tmp_path)
    first = torch.load(folder / "one first/rank0.pt")
    history = pd.read_csv(folder / "one first/history.csv")
    assert history["resumed"].sum() == 1
    assert_close(first["encoder"], history, expected)
