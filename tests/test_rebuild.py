"""Tables, figures and pages follow from what stages measured, and from nothing else."""

import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
REPORTS = ROOT / "reports"
MEASURED = ("features", "history", "metrics", "predictions", "pretrain")
# Other versions may draw other bytes, or bring another chart library.
DRAWN_BY = ("matplotlib", "seaborn", "vl-convert-python")


def pinned(package: str) -> bool:
    constraints = (ROOT / "constraints.txt").read_text()
    return f"{package}=={version(package)}\n" in constraints


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory):
    """The report stages' outputs, made again from the committed measurements alone."""
    folder = tmp_path_factory.mktemp("rebuilt")
    for name in MEASURED:
        shutil.copytree(REPORTS / name, folder / "reports" / name)
    (folder / "reports/data").mkdir()
    for path in (REPORTS / "data").iterdir():
        shutil.copy(path, folder / "reports/data")
    (folder / "reports/figures").mkdir()
    for path in (REPORTS / "figures").glob("neighbours_*"):  # of the images themselves
        shutil.copy(path, folder / "reports/figures")
    shutil.copy(ROOT / "params.yaml", folder)
    studies = yaml.safe_load((ROOT / "params.yaml").read_text())["studies"]
    stages = ["leaderboard", "figures", *(f"study {name}" for name in studies), "claims", "page"]
    for stage in stages:
        command = [sys.executable, "-m", "sslpipe", *stage.split()]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return folder / "reports"


def made(folder: Path) -> set[str]:
    """What report stages write: all of reports/ but the measurements and what images were read for."""
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file()
        and path.relative_to(folder).parts[0] not in (*MEASURED, "data")
        and path.name != ".gitignore"
        and not path.name.startswith("neighbours_")  # of the images themselves
    }


def test_every_table_figure_and_page_is_rebuilt_to_the_byte(rebuilt):
    assert made(rebuilt) == made(REPORTS)
    exact = all(map(pinned, DRAWN_BY))
    compared = 0
    for name in sorted(made(REPORTS)):
        if exact or name.endswith((".md", ".csv", ".json")):
            assert (rebuilt / name).read_bytes() == (REPORTS / name).read_bytes(), name
            compared += 1
    assert compared > 5


def test_no_number_is_typed_into_a_template_or_caption():
    """Digits outside of markup are allowed in the field's words only."""
    words = re.compile(r"top-[15]|2-d|t-SNE|95 %|C1–C11|utf-8", re.IGNORECASE)
    files = [*(ROOT / "workflow/report").glob("*.rst")]
    files += [*(ROOT / "ssl/sslpipe/reporting/page").glob("*.html")]
    assert len(files) > 5
    for path in files:
        text = path.read_text()
        for markup in (r"\{#.*?#\}", r"\{[{%].*?[%}]\}", r"<(script|style).*?</\1>", r"<[^>]*>",
                       r"&\w+;", r":\w+:`[^`]*`"):  # fmt: skip
            text = re.sub(markup, " ", text, flags=re.DOTALL)
        assert not re.findall(r"[^\n]*\d[^\n]*", words.sub("", text)), path.name


def test_numbers_of_the_readmes_results_stand_in_the_report():
    """Numbers with a decimal point; the sentences on runs beside the experiment are not of it."""
    readme = (ROOT / "README.md").read_text()
    results = readme.partition("<!-- results -->")[2].partition("<!-- /results -->")[0]
    report = (REPORTS / "leaderboard.md").read_text() + (REPORTS / "claims.md").read_text()
    missing = [n for n in re.findall(r"(?<![\d.])\d+\.\d+(?![\d.])", results) if n not in report]
    assert not missing


def test_the_readme_counts_the_claims_as_they_are():
    claims = json.loads((REPORTS / "claims.json").read_text())["claims"]
    status = [claim["status"] for claim in claims]
    words = [
        "no",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
    ]
    refuted, open_ = (words[status.count(s)] for s in ("does not hold", "not enough data"))
    assert status.count("holds") == 0  # else the sentence has to say so
    readme = (ROOT / "README.md").read_text().lower()
    assert f"{refuted} of the study's eleven claims" in readme
    assert f"for {open_} there are not enough data" in readme
