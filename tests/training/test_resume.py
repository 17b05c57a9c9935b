"""A training that was interrupted anywhere ends with the same bytes as one that was not."""

import contextlib
import errno
import io
import os
import signal

import pandas as pd
import pytest
import torch
from safetensors.torch import save
from small_runs import SETTINGS, TIMES, make_run, small_backbone, train

from sslpipe.errors import Interrupted, UserError
from sslpipe.methods import method_class
from sslpipe.running import checkpoint
from sslpipe.running.checkpoint import RunState
from sslpipe.schema.training import Views
from sslpipe.training import loop, state

SAVE = torch.save


@pytest.fixture(autouse=True)
def small_networks(monkeypatch):
    monkeypatch.setattr(loop, "build_backbone", small_backbone)


def encoder_bytes(trained):
    return save({k: v.contiguous() for k, v in trained.encoder.state_dict().items()})


def assert_same(actual, expected):
    assert encoder_bytes(actual) == encoder_bytes(expected)
    pd.testing.assert_frame_equal(
        actual.state.table().drop(columns=TIMES),
        expected.state.table().drop(columns=TIMES),
        check_exact=True,
    )


def test_a_schedulers_warning_is_answered_with_the_code_to_try_again(tmp_path, monkeypatch):
    run, after_step = make_run("simclr"), method_class("simclr").after_step
    expected = train(run, tmp_path / "whole")

    def warn(self, step):
        after_step(self, step)
        if step.index == 6:
            os.kill(os.getpid(), signal.SIGUSR1)

    monkeypatch.setattr(method_class("simclr"), "after_step", warn)
    with pytest.raises(Interrupted) as caught:
        train(run, tmp_path / "cut")
    assert caught.value.exit_code == 75
    monkeypatch.setattr(method_class("simclr"), "after_step", after_step)
    assert_same(train(run, tmp_path / "cut"), expected)


@pytest.mark.parametrize("method", SETTINGS)
def test_interrupted_by_a_signal(method, tmp_path, monkeypatch):
    run = make_run(method)
    expected = train(run, tmp_path / "whole")
    assert expected.state.table()["resumed"].tolist() == [0, 0]
    assert expected.state.table()["knn_random"].notna().all()
    assert expected.state.table()["probe_random"].notna().tolist() == [False, True]

    stops = iter([0, 3, 4, 8])
    stop_at = next(stops)
    after_step = method_class(method).after_step

    def interrupt(self, step):
        after_step(self, step)
        if step.index == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(method_class(method), "after_step", interrupt)
    for _ in range(4):
        with pytest.raises(Interrupted) as caught:
            train(run, tmp_path / "cut")
        assert caught.value.exit_code == 128 + signal.SIGTERM
        stop_at = next(stops, None)
    actual = train(run, tmp_path / "cut")
    assert_same(actual, expected)
    assert actual.state.resumed == 4
    assert actual.state.table()["resumed"].tolist() == [1, 1]


def test_resumed_in_another_number_format(tmp_path, monkeypatch):
    """As `precision: auto` does on another device."""
    run, after_step = make_run("simclr"), method_class("simclr").after_step
    formats = [None, torch.float16, torch.bfloat16, None]
    for stop_at, autocast in enumerate(formats[:-1]):

        def interrupt(self, step, stop_at=stop_at):
            after_step(self, step)
            if step.index == stop_at:
                os.kill(os.getpid(), signal.SIGTERM)

        monkeypatch.setattr(method_class("simclr"), "after_step", interrupt)
        with pytest.raises(Interrupted):
            train(run, tmp_path, autocast=autocast)
    trained = train(run, tmp_path, autocast=formats[-1])
    assert trained.state.resumed == 3 and trained.state.step == 10


def test_killed_between_checkpoints(tmp_path, monkeypatch):
    """Without a warning: what was trained since the last checkpoint is trained again."""
    run = make_run()
    expected = train(run, tmp_path / "whole")
    after_step = method_class("moco").after_step

    class Killed(BaseException):
        pass

    def train_until(killed_at, settings):
        def after_step_or_die(self, step):
            after_step(self, step)
            if step.index == killed_at:
                raise Killed

        monkeypatch.setattr(method_class("moco"), "after_step", after_step_or_die)
        with pytest.raises(Killed):
            train(settings, tmp_path / "cut")
        monkeypatch.setattr(method_class("moco"), "after_step", after_step)

    train_until(2, make_run(checkpoint_minutes=0))
    train_until(7, run)
    assert_same(train(run, tmp_path / "cut"), expected)


def test_history_has_the_promised_columns(tmp_path):
    history = train(make_run("byol"), tmp_path).state.table()
    assert list(history) == [
        "epoch", "step", "loss", "lr", "images_per_s", "data_wait", "z_std", "z_rank", "resumed",
        "knn_random", "probe_random",
    ]  # fmt: skip
    assert history["step"].tolist() == [5, 10]
    assert (history["data_wait"].between(0, 1)).all()


