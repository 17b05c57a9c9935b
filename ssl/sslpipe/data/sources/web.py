"""Conceptual 12M: a list of addresses of images on the web, many of which answer no longer.

Below downloads/cc12m/<key of the list's content, seed and shorter_side>/ lie
- 00000.tar, …: what arrived of each SHARD addresses, as `sslpipe.data.raw` describes;
- 00000.csv, …: what became of each of them; written last, it says that a shard is finished;
- arrived.csv: the images that the latest run gave.
"""

import csv
import hashlib
import io
import re
import time
import warnings
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from math import ceil
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NamedTuple

from sslpipe.data import raw
from sslpipe.data.fetch import RemoteFile, digest, fetch
from sslpipe.data.sources.web_image import OK, Answer, fetch_image
from sslpipe.data.splits import share
from sslpipe.errors import UserError
from sslpipe.io.files import atomic, locked, need_space, write_bytes
from sslpipe.io.progress import LINE_SECONDS, say
from sslpipe.layout import Layout
from sslpipe.schema.sources.web import CC12M

LIST = RemoteFile("cc12m.tsv", ("https://storage.googleapis.com/conceptual_12m/cc12m.tsv",))
ADDRESS = re.compile(rb"https?://[^/\s][^\x00-\x1f]{0,4000}", re.IGNORECASE)
BAND = 400_000
"""Addresses that are held in memory; the list of 12 million never is."""
SHARD = 1_000
"""Addresses of a finished piece: what an interruption costs at most, and the same again begun."""
BARREN = 2
"""Shards in a row that bring nothing before the network, not the web, is to blame."""


class Row(NamedTuple):
    """What became of one address; empty strings where nothing arrived."""

    url: str
    outcome: str
    name: str = ""
    bytes: str = ""
    sha256: str = ""


