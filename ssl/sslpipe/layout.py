"""Where each stage's files lie. Nothing else in the package spells a path of the project."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from sslpipe.errors import UserError

PARAMS = Path("params.yaml")


@dataclass(frozen=True)
class Layout:
    """Paths below the project's root (the folder that holds params.yaml)."""

    root: Path = Path()

    def downloads(self) -> Path:
        """Files as their origin has them, kept for later runs. SSLPIPE_DOWNLOADS moves it."""
        return Path(os.environ.get("SSLPIPE_DOWNLOADS") or self.root / "data/downloads")

    def given(self, path: str) -> Path:
        """A path of the user's own files: relative ones start at the root. In a copy of the project that
        DVC works in, which has no files but git's, they start at the project's own root.

        Raises UserError for a ~ that stands for no home folder."""
        try:
            found = self.root / Path(path).expanduser()
        except RuntimeError:
            raise UserError(f"{path}: ~ stands for no home folder here") from None
        copied = self.root.resolve()
        for folder in copied.parents:
            if folder.parts[-2:] == ("tmp", "exps") and not found.exists():
                return folder.parents[2] / path
        return found

    def seen(self, dataset: str) -> Path:
        """What the files that a set comes from were when they were last looked at."""
        return self.root / ".state/sources" / f"{dataset}.json"

    def links(self, dataset: str) -> Path:
        """A folder of links to single files that a set comes from."""
        return self.root / ".state/sources" / dataset

    def source_settings(self, dataset: str) -> Path:
        return self.root / "data/sources" / f"{dataset}.source.json"

    def dataset_settings(self, dataset: str) -> Path:
        return self.root / "data/sources" / f"{dataset}.json"

    def source_images(self, dataset: str) -> Path:
        """A link to what the set comes from, through which DVC sees it."""
        return self.root / "data/sources" / f"{dataset}.images"

    def source_notes(self) -> Path:
        """A file for each set that has links; where they are missing, DVC has them made."""
        return self.root / "data/local"

    def raw(self, dataset: str) -> Path:
        return self.root / "data/raw" / f"{dataset}.tar"

    def notes(self, dataset: str, stage: str) -> Path:
        """What `download` and `subset` decided on the way, in lines."""
        return (
            self.root / {"download": "data/raw", "subset": "data/notes"}[stage] / f"{dataset}.json"
        )

    def packed_images(self, dataset: str) -> Path:
        return self.root / "data/packed" / f"{dataset}.npy"

    def packed_index(self, dataset: str) -> Path:
        return self.root / "data/packed" / f"{dataset}.csv"

    def packed_record(self, dataset: str) -> Path:
        """What the two were made of."""
        return self.root / "data/packed" / f"{dataset}.json"

    def corpus(self, name: str) -> Path:
        return self.root / "data/corpora" / f"{name}.json"

    def encoder(self, run: str) -> Path:
        return self.root / "data/runs" / run / "encoder.safetensors"

    def package(self) -> Path:
        return self.root / "ssl/sslpipe"

    def code(self, stage: str) -> Path:
        return self.root / "data/code" / f"{stage}.json"

    def embedding(self, run: str, dataset: str) -> Path:
        return self.root / "data/embeddings" / run / f"{dataset}.npz"

    def history(self, run: str) -> Path:
        return self.root / "reports/history" / f"{run}.csv"

    def pretrain_report(self, run: str) -> Path:
        return self.root / "reports/pretrain" / f"{run}.json"

    def metrics(self, run: str, dataset: str) -> Path:
        return self.root / "reports/metrics" / dataset / f"{run}.json"

    def predictions(self, run: str, dataset: str) -> Path:
        return self.root / "reports/predictions" / dataset / f"{run}.npz"

    def features(self, run: str, dataset: str) -> Path:
        return self.root / "reports/features" / dataset / f"{run}.json"

    # Below the folders of the frozen features' scores: a folder of its own would be missing where
    # nothing is fine-tuned, and DVC wants to see what a stage depends on.
    def finetune_metrics(self, run: str, dataset: str) -> Path:
        return self.root / "reports/metrics" / dataset / "finetune" / f"{run}.json"

    def finetune_predictions(self, run: str, dataset: str) -> Path:
        return self.root / "reports/predictions" / dataset / "finetune" / f"{run}.npz"

    def dataset_page(self, dataset: str) -> Path:
        return self.root / "reports/data" / f"{dataset}.md"

    def dataset_facts(self, dataset: str) -> Path:
        return self.root / "reports/data" / f"{dataset}.json"

    def corpus_page(self, corpus: str) -> Path:
        return self.root / "reports/data" / f"{corpus}.md"

    def corpus_record(self, corpus: str) -> Path:
        """What a corpus was made of."""
        return self.root / "reports/data" / f"{corpus}.json"

    def contact_sheet(self, dataset: str) -> Path:
        return self.root / "reports/data" / f"{dataset}.png"

    def leaderboard(self, suffix: str) -> Path:
        return self.root / "reports" / f"leaderboard.{suffix}"

    def figure(self, name: str, suffix: str) -> Path:
        return self.root / "reports/figures" / f"{name}.{suffix}"

    def curves(self) -> Path:
        return self.root / "reports/curves.csv"

    def study(self, name: str) -> Path:
        return self.root / "reports/studies" / f"{name}.md"

    def claims(self, suffix: str) -> Path:
        return self.root / "reports" / f"claims.{suffix}"

    def page(self) -> Path:
        return self.root / "reports/index.html"

    def export(self, run: str) -> Path:
        return self.root / "exports" / run

    def running(self, stage: str, names: tuple[str, ...]) -> Path:
        """What a stage at work tells of itself; its lock lies beside it. Never moved: what runs in
        this folder is what writes into it."""
        job = re.sub(r"[^\w.]", "_", ".".join((stage, *names)))
        return self.root / ".state/running" / f"{job}.json"

    def running_folders(self) -> list[Path]:
        """Where stages tell of themselves: here, and in the copies that DVC's queue works in."""
        here = self.root / ".state/running"
        copies = self.root / ".dvc/tmp/exps"
        queued = copies.glob("*/.state/running")
        alone = copies.glob("standalone/*/.state/running")
        return [folder for folder in (here, *queued, *alone) if folder.is_dir()]

    def states(self) -> list[Path]:
        """The folders of interrupted trainings' states, `<run>/<fingerprint>` each."""
        found = self.state("").glob("*/*/")
        return sorted(path for path in found if re.fullmatch("[0-9a-f]{16}", path.name))

    def part_files(self) -> list[Path]:
        """Files that a stage has not finished writing."""
        folders = {self.root / "data", self.root / "reports", self.downloads()}
        return sorted({path for folder in folders for path in folder.rglob(".*.part")})

    def state(self, run: str) -> Path:
        """Resumable state, where neither engine looks. SSLPIPE_STATE moves it elsewhere."""
        return Path(os.environ.get("SSLPIPE_STATE", self.root / ".state")) / run