def test_worker_processes_change_nothing(tmp_path):
    alone = train(make_run("simclr"), tmp_path / "alone")
    run = make_run("simclr", views=Views(local=1, local_size=8, workers=2))
    assert_same(train(run, tmp_path / "workers"), alone)


def test_divergence_is_one_clear_line_and_keeps_the_history(tmp_path, monkeypatch):
    run = make_run("simclr")
    loss = method_class("simclr").loss

    def diverge(self, views, local_views, step):
        output = loss(self, views, local_views, step)
        factor = float("nan") if step.index == 7 else 1.0
        return type(output)(output.loss * factor, output.embedding)

    monkeypatch.setattr(method_class("simclr"), "loss", diverge)
    with pytest.raises(UserError, match=r"x: the loss is not finite at step 8; lower lr"):
        train(run, tmp_path)
    assert len(pd.read_csv(tmp_path / "simclr/f/history.csv")) == 1


def test_a_collapsed_run_stops(tmp_path, monkeypatch):
    monkeypatch.setattr(state, "feature_std", lambda embedding: 1e-9)
    run = make_run("byol", epochs=9)
    with pytest.raises(UserError, match="x: collapsed at epoch 3"):
        train(run, tmp_path)
    assert len(pd.read_csv(tmp_path / "byol/f/history.csv")) == 3


DAMAGES = {
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:1000]),
    "empty": lambda path: path.write_bytes(b""),
    "a byte changed": lambda path: flip_a_byte(path),
    "the first byte": lambda path: path.write_bytes(b"?" + path.read_bytes()[1:]),
}


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def interrupted_at(step, run, folder, monkeypatch):
    """Killed without a warning in this step, a checkpoint written after each before it."""
    method = method_class(run.method)
    after_step = method.after_step

    def die(self, now):
        after_step(self, now)
        if now.index == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(method, "after_step", die)
    with pytest.raises(KeyboardInterrupt):
        train(run, folder)
    monkeypatch.setattr(method, "after_step", after_step)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_the_checkpoint_before_a_damaged_one_is_taken(damage, tmp_path, monkeypatch, capsys):
    run = make_run("moco", checkpoint_minutes=0)
    expected = train(run, tmp_path / "whole")
    interrupted_at(6, run, tmp_path / "cut", monkeypatch)
    saved = sorted((tmp_path / "cut/moco/f").glob("step-*.pt"))
    assert [path.name.split("-")[1] for path in saved] == ["000000005", "000000006"]
    damage(saved[1])
    capsys.readouterr()
    assert_same(train(run, tmp_path / "cut"), expected)
    said = capsys.readouterr().err
    assert f"{saved[1]}: damaged checkpoint" in said and "x: resumed at step 5 of 10" in said


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_when_both_are_damaged_the_folder_to_delete_is_named(damage, tmp_path, monkeypatch):
    run = make_run("simclr", checkpoint_minutes=0)
    interrupted_at(6, run, tmp_path, monkeypatch)
    for path in (tmp_path / "simclr/f").glob("step-*.pt"):
        damage(path)
    with pytest.raises(UserError, match=r"every checkpoint is damaged; .*: rm -r .*simclr/f$"):
        train(run, tmp_path)


@pytest.mark.parametrize("content", [{"a": 1}, [1], {"step": 3, "method": {}}])
def test_a_checkpoint_of_other_content_is_named(content, tmp_path, monkeypatch):
    run = make_run("simclr")
    with RunState(tmp_path / "simclr", "f") as saved:
        monkeypatch.setattr(checkpoint.torch, "save", lambda _, file: SAVE(content, file))
        saved.save({"step": 3})
    with pytest.raises(UserError, match="damaged checkpoint") as caught:
        train(run, tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def test_a_checkpoint_cannot_bring_code(tmp_path, monkeypatch):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "evil"),))

    run = make_run("simclr")
    with RunState(tmp_path / "simclr", "f") as saved:
        saved.save({"step": 3, "x": Evil()})
    with pytest.raises(UserError, match="damaged checkpoint"):
        train(run, tmp_path)
    assert not (tmp_path / "evil").exists()


def test_a_full_disk_while_saving_is_told_as_such(tmp_path, monkeypatch):
    """torch hides the error of a file that has no room left."""

    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "atomic", lambda path: contextlib.nullcontext(Full()))
    with RunState(tmp_path / "x", "f") as saved, pytest.raises(OSError, match="No space left"):
        saved.save({"step": 1, "weights": torch.zeros(1000)})


def test_two_processes_cannot_train_one_run(tmp_path):
    with (
        RunState(tmp_path / "x", "f"),
        pytest.raises(UserError, match="another process"),
        RunState(tmp_path / "x", "f"),
    ):
        pass


def test_corpus_too_small_for_batch_or_queue(tmp_path):
    with pytest.raises(UserError, match=r"batch_size 64 is larger than corpus 'c' \(40 images\)"):
        train(make_run("simclr", batch_size=64), tmp_path)
    with pytest.raises(UserError, match=r"queue 64 is larger than corpus 'c' \(40 images\)"):
        train(make_run("moco", settings={"queue": 64}), tmp_path)
