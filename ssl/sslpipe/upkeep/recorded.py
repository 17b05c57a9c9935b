"""Files that are not as DVC has recorded them, though nothing tells DVC so.

`dvc status` compares times and sizes, and trusts its cache unseen.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from sslpipe.errors import UserError
from sslpipe.upkeep import sync

UNSEALED = (".csv", ".html", ".md", ".png", ".svg")
"""Files of reports/ that have no checksum of their own, as nothing reads them again."""


def damaged_copies(root: Path) -> Iterator[str]:
    """What is wrong with each damaged file of DVC's cache, which DVC would give back, and push."""
    for stage in _stages(root).values():
        for out in stage["outs"]:
            md5 = out.get("md5", "")
            entry = root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
            # of a folder it is the list of its files
            if entry.is_file() and _md5(entry) != md5.removesuffix(".dir"):
                yield (
                    f"{entry}: DVC's copy of {out['path']} is damaged; delete it, then: dvc commit"
                )


def changed_reports(root: Path) -> Iterator[str]:
    """What is wrong with each figure, table or page that has changed though nothing has that it was
    made of, as far as DVC knows. A training's history differs with every run; its report has its
    checksum."""
    stages = _stages(root)
    try:
        changes = sync.dvc_changes() if stages else {}
        there_are = sync.dvc_stages() if stages else set()
    except UserError:  # which `doctor` tells in another place
        return
    for name, stage in stages.items():
        if name not in there_are:  # of other params.yaml
            continue
        if any(
            change == "changed command" or "changed deps" in change
            for change in changes.get(name, [])
        ):
            continue  # it will be made again
        for out in stage["outs"]:
            path = Path(out["path"])
            if path.parts[0] != "reports" or "history" in path.parts or path.suffix not in UNSEALED:
                continue
            if (root / path).is_file() and _md5(root / path) != out.get("md5"):
                yield (
                    f"{path}: changed, and nothing has that it was made of; "
                    f"delete it and run: {stage['cmd']}"
                )


def _stages(root: Path) -> dict[str, Any]:
    """Those of dvc.lock; none where nothing is recorded, or not so that anybody could read it."""
    try:
        content = yaml.safe_load((root / "dvc.lock").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    stages = content.get("stages") if isinstance(content, dict) else None
    whole = stages.items() if isinstance(stages, dict) else ()
    return {name: stage for name, stage in whole if isinstance(stage, dict) and stage.get("outs")}


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
