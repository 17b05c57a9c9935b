"""The small experiment of slurm_loopback.py; skipped where Slurm is not installed."""

import pytest
import slurm_loopback as loopback
from slurm import Slurm, missing

REASON = missing()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The experiment after its end, and the job of the training that was signalled."""
    folder = tmp_path_factory.mktemp("slurm")
    with Slurm(folder / "cluster") as slurm:
        experiment = loopback.Experiment(folder / "project", slurm, full=False)
        with loopback.drained(slurm, "b"):
            job = loopback.run_experiment(experiment)
        yield experiment, job


def test_an_experiment_through_slurm(finished):
    experiment, _ = finished
    loopback.check_jobs(experiment)
    loopback.check_devices(experiment)
    loopback.check_results(experiment)


def test_a_training_that_is_told_to_stop_goes_on_in_the_same_job(finished):
    loopback.check_requeued(*finished)
    loopback.check_same_bytes(finished[0])


def test_a_requeued_training_goes_on_on_another_node(finished):
    loopback.check_other_node(finished[0])
