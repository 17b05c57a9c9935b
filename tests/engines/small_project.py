"""A small experiment in a folder of its own: a clone of the working tree with other parameters."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]

SMALL = {
    "image_size": 24,
    "datasets": {
        "patches": {
            "source": {
                "kind": "photo_patches",
                # Quick to train on; in all enough for features of more than 1 MB, whose checksums
                # Snakemake does not look at.
                "train_per_class": 10,
                "val_per_class": 4,
                "test_per_class": 7,
            }
        },
        "digits": {"source": "digits", "max_images_per_class": 10},
    },
    "leaderboard": ["patches"],
    "contact_sheets": [],
    "corpora": {"base": {"datasets": ["patches"]}},
    "methods": {
        "simclr": {"projector": {"hidden": 32, "output": 16}},
        "moco": {"projector": {"hidden": 32, "output": 16}, "queue": 64, "bn_groups": 2},
        "random": {},
    },
    "pretrain": {
        "epochs": 2,
        "batch_size": 32,
        "threads": 1,
        "precision": "fp32",
        "checkpoint_minutes": 0,
        "online": {"datasets": ["patches"]},
    },
    "runs": {
        "simclr": {"method": "simclr", "backbone": "resnet18", "corpus": "base"},
        "moco": {"method": "moco", "backbone": "resnet18", "corpus": "base"},
        "raw_pixels": {"method": "random", "backbone": "pixels", "corpus": "base"},
    },
    "evaluate": {
        "knn": {"k": 5},
        "probe": {"epochs": 3, "lr": [0.001, 0.01], "weight_decay": [0.0]},
    },
    "finetune": {"runs": ["simclr"], "epochs": 1, "batch_size": 32, "lr": [0.001]},
    "neighbour_strips": ["patches"],
    "studies": {"method": {"runs": ["simclr", "moco"], "x": "method"}},
    "claims": {},
    "report": {"resamples": 200},
}


class Project:
    """A project folder and its commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def environment(self) -> dict[str, str]:
        binaries = Path(sys.executable).parent
        path = f"{binaries}{os.pathsep}{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "SSLPIPE_DEVICES": "", "OMP_NUM_THREADS": "1"}
        # Leases of its own: whatever else trains on this machine is not waited for.
        return env | {"SLURM_JOB_ID": f"test-{os.getpid()}"}

    def start(self, command: str, **settings: object) -> subprocess.Popen:
        """settings: of the process."""
        return subprocess.Popen(
            command.split(), cwd=self.folder, env=self.environment(), **settings
        )

    def run(self, command: str, *, check: bool = True, **environment: str):
        done = subprocess.run(
            command.split(),
            cwd=self.folder,
            env=self.environment() | environment,
            capture_output=True,
            encoding="utf-8",
        )
        if check:
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def read(self, file: str):
        """A JSON file's content."""
        return json.loads((self.folder / file).read_text(encoding="utf-8"))

    def copy(self, folder: Path) -> "Project":
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder)

    def jobs(self) -> set[str]:
        """Rule and outputs of the jobs that Snakemake would run."""
        table = self.run("snakemake --summary --cores 1").stdout.splitlines()
        header, *rows = [line.split("\t") for line in table if "\t" in line]
        plan, name = header.index("plan"), header.index("output_file")
        return {row[name] for row in rows if row[plan] != "no update"}

    def edit(self, path: str, value: object) -> None:
        file = self.folder / "params.yaml"
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        *parents, last = path.split(".")
        place = content
        for parent in parents:
            place = place[parent]
        place[last] = value
        file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def make_project(folder: Path, **changed: object) -> Project:
    """The tracked files of the working tree, as they are now, in a new git repository.

    changed: keys of params.yaml."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, encoding="utf-8", check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        source, target = ROOT / name, folder / name
        if source.is_file() and not name.startswith(("reports/", "dvc.lock")):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    (folder / "params.yaml").write_text(
        yaml.safe_dump(SMALL | changed, sort_keys=False), encoding="utf-8"
    )
    project = Project(folder)
    project.run("git init --quiet")
    return project
