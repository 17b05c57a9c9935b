"""What is said when one of several processes ends: the cause, and not what followed from it."""

import signal

import pytest
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from sslpipe.errors import Interrupted, UserError
from sslpipe.running import launch

GONE = launch.LOST
STOPPED = -signal.SIGTERM  # by the launcher, because another process had ended


def explain(codes, folder):
    """codes: rank → exit code, in the order in which the launcher noticed them."""
    failures = {rank: ProcessFailure(rank, 1, code, "") for rank, code in codes.items()}
    log = folder / "attempt_0/1/stderr.log"
    log.parent.mkdir(parents=True)
    log.write_text("sslpipe: runs.x: too large\n\n")
    launch._explain("x", 2, ChildFailedError("sslpipe", failures), folder)


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (
            {1: 1, 0: STOPPED},
            r"x: process 1 of 2 stopped: runs\.x: too large$",
        ),
        ({0: GONE, 1: 1}, r"x: process 1 of 2 stopped: runs\.x: too large$"),
        (
            {0: GONE, 1: -signal.SIGKILL},
            "x: process 1 of 2 ended with SIGKILL; the others were stop",
        ),
        (
            {0: -signal.SIGSEGV, 1: GONE},
            "x: process 0 of 2 ended with SIGSEGV; the others were stop",
        ),
        ({0: GONE, 1: GONE}, "x: process 0 of 2 ended with exit code 3; the others were stopped"),
    ],
)
def test_the_cause_is_named(codes, message, tmp_path):
    with pytest.raises(UserError, match=message):
        explain(codes, tmp_path)


@pytest.mark.parametrize("codes", [{0: 1, 1: STOPPED}, {0: 1, 1: GONE}])
def test_what_the_first_process_has_said_is_not_repeated(codes, tmp_path):
    with pytest.raises(SystemExit) as caught:
        explain(codes, tmp_path)
    assert caught.value.code == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_a_stop(number, tmp_path):
    with pytest.raises(Interrupted) as caught:
        explain({0: 128 + number, 1: 128 + number}, tmp_path)
    assert caught.value.exit_code == 128 + number
