"""Tables that fit, and colours on terminals only."""

import os
import pty
import subprocess
import sys

from rich.cells import cell_len

from sslpipe.terminal.console import Column, print_pairs, print_side_by_side, print_table

COLUMNS = [
    Column("run", ["moco_resnet18_local", "x"]),
    Column("method", ["moco", "simclr"], dropped=2),
    Column("probe", ["12.3 ± 0.4", "5.6"], right=True),
    Column("images/s", ["1,000", "–"], right=True, dropped=1),
]


def test_columns_are_aligned(printed):
    head, rule, one, other = printed(lambda console: print_table(console, COLUMNS))
    assert set(rule) == {"─"}
    assert head.index("method") == one.index("moco ") == other.index("simclr")
    for row in (one, other):  # right: the ends stand below one another
        assert len(row) == len(head) == len(rule)


def test_the_least_important_columns_go_first(printed):
    for width, gone in ((60, []), (48, ["method"]), (38, ["method", "images/s"])):
        lines = printed(lambda console: print_table(console, COLUMNS), width)
        assert max(map(cell_len, lines)) <= width
        assert [
            name for name in ("run", "method", "probe", "images/s") if name not in lines[0]
        ] == gone
        said = f"Too wide for this terminal: {', '.join(gone)}"
        assert (" ".join(lines[4:]) == said) is bool(gone)


def test_numbers_are_never_folded(printed):
    """Long names are, and lose nothing."""
    lines = printed(lambda console: print_table(console, COLUMNS), 20)
    assert sum("12.3 ± 0.4" in line for line in lines) == 1
    folded = "".join(line.removesuffix("12.3 ± 0.4").strip() for line in lines[2:5])
    assert folded == "moco_resnet18_local"


def test_what_does_not_fit_side_by_side_comes_below(printed):
    labels = Column("", ["k-NN", "probe"])
    columns = [Column(name, ["1.0 (0.5–1.5)", "2"], right=True) for name in ("zoo", "sun", "cub")]
    lines = printed(lambda console: print_side_by_side(console, labels, columns), 36)
    headings = [line.split() for line in lines if "zoo" in line or "cub" in line]
    assert headings == [["zoo", "sun"], ["cub"]]
    assert sum(line.startswith("k-NN") for line in lines) == 2


def test_labels_stay_beside_long_texts(printed):
    words = "torch 2.14.1, torchvision 0.29.1"
    pairs = {"versions": words, "seed": "0"}
    lines = printed(lambda console: print_pairs(console, pairs), 30)
    assert lines[0].startswith("  versions  torch")
    assert lines[1].startswith(" " * 12) and lines[-1] == "  seed      0"


SHOW = "import sys; from sslpipe.cli import main; sys.exit(main(sys.argv[1:]))"


def on_a_terminal(arguments, folder, **environment):
    """What a command writes to a pseudo-terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", SHOW, *arguments],
        stdout=theirs,
        cwd=folder,
        env={**_plain(), "TERM": "xterm-256color", **environment},
    )
    os.close(theirs)
    read = b""
    while True:
        try:
            some = os.read(ours, 4096)
        except OSError:  # Linux: the other end is closed
            break
        if not some:
            break
        read += some
    os.close(ours)
    assert process.wait() == 0
    return read.decode()


def _plain():
    hidden = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
    return {key: value for key, value in os.environ.items() if key not in hidden}


def test_colours_on_a_terminal_unless_they_are_unwanted(made):
    green = "32m"
    assert green in on_a_terminal(["show"], made[1].root, COLUMNS="120")
    assert green not in on_a_terminal(["show"], made[1].root, COLUMNS="120", NO_COLOR="1")
    assert "\x1b" not in on_a_terminal(["show"], made[1].root, COLUMNS="120", TERM="dumb")


def test_plain_whole_lines_in_a_pipe_without_torch(made):
    program = SHOW.replace(
        "sys.exit(main(sys.argv[1:]))", "main(sys.argv[1:]); print('torch' in sys.modules)"
    )
    for arguments in (["show"], ["show", "moco"], ["compare", "moco", "simclr"]):
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=made[1].root, env=_plain(), capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout.endswith("False\n") and done.stderr == ""
        assert "\x1b" not in done.stdout and "Too wide" not in done.stdout
