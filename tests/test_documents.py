"""What the README shows is what the experiment printed."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_links_and_pictures_exist():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


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
