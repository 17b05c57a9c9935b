"""What the README shows is what the experiment printed."""

import re
from pathlib import Path

import yaml

from sslpipe import params

ROOT = Path(__file__).resolve().parent.parent


def test_links_and_pictures_exist():
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_hooks_before_a_commit_check_what_make_lint_checks():
    lint = re.search(
        r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), flags=re.MULTILINE
    )
    commands = [line.strip() for line in lint[1].splitlines() if not line.startswith("\t@")]
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [hook["entry"] for hook in local["hooks"]] == commands


def test_readme_shows_a_committed_benchmark():
    """The first table of a results page that it links to stands there as it is."""
    readme = (ROOT / "README.md").read_text()
    section = readme.partition("<!-- benchmarks -->")[2].partition("<!-- /benchmarks -->")[0]
    pages = re.findall(r"\]\((benchmarks/results/[^)]+\.md)\)", section)
    firsts = [(ROOT / page).read_text().partition("\n\n")[0] for page in pages]
    assert any(first in section for first in firsts)


def test_readme_shows_the_committed_leaderboard():
    """The main table of each data set stands in the README as it is."""
    readme = (ROOT / "README.md").read_text()
    report = (ROOT / "reports/leaderboard.md").read_text()
    tables = re.findall(r"(?:^\|.*\n)+", report, flags=re.MULTILINE)
    main = [table for table in tables if "images/s" in table.splitlines()[0]]
    assert len(main) == 2
    for table in main:
        assert table in readme


def test_written_up_results_are_those_of_their_leaderboard():
    """Tables that its README shows stand in the leaderboard beside it, whose settings are valid."""
    written_up = sorted((ROOT / "docs/results").glob("*/README.md"))
    assert written_up
    for readme in written_up:
        params.check(params.read(readme.parent / "params.yaml"))
        leaderboard = (readme.parent / "leaderboard.md").read_text()
        tables = re.findall(r"(?:^\|.*\n)+", readme.read_text(), flags=re.MULTILINE)
        scores = [table for table in tables if "probe" in table.splitlines()[0]]
        assert scores
        for table in scores:
            assert table in leaderboard


def test_readme_shows_the_scores_of_the_photographs():
    """Cells are `probe / k-NN`, which stand side by side in the leaderboard the other way round."""
    section = (ROOT / "README.md").read_text().partition("## On photographs")[2]
    section = section.partition("\n## ")[0]
    page = re.search(r"\]\((docs/results/[^)]+)/README.md\)", section)[1]
    leaderboard = (ROOT / page / "leaderboard.md").read_text().replace("*", "")
    cells = re.findall(r"([\d.]+) / ([\d.]+)", section)
    assert len(cells) == 21
    for probe, knn in cells:
        assert re.search(rf"\| +{re.escape(knn)} \| +{re.escape(probe)} \|", leaderboard), probe
