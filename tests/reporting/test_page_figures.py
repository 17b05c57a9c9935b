"""The figures in the page: as they were drawn, or a line that says why not."""

import base64
import re
from html import unescape

import pytest
import vl_convert
from synthetic import RUNS, content, draw, write_reports

from sslpipe.stages import leaderboard as leaderboard_stage
from sslpipe.stages import page as stage

STUDIES = {"method": {"runs": ["simclr", "moco"], "x": "method"}}


def written(folder, runs):
    params = content(runs, ("zoo",), studies=STUDIES)
    params, layout = write_reports(folder, params, images=60)
    leaderboard_stage.run(params, layout)
    return params, layout


@pytest.fixture
def made(tmp_path, monkeypatch):
    monkeypatch.setattr(vl_convert, "javascript_bundle", lambda snippet: "")  # takes seconds
    params, layout = written(tmp_path, RUNS)
    draw(params, layout)
    return params, layout


def page(params, layout):
    stage.run(params, layout)
    return unescape(layout.page().read_text())


def pictures(html):
    """Those that it holds: (width, height), description, content."""
    found = re.findall(
        r'<img src="data:image/svg\+xml;base64,([^"]*)" alt="([^"]*)" width="(\d+)" height="(\d+)"',
        html,
    )
    return [((int(w), int(h)), alt, base64.b64decode(code)) for code, alt, w, h in found]


def test_every_figure_is_held_once_and_as_it_was_drawn(made):
    html = page(*made)
    shown = pictures(html)
    drawn = [path.read_bytes() for path in made[1].figure("loss", "svg").parent.glob("*.svg")]
    assert sorted(content for *_, content in shown) == sorted(drawn) and len(drawn) == 8
    for texts in ([alt for _, alt, _ in shown], re.findall("<figcaption>(.*?)</figcaption>", html)):
        assert all(texts) and len(set(texts)) == len(texts) >= 8
    for (width, height), _, svg in shown:
        box = re.search(rb'viewBox="0 0 (\S+) (\S+)"', svg)
        assert width / height == pytest.approx(float(box[1]) / float(box[2]), rel=0.01)
    assert "Not drawn" not in html


def test_one_that_is_missing_or_cut_short_is_a_line(made):
    layout = made[1]
    layout.figure("budget", "svg").unlink()
    layout.figure("study_method", "svg").unlink()
    whole = layout.figure("loss", "svg").read_bytes()
    layout.figure("loss", "svg").write_bytes(whole[: len(whole) // 2])
    html = page(*made)
    assert len(pictures(html)) == 5
    assert (
        "Not drawn of these results: loss, budget, study_method; run: sslpipe report</li>" in html
    )
    assert html.count(">Not drawn of these results; run: sslpipe figures<") == 2
    assert html.count(">Not drawn of these results; run: sslpipe study method<") == 1


def test_one_of_other_results_is_a_line_too(made):
    """A study's goes by its own runs: what happens to others does not concern it."""
    layout = made[1]
    fewer = written(layout.root, {name: run for name, run in RUNS.items() if name != "byol"})
    ((*_, shown),) = pictures(page(*fewer))
    assert shown == layout.figure("study_method", "svg").read_bytes()
    draw(*fewer)
    html = page(*fewer)
    assert len(pictures(html)) == 8 and "Not drawn" not in html
