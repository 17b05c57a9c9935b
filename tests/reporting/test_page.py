"""The page as text: what it says, against the files that it is made of; see also the browser's test."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from itertools import combinations, pairwise

import numpy as np
import pytest
import vl_convert
from synthetic import RUNS, content, draw, read, rewrite, rewrite_claims, write_reports

from sslpipe.errors import UserError
from sslpipe.reporting import page as package
from sslpipe.reporting.leaderboard import compared, rows_of
from sslpipe.reporting.page.confusion import confused
from sslpipe.reporting.results import Results
from sslpipe.reporting.settings import flat
from sslpipe.stages import leaderboard as leaderboard_stage
from sslpipe.stages import page as stage

STUDIES = {
    "method": {"runs": ["simclr", "moco", "byol"], "x": "method"},
    "rate": {"runs": ["moco", "moco_fast"], "x": "lr", "title": "Learning rate"},
    "empty": {"runs": [], "x": "lr"},
}
ALL = RUNS | {
    "moco_fast": {"method": "moco", "lr": 0.003},
    "moco_more": {"method": "moco", "corpus": "more"},
}
CLAIMS = {
    "claims": [
        {"id": "C6", "claim": "One is better.", "rule": "Above 0 <b>always</b>.", "status": "holds",
         "reason": "`moco` minus `byol` is +3.25 points.", "runs": ["moco", "byol"],
         "effect": {"value": 3.25, "low": -1.5, "high": 4, "unit": "points"},
         "figure": "figures/accuracy.png", "details": ["More of it."]},
        {"id": "C7", "claim": "Nothing is known.", "status": "not enough data"},
    ]
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def library():
    """Bundling it takes seconds, and gives the same each time."""
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vl_convert, "javascript_bundle", lambda snippet: bundle)
        yield bundle


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    params = content(ALL, studies=STUDIES, finetune={"runs": ["moco"], "epochs": 3})
    params, layout = write_reports(tmp_path_factory.mktemp("page"), params)
    leaderboard_stage.run(params, layout)
    draw(params, layout)
    rewrite_claims(params, layout, CLAIMS)
    return params, layout


@pytest.fixture(scope="module")
def whole(made):
    return read(made[1].leaderboard("json"))


@pytest.fixture(scope="module")
def html(made):
    stage.run(*made)
    return made[1].page().read_text()


def build(folder, runs, *, claims=None, **changed):
    """The page of a small experiment. changed: of write_reports, `params` of params.yaml."""
    params, layout = write_reports(folder, content(runs, **changed.pop("params", {})), **changed)
    leaderboard_stage.run(params, layout)
    if claims:
        rewrite_claims(params, layout, claims)
    stage.run(params, layout)
    return layout.page().read_text()


class Parsed(HTMLParser):
    """elements: (tag, attributes, text inside) in the order of the document."""

    VOID = ("meta", "link", "input", "img", "br", "wbr")

    def __init__(self, html):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(html)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        element = [tag, dict(attributes), ""]
        self.elements.append(element)
        if tag not in self.VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag, f"{tag} closes another element"

    def handle_data(self, text):
        for element in self.open:
            element[2] += text

    def all(self, *tags):
        return [(tag, attributes, " ".join(text.split())) for tag, attributes, text in self.elements
                if tag in tags]  # fmt: skip


def table_text(html, name):
    text = html[html.index(f'<table id="{name}"') :]
    return text[: text.index("</table>") + len("</table>")]


def table(html, name):
    """The cells of a table by (data set, run, key of the column)."""
    text = table_text(html, name)
    keys, cells, dataset, run, column = [], {}, "", "", 0
    for tag, attributes, words in Parsed(text).all("th", "tbody", "tr", "td"):
        if "data-key" in attributes:
            keys.append(attributes["data-key"])
        elif tag == "tbody":
            dataset = attributes.get("data-dataset", "")
        elif tag == "tr":
            run, column = attributes.get("data-run", ""), 0
        elif attributes.get("scope") != "rowgroup":
            cells[dataset, run, keys[column]] = words
            column += 1
    return cells


def message_of(html):
    """What the page says is missing."""
    text = html[html.index('id="missing"') :]
    return re.sub(r"<[^>]+>", " ", text[: text.index("</div>")])


def data_of(html):
    text = html.split('<script type="application/json" id="data">')[1].split("</script>")[0]
    return json.loads(text)


# --- one file, well made ------------------------------------------------------------------------


def test_nothing_is_loaded_from_elsewhere(html, library):
    own = html.replace(library, "")
    for _, attributes, _ in Parsed(own).elements:
        assert attributes.get("src", "data:").startswith("data:") and "srcset" not in attributes
    for _, attributes, _ in Parsed(own).all("link"):
        assert attributes["href"].startswith("data:")
    assert not re.search(r"@import|url\(|\bfetch\(|XMLHttpRequest|import\(", own)
    assert "default-src 'none'" in own
    without_pictures = re.sub(r'"data:image/svg[^"]*"', "", own)
    assert len(without_pictures.encode()) < 400_000


def test_it_is_one_well_formed_document_with_headings_in_order(html):
    document = Parsed(html)
    levels = [int(tag[1]) for tag, _, _ in document.all("h1", "h2", "h3", "h4")]
    assert levels.count(1) == 1 and levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [attributes["id"] for _, attributes, _ in document.elements if "id" in attributes]
    assert [name for name, count in Counter(ids).items() if count > 1] == []
    targets = {attributes["href"][1:] for _, attributes, _ in document.all("a")
               if attributes["href"].startswith("#")}  # fmt: skip
    assert targets <= set(ids)
    labels = {attributes["aria-labelledby"] for _, attributes, _ in document.elements
              if "aria-labelledby" in attributes}  # fmt: skip
    assert labels <= set(ids)


def test_tables_have_captions_and_headings_and_controls_have_labels(html):
    document = Parsed(html)
    assert len(document.all("caption")) == len(document.all("table")) > 5
    assert all("scope" in attributes for _, attributes, _ in document.all("th"))
    assert all(attributes["aria-label"] for _, attributes, _ in document.all("div")
               if attributes.get("role") == "region")  # fmt: skip
    inside = []
    for tag, attributes, _ in document.elements:
        if tag in ("select", "input"):
            inside.append(attributes)
    labelled = "".join(re.findall(r"<label.*?</label>", html, re.S))
    assert len(inside) == len(re.findall(r"<(?:select|input)\b", labelled)) > 10
    assert all(
        text or attributes.get("aria-label") for _, attributes, text in document.all("button")
    )


def test_the_template_has_no_number_of_its_own():
    terms = r"top-1|k-NN|2-d|h[1-6]"
    for name in ("template.html", "macros.html"):
        text = package._asset(name)
        text = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", "", text, flags=re.S)
        words = re.sub(r"<[^>]*>", "", text)
        assert not re.search(r"\d", re.sub(terms, "", words)), name


def test_the_same_input_gives_the_same_bytes(made, html):
    code = (
        "import sys, vl_convert\n"
        "from pathlib import Path\n"
        "from sslpipe.layout import Layout\n"
        "from sslpipe.params import load\n"
        "from sslpipe.stages import page\n"
        "root = Path(sys.argv[1])\n"
        "page.run(load(root / 'params.yaml'), Layout(root))\n"
    )
    root = made[1].root
    made[1].page().unlink()
    subprocess.run(
        [sys.executable, "-c", code, str(root)],
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "7"},
    )
    assert made[1].page().read_text() == html


def test_text_from_files_is_never_markup(tmp_path):
    evil = "</script><script>alert(1)</script>"
    params, layout = write_reports(tmp_path, content(RUNS, ("zoo",)))
    leaderboard_stage.run(params, layout)
    facts = read(layout.dataset_facts("zoo"))
    classes = [evil, *list(facts["classes"])[1:]]
    rewrite(layout.dataset_facts("zoo"), facts | {"title": evil})
    for run in RUNS:
        features = read(layout.features(run, "zoo"))
        rewrite(layout.features(run, "zoo"), features | {"classes": classes})
    claims = {"claims": [CLAIMS["claims"][0] | {"claim": evil, "reason": evil}]}
    rewrite_claims(params, layout, claims)
    stage.run(params, layout)
    html = layout.page().read_text()
    assert evil not in html and "<script>alert" not in html
    assert evil.replace("<", "&lt;").replace(">", "&gt;") in table_text(html, "confusion-zoo")
    assert "Above 0 &lt;b&gt;always" in html


# --- numbers ------------------------------------------------------------------------------------


def test_every_score_of_the_leaderboard_stands_in_its_table(html, whole):
    cells = table(html, "leaderboard")
    checked = 0
    for row in whole["rows"]:
        run = "" if row["run"] == "chance" else row["run"]
        for key, score in row["scores"].items():
            kind = whole["legend"][key]["kind"]
            if kind == "setting":
                continue
            digits = 2 if key in ("alignment", "uniformity") else 1
            factor = 100 if kind == "score" else 1
            text = f"{factor * score['mean']:.{digits}f}".replace("-", "−")
            if score["std"] is not None:
                text += f" ± {factor * score['std']:.{digits}f}"
            if score["low"] is not None:
                text += f"{100 * score['low']:.1f}–{100 * score['high']:.1f}"
            assert cells[row["dataset"], run, key].replace(" ", "") == text.replace(" ", "")
            checked += 1
    assert checked > 300
    names = {(row["dataset"], row["run"]) for row in whole["rows"] if row["run"] != "chance"}
    assert {(dataset, run) for dataset, run, _ in cells if run} == names


def test_the_distance_to_the_best_is_tied_where_the_test_says_so(html, whole):
    cells = table(html, "leaderboard")
    seen = Counter()
    for dataset in whole["datasets"]:
        first, *others = [row for row in rows_of(whole, dataset) if row["kind"] != "chance"]
        assert cells[dataset, first["run"], "distance"] == "–"
        for row in others:
            text = cells[dataset, row["run"], "distance"]
            found = compared(whole, dataset, row["run"], first["run"])
            assert f"{100 * found.difference:+.1f}".replace("-", "−") in text
            assert text.startswith("tied") == (found.p >= 0.05)
            seen[found.p >= 0.05] += 1
    assert seen[True] and seen[False]


def test_the_best_trained_score_of_a_column_is_marked(html, whole):
    for dataset in whole["datasets"]:
        rows = [row for row in rows_of(whole, dataset) if row["kind"] == "trained"]
        best = max(rows, key=lambda row: row["scores"]["knn_top1"]["mean"])
        body = html.split(f'<tbody data-dataset="{dataset}" data-rival')[1].split("</tbody>")[0]
        for row in rows:
            cells = body.split(f'<tr data-run="{row["run"]}"')[1].split("</tr>")[0]
            value = f"{row['scores']['knn_top1']['mean']:.9g}"
            cell = re.search(rf'<td class="([^"]*)" data-v={re.escape(value)}>', cells)
            assert ("best" in cell[1]) == (row is best)


def test_the_summary_names_the_winner_and_says_how_sure_it_is(html, whole):
    cards = re.findall(r'<article class="card">(.*?)</article>', html, re.S)
    assert len(cards) == 2
    for dataset, card in zip(whole["datasets"], cards, strict=True):
        text = " ".join(re.sub(r"<[^>]+>", " ", card).split())
        rows = [row for row in rows_of(whole, dataset) if row["kind"] == "trained"]
        best = rows[0]
        assert f'data-run="{best["run"]}"' in card
        assert f"{100 * best['scores']['public_top1']['mean']:.1f} %" in text
        tied = [row["run"] for row in rows[1:]
                if compared(whole, dataset, best["run"], row["run"]).p >= 0.05]  # fmt: skip
        assert (
            (f"Not told apart from it: {', '.join(tied)}." in text)
            if tied
            else ("every other" in text)
        )
        found = compared(whole, dataset, best["run"], "untrained")
        assert found.p < 0.05
        assert (
            f"better than the untrained encoder, untrained: {100 * found.difference:+.1f}" in text
        )


def test_the_shake_up_shows_both_places(html, whole):
    cells = table(html, "shake-up-table")
    for dataset, found in whole["shake_up"].items():
        for move in found["moves"]:
            its = {
                key: cells[dataset, move["run"], key]
                for key in ("public_rank", "private_rank", "move")
            }
            assert int(its["public_rank"]) - int(its["private_rank"]) == int(
                its["move"].replace("−", "-")
            )
            assert its["private_rank"] == str(move["private_rank"])


def test_curves_end_where_the_histories_end(html, made):
    cells = table(html, "curve-table")
    results = Results(*made)
    for run, history in results.history.items():
        if not results.pretrain[run]["trained"]:
            assert ("", run, "loss") not in cells
            continue
        assert cells["", run, "loss"] == f"{history['loss'].iloc[-1]:.3f}"
        assert cells["", run, "probe_sun"] == f"{100 * history['probe_sun'].dropna().iloc[-1]:.1f}"
        assert cells["", run, "seed"] == str(
            results.pretrain[run]["parameters"]["pretrain"]["seed"]
        )


def test_confused_pairs_are_those_of_a_brute_force_count():
    random = np.random.default_rng(0)
    labels, answers = random.integers(0, 5, 400), random.integers(-1, 5, 400)
    counted = {
        (true, other): sum((labels == true) & (answers == other))
        for true in range(5) for other in range(5) if true != other
    }  # fmt: skip
    found = confused(labels, answers, most=20)
    assert {(pair.true, pair.answered): pair.images for pair in found} == counted
    assert [pair.images for pair in found] == sorted(counted.values(), reverse=True)
    for pair in found:
        assert pair.share == pytest.approx(pair.images / sum(labels == pair.true))
    assert confused(labels, labels) == []
    assert len(confused(labels, answers, most=3)) == 3


def test_the_confusion_is_that_of_the_best_setting_by_validation(html, made, whole):
    for dataset in whole["datasets"]:
        trained = [row for row in rows_of(whole, dataset) if row["kind"] == "trained"]
        best = max(trained, key=lambda row: row["scores"]["probe_val_top1"]["mean"])
        cells = table(html, f"confusion-{dataset}")
        assert {run for _, run, _ in cells} == {best["run"]}


def test_differences_of_every_two_settings(html, whole):
    for dataset in whole["datasets"]:
        cells = table(html, f"differences-{dataset}")
        runs = [row["run"] for row in rows_of(whole, dataset) if row["kind"] != "chance"]
        assert len(cells) == len(runs) * (len(runs) + 1) > 20
        for run in runs:
            assert cells[dataset, run, run] == "–"
        for run, rival in [*combinations(runs, 2), (runs[-1], runs[0])]:
            found = compared(whole, dataset, run, rival)
            text = cells[dataset, run, rival]
            assert f"{100 * found.difference:+.1f}".replace("-", "−") in text
            assert text.startswith("tied") == (found.p >= 0.05)


# --- what stands behind a number ----------------------------------------------------------------


def test_the_parameters_of_every_run_can_be_put_together_again(html, whole):
    data = data_of(html)
    for run, made in whole["pretrain"].items():
        expected = flat(made)
        assert expected.pop("name") == run
        assert data["shared"] | data["runs"][run]["parameters"] == expected
    assert "seed" not in data["shared"] and data["shared"]["batch_size"] == 64
    report = data["runs"]["moco"]["report"]
    assert report["inputs.corpus_sha256"] == "0123456789abcdef" * 4
    assert report["versions.torch"] == "2.14.1" and report["device"] == "cpu, 1 threads"


def test_scores_are_kept_at_full_precision_for_each_seed(html, whole):
    rows = {(row["dataset"], row["run"]): row for row in data_of(html)["rows"]}
    for row in whole["rows"]:
        for key, score in row["scores"].items():
            low, high, *values = rows[row["dataset"], row["run"]]["scores"][key]
            assert (low, high, values) == (score["low"], score["high"], score["values"])


def test_files_are_named_as_they_lie_beside_the_page(made, html):
    _, layout = made
    for name, path in data_of(html)["files"].items():
        if name not in ("finetune", "finetune_predictions"):
            place = path.format(run="byol", dataset="zoo")
            assert (layout.page().parent / place).exists(), place


def test_curves_mark_restarts(tmp_path):
    params, layout = write_reports(tmp_path, content({"moco": {"method": "moco"}}, ("zoo",)))
    leaderboard_stage.run(params, layout)
    path = layout.history("moco")
    lines = path.read_text().splitlines()
    place = lines[0].split(",").index("resumed")
    cells = lines[3].split(",")
    cells[place] = "1"
    path.write_text("\n".join([*lines[:3], ",".join(cells), *lines[4:]]) + "\n")
    stage.run(params, layout)
    html = layout.page().read_text()
    assert data_of(html)["curves"]["moco"]["resumed"] == [3]
    assert table(html, "curve-table")["", "moco", "resumed"] == "1"


# --- what is missing ----------------------------------------------------------------------------


def test_nothing_is_said_to_be_missing_where_all_is_there(html):
    assert "Nothing: every run" in message_of(html)


def test_one_run_one_data_set_and_no_claims(tmp_path):
    html = build(tmp_path, {"moco": {"method": "moco"}}, params={"datasets": ("zoo",)})
    said = message_of(html)
    assert "The claims have not been decided." in said
    assert "No setting was repeated with another seed" in said
    assert "There is no score of the untrained encoder" in html
    assert "No claim has been decided." in html and "params.yaml names no study." in html
    assert "too few trained settings (1)" in html


def test_an_unfinished_and_an_unscored_run_are_named(tmp_path):
    params, layout = write_reports(tmp_path, content(RUNS, studies=STUDIES | {"rate": {
        "runs": ["moco", "byol"], "x": "lr"}}), without=("byol",))  # fmt: skip
    layout.metrics("simclr", "sun").unlink()
    layout.features("moco", "zoo").unlink()
    layout.dataset_facts("sun").unlink()
    layout.history("moco").unlink()
    leaderboard_stage.run(params, layout)
    stage.run(params, layout)
    html = layout.page().read_text()
    said = message_of(html)
    assert "Not trained: byol." in said
    assert "Not scored: simclr on sun." in said
    assert "No history of: moco." in said
    assert "No map and probe grid of: moco on zoo." in said
    assert "Not described: sun." in said
    study = html.split('id="study-method"')[0].rsplit("<article", 1)[1]
    study = re.sub(r"<[^>]+>", "", study)
    assert "not been trained: byol." in study and "not evaluated: simclr on sun." in study


def test_without_any_run(tmp_path):
    html = build(tmp_path, RUNS, without=tuple(RUNS), params={"studies": STUDIES | {"rate": {
        "runs": ["moco"], "x": "lr"}}})  # fmt: skip
    assert html.count("No run has been scored.") == 5
    assert "No run has been trained yet" in html
    assert "Not trained: simclr, moco, " in message_of(html)
    assert html.count("None of its runs has been scored.") == 3


def test_baselines_alone(tmp_path):
    html = build(tmp_path, {name: RUNS[name] for name in ("untrained", "raw_pixels")})
    assert "No trained run has been scored here" in html
    assert "No trained setting has been scored." in html
    assert "No trained run has a history." in html


def test_claims_with_all_and_with_few_of_their_fields(html):
    claim, bare = (html.split(f'id="claim-{name}"')[1].split("</li>")[0] for name in ("C6", "C7"))
    text = " ".join(re.sub(r"<[^>]+>", " ", claim).split())
    assert "holds +3.25 points [−1.50, +4.00]" in text
    assert "<code>moco</code> minus <code>byol</code>" in claim
    assert 'href="figures/accuracy.png"' in claim and 'data-run="byol"' in claim
    assert "not enough data" in bare and "None is stated." in bare and "No run decides it." in bare
    assert "Of 2 claims, 1 hold and 0 do not; for 1 there is not enough data." in html


def test_studies_have_their_differences(html, made):
    cells = table(html, "study-method")
    assert cells["zoo", "simclr", "probe_top1_difference"] == "–"
    moco, simclr = (
        float(cells["zoo", run, "probe_top1"].split()[0][:4]) for run in ("moco", "simclr")
    )
    shown = re.search(r"[+−]\d+\.\d", cells["zoo", "moco", "probe_top1_difference"])[0]
    assert float(shown.replace("−", "-")) == pytest.approx(moco - simclr, abs=0.11)
    assert "Learning rate" in html
    assert "None of its runs has been scored." in html  # the empty one


def test_a_leaderboard_that_is_missing_old_or_of_other_runs_is_refused(tmp_path):
    params, layout = write_reports(tmp_path, content(RUNS, ("zoo",)), without=("byol",))
    with pytest.raises(UserError, match=r"missing; it is made by: sslpipe leaderboard"):
        stage.run(params, layout)
    rewrite(layout.leaderboard("json"), {"rows": []})
    with pytest.raises(UserError, match=r"older sslpipe; run: sslpipe leaderboard"):
        stage.run(params, layout)
    leaderboard_stage.run(params, layout)
    write_reports(tmp_path, content(RUNS, ("zoo",)))
    with pytest.raises(
        UserError, match=r"of other results than there are now; run: sslpipe leaderboard"
    ):
        stage.run(params, layout)


# --- colours ------------------------------------------------------------------------------------


def colours():
    """name → (light, dark), each as linear RGB."""
    found = re.findall(r"--(\w+): light-dark\(#(\w{6}), #(\w{6})\);", package._asset("style.css"))
    return {name: (linear(light), linear(dark)) for name, light, dark in found}


def linear(colour):
    s = np.array([int(colour[i : i + 2], 16) for i in (0, 2, 4)]) / 255
    return np.where(s <= 0.04045, s / 12.92, ((s + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """WCAG 2."""
    luminance = sorted(float(c @ [0.2126, 0.7152, 0.0722]) for c in (one, other))
    return (luminance[1] + 0.05) / (luminance[0] + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(theme):
    known = {name: pair[theme] for name, pair in colours().items()}
    for text in ("ink", "muted", "link", "good", "bad", "unsure"):
        for behind in ("paper", "surface", "raised"):
            assert contrast(known[text], known[behind]) >= 4.5, (text, behind)
    for mark in (*(f"c{i}" for i in range(8)), "grey", "edge"):
        assert contrast(known[mark], known["surface"]) >= 3, mark


# Machado, Oliveira and Fernandes 2009, severity 1: what people without red or green cones see.
BLIND = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
}  # fmt: skip


def lab(rgb):
    """CIE 1976, of the sRGB white."""
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    ratio = np.clip(to_xyz @ rgb / to_xyz.sum(axis=1), 0, None)
    x, y, z = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("seen", [None, *BLIND])
def test_the_colours_of_charts_can_be_told_apart(theme, seen):
    matrix = np.eye(3) if seen is None else np.array(BLIND[seen])
    places = [lab(np.clip(matrix @ colours()[f"c{i}"][theme], 0, 1)) for i in range(8)]
    distances = {pair: np.linalg.norm(places[pair[0]] - places[pair[1]])
                 for pair in combinations(range(8), 2)}  # fmt: skip
    assert min(distances.values()) > 15, min(distances, key=distances.get)
    assert min(d for (_, j), d in distances.items() if j < 4) > 30
