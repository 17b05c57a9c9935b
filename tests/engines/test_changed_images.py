"""Both engines notice when one's own images change, and that alone."""

import re
import shutil

import numpy as np
import pytest
from PIL import Image
from small_project import SMALL, make_project

MADE = ("data/corpora/base.json", "data/corpora/other.json")


def draw(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((24, 24)).save(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two sets, a corpus of each; what both engines have made of them."""
    project = make_project(
        tmp_path_factory.mktemp("changed") / "project",
        datasets={
            "mine": {"source": {"kind": "folder", "path": "imgs"}},
            "digits": {"source": "digits", "max_images_per_class": 20},
        },
        leaderboard=["mine"],
        corpora={"base": {"datasets": ["mine"]}, "other": {"datasets": ["digits"]}},
        pretrain=SMALL["pretrain"] | {"online": {"datasets": ["mine"]}},
        contact_sheets=[], finetune={"runs": []}, neighbour_strips=[], studies={},
        runs={"simclr": {"method": "simclr", "backbone": "resnet18", "corpus": "base"}},
    )  # fmt: skip
    for seed in range(60):
        draw(project.folder / f"imgs/{'cd'[seed % 2]}/{seed}.png", seed)
    project.run(f"snakemake --cores 2 {' '.join(MADE)}")
    project.run("dvc repro corpus")
    project.run(f"snakemake --touch --cores 1 {' '.join(MADE)}")
    return project


def snakemake(project) -> set[str]:
    """Outputs of the jobs that would run."""
    told = project.run(f"snakemake -n --cores 1 {' '.join(MADE)}").stdout
    return set(re.findall(r"^    output: ([^\s,]+)", told, re.MULTILINE))


def dvc(project) -> set[str]:
    """The stages that ran."""
    return set(re.findall(r"Running stage '([^']+)'", project.run("dvc repro corpus").stdout))


def change_add(top):
    draw(top / "c/new.png", 99)


def change_relabel(top):
    (top / "c/0.png").rename(top / "d/0.png")


def change_remove(top):
    (top / "c/2.png").unlink()


def change_pixels(top):
    draw(top / "c/4.png", 99)


@pytest.mark.parametrize("change", [change_add, change_relabel, change_remove, change_pixels])
def test_changed_images_run_what_depends_on_them(made, tmp_path, change):
    project = made.copy(tmp_path / "project")
    assert snakemake(project) == set()
    assert dvc(project) == set()
    change(project.folder / "imgs")
    assert snakemake(project) == {"data/raw/mine.tar", "data/packed/mine.npy", *MADE}
    status = project.run("dvc status").stdout
    assert re.findall(r"^(\S+):$", status, re.MULTILINE)[0] == "download@mine"
    ran = dvc(project)
    assert {"download@mine", "subset@mine", "corpus@base"} <= ran
    assert not any("digits" in stage for stage in ran)
    assert "up to date" in project.run("dvc status corpus").stdout


def test_touched_copied_and_moved_images_run_nothing(made, tmp_path):
    project = made.copy(tmp_path / "project")
    dvc(project)
    for path in (project.folder / "imgs").rglob("*.png"):
        path.touch()
    (project.folder / "imgs/notes.md").write_text("no image")
    assert (snakemake(project), dvc(project)) == (
        set(),
        {"download@mine"},
    )  # of which comes the same
    shutil.move(project.folder / "imgs", project.folder / "elsewhere")
    project.edit("datasets.mine.source.path", "elsewhere")
    # a link to nothing would stop DVC
    assert "sslpipe sources" in project.run("sslpipe doctor", check=False).stdout
    project.run("sslpipe sources")
    # two quick stages of DVC alone
    assert (snakemake(project), dvc(project)) == (set(), {"sources", "code"})
    shutil.rmtree(project.folder / "elsewhere")
    assert snakemake(project) == set()  # not on this machine: what was made of them stays


def test_a_copied_project_watches_its_own_images(made, tmp_path):
    project = made.copy(tmp_path / "project")
    link = project.folder / "data/sources/mine.images"
    assert not link.readlink().is_absolute()
    change_relabel(project.folder / "imgs")
    assert "modified: " in project.run("dvc status download@mine").stdout


def test_images_below_links_are_for_snakemake_alone(made, tmp_path):
    project = made.copy(tmp_path / "project")
    (project.folder / "imgs/d").rename(project.folder / "far")
    (project.folder / "imgs/d").symlink_to(project.folder / "far")
    assert snakemake(project) == set()
    refused = project.run("sslpipe sources", check=False)
    assert refused.returncode == 1
    assert (
        "datasets.mine: imgs: d: links to folders, below which DVC sees no changes"
        in refused.stderr
    )
    draw(project.folder / "far/new.png", 99)
    assert "data/raw/mine.tar" in snakemake(project)