def cc12m(source: CC12M, root: Path) -> Iterator[tuple[str, bytes]]:
    """Yield `images` that arrived, or as many as there are, in an order drawn by the seed.

    Finished shards are kept and used again, so what they hold never changes. Raises UserError when
    the list cannot be had or holds no addresses, nothing arrives, or the disk is too small.
    """
    downloads = Layout(root).downloads()
    path = fetch(LIST, source, downloads)
    key = f"{digest(path, 'sha256')} {source.seed} {source.shorter_side}"
    folder = downloads / "cc12m" / hashlib.sha256(key.encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock", "cc12m"):
        for part in folder.glob(".*.part"):  # of a run that was killed
            part.unlink()
        _need_space(source, folder)
        chosen = _collect(source, _addresses(path, source.seed), folder)
        target = Layout(root).raw("").parent
        target.mkdir(parents=True, exist_ok=True)
        need_space(target, sum(tar.stat().st_size for tar in chosen), "a copy of cc12m's images")
        for tar, names in chosen.items():
            members = {member.name: member for member in raw.read(tar)}
            with tar.open("rb") as file:
                for name in names:
                    file.seek(members[name].offset)
                    yield name, file.read(members[name].size)


def _need_space(source: CC12M, folder: Path) -> None:
    side = source.shorter_side
    each = 150_000 if side is None else min(150_000, round(25_000 * (side / 256) ** 2))
    there = sum(tar.stat().st_size for tar in folder.glob("*.tar"))
    what = f"cc12m ({source.images} images, estimated at {each / 1000:.0f} kB each)"
    need_space(folder, max(0, source.images * each - there), what)


# --- the list -------------------------------------------------------------------------------


def _addresses(path: Path, seed: int) -> Iterator[str]:
    """Each address once, in an order that depends on the seed and the addresses alone.

    Each has a number in [0, 1). The list is read once to count it, then once for each band of
    numbers. Raises UserError when there are none.
    """
    lines = count = 0
    for address in _lines(path):
        lines += 1
        count += bool(address)
    if not count:
        raise UserError(f"{path}: holds no lines of an address, a tab and a caption; delete it")
    say(f"{path}: {count} addresses; {lines - count} broken lines left out")
    bands = ceil(count / BAND)
    for number in range(bands):
        low, high = number / bands, (number + 1) / bands
        band = {
            (drawn, address)
            for address in _lines(path)
            if address and low <= (drawn := share(address, f"cc12m:{seed}:")) < high
        }
        yield from (address for _, address in sorted(band))


def _lines(path: Path) -> Iterator[str]:
    """The address of each line, '' for a broken one."""
    with path.open("rb") as file:
        for line in file:
            address, tab, _ = line.partition(b"\t")
            try:
                yield address.decode() if tab and ADDRESS.fullmatch(address) else ""
            except UnicodeDecodeError:
                yield ""


# --- shards ---------------------------------------------------------------------------------


def _collect(source: CC12M, addresses: Iterator[str], folder: Path) -> dict[Path, list[str]]:
    """Go through shards until enough has arrived; the members to use of each. Writes arrived.csv.

    Raises UserError when BARREN shards in a row, or all there are, bring nothing.
    """
    chosen: dict[Path, list[str]] = {}
    seen: set[str] = set()
    outcomes: Counter[str] = Counter()
    barren: list[Row] = []
    last_time, last_tried = time.monotonic(), 0
    with (
        warnings.catch_warnings(action="ignore"),  # Pillow's, about metadata: nothing to be done
        ThreadPool(source.connections) as pool,  # leaving it waits for no thread
        atomic(folder / "arrived.csv") as arrived,
    ):
        arrived.write(_csv([("name", "url", "sha256")]))
        for tar, rows in _shards(addresses, source, pool, folder):
            new = []
            for row in rows:
                if row.outcome == OK and row.sha256 in seen:
                    outcomes["copy of another"] += 1
                    continue
                outcomes[row.outcome] += 1
                if row.outcome == OK:
                    seen.add(row.sha256)
                    new.append(row)
                    if len(seen) == source.images:
                        break
            if new:
                chosen[tar] = [row.name for row in new]
            arrived.write(_csv((row.name, row.url, row.sha256) for row in new))
            barren = [] if any(row.outcome == OK for row in rows) else [*barren, *rows]
            if len(barren) >= BARREN * SHARD:
                raise _nothing(barren)
            if len(seen) == source.images:
                break
            now, tried = time.monotonic(), outcomes.total()
            if now - last_time >= LINE_SECONDS:
                rate = (tried - last_tried) / (now - last_time)
                said = f"{len(seen)} of {source.images} images arrived"
                say(f"cc12m: {said}, {tried} addresses tried ({rate:.0f}/s)")
                last_time, last_tried = now, tried
        if not seen:
            raise _nothing(barren)
    tried = outcomes.total()
    if len(seen) < source.images:
        say(f"warning: cc12m: the list ends: {len(seen)} of {source.images} images arrived")
    del outcomes[OK]
    say(f"cc12m: {len(seen)} images of {tried} addresses; not used: {_most(outcomes)}")
    return chosen


def _shards(
    addresses: Iterator[str], source: CC12M, pool: ThreadPool, folder: Path
) -> Iterator[tuple[Path, list[Row]]]:
    """Each shard's tar and rows, in order: those of an earlier run, or fetched now.

    The next one is begun before the last stragglers of one have answered.
    """
    get = partial(
        fetch_image,
        shorter_side=source.shorter_side,
        timeout=source.timeout,
        retries=source.retries,
    )
    waiting: deque[tuple[Path, list[str], list[Row] | Iterable[Answer]]] = deque()
    number = 0
    while urls := list(islice(addresses, SHARD)):
        tar = folder / f"{number:05}.tar"
        rows = _finished(tar, urls)
        waiting.append((tar, urls, rows or pool.imap(get, urls)))
        number += 1
        if len(waiting) == 2:
            yield _done(*waiting.popleft())
    while waiting:
        yield _done(*waiting.popleft())


def _done(
    tar: Path, urls: list[str], result: list[Row] | Iterable[Answer]
) -> tuple[Path, list[Row]]:
    if isinstance(result, list):
        return tar, result
    answers = list(result)
    rows = [_row(url, answer) for url, answer in zip(urls, answers, strict=True)]
    images = [(row.name, a.content) for row, a in zip(rows, answers, strict=True) if row.name]
    if images:  # else there was no network, most likely: another run tries the shard again
        raw.write(tar, images)
        write_bytes(tar.with_suffix(".csv"), _csv([Row._fields, *rows]))
    return tar, rows


def _row(url: str, answer: Answer) -> Row:
    if answer.outcome != OK:
        return Row(url, answer.outcome)
    name = f"all/_/{hashlib.sha256(url.encode()).hexdigest()[:32]}.{answer.suffix}"
    sha256 = hashlib.sha256(answer.content).hexdigest()
    return Row(url, OK, name, str(len(answer.content)), sha256)


def _finished(tar: Path, urls: list[str]) -> list[Row] | None:
    """The rows of a shard of these addresses that is there and undamaged."""
    table = tar.with_suffix(".csv")
    if not table.exists():
        return None
    try:
        lines = csv.reader(io.StringIO(table.read_bytes().decode(), newline=""), strict=True)
        rows = [Row(*line) for line in lines][1:]
        with tar.open("rb") as file:
            found = {}
            for member in raw.read(tar):
                file.seek(member.offset)
                found[member.name] = hashlib.sha256(file.read(member.size)).hexdigest()
        kept = {row.name: row.sha256 for row in rows if row.outcome == OK}
        if kept and found == kept and [row.url for row in rows] == urls:
            return rows
    except (FileNotFoundError, UserError, ValueError, TypeError, csv.Error):
        pass
    say(f"{tar}: damaged; its images are fetched again")
    return None


def _csv(rows: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _nothing(barren: list[Row]) -> UserError:
    reasons = _most(Counter(row.outcome for row in barren))
    return UserError(
        f"cc12m: nothing arrived from {len(barren)} addresses in a row ({reasons}); "
        "see that the network is up and run it again: these are tried again"
    )


def _most(outcomes: Counter[str]) -> str:
    return ", ".join(f"{count} × {outcome}" for outcome, count in outcomes.most_common(8)) or "none"
