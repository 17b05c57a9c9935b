"""Rows of results, and their files."""

import csv
import platform
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from tabulate import tabulate

from sslpipe.training.precision import has_bf16

COLUMNS = (
    "benchmark", "case", "subject", "value", "unit", "baseline", "ratio", "device", "versions",
    "date",
)  # fmt: skip
# How the names of sslpipe's own subjects begin; "batched" are its views.
OWN = ("sslpipe", "batched")


@dataclass(frozen=True)
class Row:
    """ratio: how many times as fast as `baseline`, another subject of the same case."""

    case: str
    subject: str
    value: float
    unit: str
    baseline: str = ""
    ratio: float | None = None


def compared(case: str, rates: dict[str, float], unit: str, baseline: str) -> list[Row]:
    """A row for each subject's units a second; without ratios where the baseline is missing."""
    if baseline not in rates:
        return [Row(case, subject, rate, unit) for subject, rate in rates.items()]
    return [
        Row(case, subject, rate, unit, baseline, rate / rates[baseline])
        for subject, rate in rates.items()
    ]


def stamp(
    benchmark: str, rows: Iterable[Row], device: str, packages: Iterable[str]
) -> list[dict[str, str]]:
    """Rows as they are written: formatted, with device, versions and date."""
    return [
        {
            "benchmark": benchmark,
            "case": row.case,
            "subject": row.subject,
            "value": four_digits(row.value),
            "unit": row.unit,
            "baseline": row.baseline,
            "ratio": "" if row.ratio is None else f"{row.ratio:.2f}",
            "device": device,
            "versions": versions(packages),
            "date": datetime.now(UTC).date().isoformat(),
        }
        for row in rows
    ]


def four_digits(value: float) -> str:
    """Four significant digits, without an exponent from 1e-4 upwards; all digits of a whole part."""
    return f"{value:.0f}" if abs(value) >= 1000 or value == 0 else f"{value:.4g}"


def versions(packages: Iterable[str]) -> str:
    """Those that are installed, e.g. `torch 2.11.0, lightly 1.6.0`."""
    found = []
    for package in packages:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def device_label(device: torch.device, threads: int) -> str:
    """A GPU's name; a CPU's with what decides its speed: instructions, number formats, threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    instructions = torch.backends.cpu.get_cpu_capability()
    bf16 = "bf16" if has_bf16(device) else "no bf16"
    return f"{cpu_name()} ({instructions}, {bf16}), {threads} threads"


def cpu_name() -> str:
    """As Linux tells it, without decorations; elsewhere the kind of processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2] for line in lines if line.startswith("model name")]
    name = models[0] if models else platform.processor() or platform.machine()
    return " ".join(re.sub(r"\((R|TM)\)|\bCPU\b|@.*", " ", name).split())


def slug(label: str) -> str:
    """`NVIDIA H100 80GB HBM3` → `nvidia-h100-80gb-hbm3`."""
    return re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")


def read(path: Path) -> list[dict[str, str]]:
    """The rows of an earlier CSV; none if there is no such file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: list[dict[str, str]]) -> None:
    """`path`, a CSV, and as Markdown beside it: first how many times as fast sslpipe is, then all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    path.with_suffix(".md").write_text(f"{summary(rows)}\n\n{markdown(rows)}\n", encoding="utf-8")


def summary(rows: list[dict[str, str]]) -> str:
    """A Markdown table of what is sslpipe's own and has something to be compared with."""
    cells = [
        (row["benchmark"], row["case"], row["subject"], f"{row['value']} {row['unit']}",
         row["baseline"], row["ratio"])
        for row in rows
        if row["ratio"] and row["subject"].startswith(OWN)
    ]  # fmt: skip
    columns = ("benchmark", "case", "subject", "measured", "against", "times as fast")
    return _pipe(cells, columns, right=("measured", "times as fast"))


def markdown(rows: list[dict[str, str]]) -> str:
    cells = [[row[column] for column in COLUMNS] for row in rows]
    return _pipe(cells, COLUMNS, right=("value", "ratio"))


def _pipe(cells: list, columns: tuple[str, ...], *, right: tuple[str, ...]) -> str:
    align = ["right" if column in right else "left" for column in columns]
    return tabulate(
        cells, columns, "pipe", colalign=align if cells else None, disable_numparse=True
    )
