"""figures: drawn from histories alone."""

from types import SimpleNamespace

import pytest

from sslpipe.errors import UserError
from sslpipe.layout import Layout
from sslpipe.reporting import figures as reporting
from sslpipe.stages import figures

PARAMS = SimpleNamespace(
    runs={"moco": SimpleNamespace(method="moco"), "untrained": SimpleNamespace(method="random")},
    leaderboard=["zoo", "sun"],
)
MOCO = "epoch,loss,resumed,knn_zoo,probe_zoo\n1,2.5,0,0.3,\n2,2.1,0,0.4,0.5\n"
UNTRAINED = "epoch,loss,resumed,knn_zoo,probe_zoo\n0,,0,0.11,0.22\n"


@pytest.fixture
def layout(tmp_path):
    layout = Layout(tmp_path)
    layout.history("moco").parent.mkdir(parents=True)
    layout.history("moco").write_text(MOCO)
    layout.history("untrained").write_text(UNTRAINED)
    return layout


def test_baselines_come_from_the_untrained_runs_history(layout, monkeypatch):
    drawn = []
    draw = reporting.accuracy_figure

    def spy(*arguments):
        drawn.append(draw(*arguments))
        return drawn[-1]

    monkeypatch.setattr(reporting, "accuracy_figure", spy)
    figures.run(PARAMS, layout)  # without any metrics
    heights = [
        [line.get_ydata()[0] for line in panel.lines if line.get_gid() == "baseline"]
        for panel in drawn[0].axes
    ]
    assert heights == [[0.11], [], [0.22], []]  # k-NN on zoo and sun, then the probe
    for name in ("accuracy", "loss"):
        assert layout.figure(name, "png").exists() and layout.figure(name, "svg").exists()


@pytest.mark.parametrize("content", [b"", b"loss\n1\n", b'epoch\n"1', b"\xff\xfe\x00"])
def test_a_damaged_history_is_named(layout, content):
    layout.history("moco").write_bytes(content)
    with pytest.raises(UserError, match=r"history/moco.csv: damaged .* run: sslpipe pretrain moco"):
        figures.run(PARAMS, layout)


def test_a_missing_history_is_named(layout):
    layout.history("untrained").unlink()
    with pytest.raises(UserError, match=r"made by: sslpipe pretrain untrained"):
        figures.run(PARAMS, layout)
