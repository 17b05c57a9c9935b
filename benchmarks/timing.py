"""Interleaved timing: in each round every subject has one turn, so a slow moment hits all."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

T = TypeVar("T")


def take_turns(subjects: dict[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """What each subject returned in each round. One round before the first warms up; without
    `rounds`, it is the one that counts."""
    names = list(subjects)
    results: dict[str, list[T]] = {name: [] for name in names}
    for turn in range(rounds + 1):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            result = subjects[name]()
            if turn or not rounds:
                results[name].append(result)
    return results


def median_rates(
    subjects: dict[str, Callable[[], object]],
    amount: int,
    device: torch.device,
    *,
    rounds: int = 5,
    seconds: float = 0.0,
) -> dict[str, float]:
    """Median units a second of each subject, a call of which does `amount` units.

    A turn is one call, or as many as take `seconds`.
    """
    turns = {
        name: lambda function=function: amount / seconds_a_call(function, device, seconds)
        for name, function in subjects.items()
    }
    return {name: statistics.median(rates) for name, rates in take_turns(turns, rounds).items()}


def seconds_a_call(
    function: Callable[[], object], device: torch.device, seconds: float = 0.0
) -> float:
    """The number of calls is doubled until they take `seconds` together."""
    calls = 1
    while True:
        synchronize(device)
        started = time.perf_counter()
        for _ in range(calls):
            function()
        synchronize(device)
        taken = time.perf_counter() - started
        if taken >= seconds:
            return taken / calls
        calls *= 2


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
