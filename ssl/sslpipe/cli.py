"""The command line: one sub-command per stage, and a few for people.

torch is imported only by the stages that need it: a stage costs little beyond its own work.
"""

import argparse
import errno
import importlib
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import sslpipe
from sslpipe.errors import Interrupted, UserError
from sslpipe.io.utf8 import use_utf8
from sslpipe.layout import PARAMS, Layout

if TYPE_CHECKING:
    from sslpipe.schema.params import Params

STAGES = {
    "sources": ([], "link what the data sets come from, for DVC to see when it changes"),
    "download": (["dataset"], "fetch a data set: its original images in one tar"),
    "subset": (["dataset"], "decode and resize a data set: one uint8 array and an index"),
    "describe": (["dataset"], "write a page on a data set: classes, sizes, unreadable images"),
    "contact_sheet": (["dataset"], "draw some train images of a data set"),
    "corpus": (["corpus"], "list the training images of a pretraining corpus"),
    "code": ([], "hash the modules that each stage's numbers come from, for DVC"),
    "pretrain": (["run"], "train a run's encoder, from its last checkpoint if there is one"),
    "embed": (["run", "dataset"], "compute a run's frozen features of a data set"),
    "evaluate": (["run", "dataset"], "score a run on a data set: k-NN and a grid of probes"),
    "finetune": (["run", "dataset"], "train a run's whole network on the labels of a data set"),
    "neighbours": (["dataset"], "draw some images of a data set with their nearest neighbours"),
    "leaderboard": ([], "collect all scores in reports/leaderboard.{md,csv,json} and print them"),
    "figures": ([], "draw reports/figures"),
    "study": (["study"], "set the runs of a study side by side: reports/studies, a figure"),
    "claims": ([], "decide which claims hold: reports/claims.{md,json}"),
    "page": ([], "write reports/index.html"),
}


# Full disks, quotas and permissions are the user's to mend; other failures of files are bugs.
MACHINE_REFUSES = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS}


# They import torch, whose threads are theirs to use.
HEAVY = ("subset", "pretrain", "embed", "evaluate", "finetune", "export")


def main(arguments: list[str] | None = None) -> int:
    """Run a sub-command. Returns 0, 1 for a user's mistake, 128 + n after signal n."""
    if arguments is None:
        use_utf8()
        _use_the_projects_code()
    options = _parser().parse_args(arguments)
    if getattr(options, "stage", None) not in HEAVY:
        # The report's matrix products are small and many: threads wait for one another longer than
        # they work, and most of all where Snakemake runs several stages at once.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if sys.stdout is None:  # closed by the caller
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    elif hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a dash that the terminal does not know
    try:
        options.function(options)
        sys.stdout.flush()
    except UserError as error:
        for line in str(error).splitlines():
            print(f"sslpipe: {line}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # as in `sslpipe show | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno not in MACHINE_REFUSES:
            raise
        print(f"sslpipe: {error.filename or 'writing'}: {error.strerror}", file=sys.stderr)
        return 1
    except Interrupted as interrupted:
        return interrupted.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def _use_the_projects_code() -> None:
    """Go on with the package of the project in this folder, where another one is installed.

    So it is in a copy of the project, such as DVC's queue works in: the engines look at the copy's
    code, and record that it made the results.
    """
    if not (Layout().package() / "cli.py").exists():
        return
    own = Layout().package().resolve().parent
    used = Path(sslpipe.__file__).resolve().parents[1]
    if own == used or os.environ.get("SSLPIPE_CODE") == str(own):  # tried, and not found there
        return
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(own), before]))
    os.environ["SSLPIPE_CODE"] = str(own)
    os.execv(sys.executable, [sys.executable, "-m", "sslpipe", *sys.argv[1:]])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sslpipe", description=sslpipe.__doc__)
    parser.add_argument("--version", action="version", version=sslpipe.__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    for name, (arguments, text) in STAGES.items():
        stage = commands.add_parser(name, help=text, description=text)
        for argument in arguments:
            stage.add_argument(argument)
        stage.set_defaults(function=_stage, stage=name, arguments=arguments)

    show = commands.add_parser("show", help="print the leaderboard, or all that is known of a run")
    show.add_argument("run", nargs="?")
    show.set_defaults(function=_show)

    compare = commands.add_parser(
        "compare", help="set two runs side by side: settings, scores, cost, and what follows"
    )
    compare.add_argument("run")
    compare.add_argument("other")
    compare.add_argument(
        "--alone", action="store_true", help="without the runs that repeat them with other seeds"
    )
    compare.set_defaults(function=_compare)

    report = commands.add_parser(
        "report", help="make all of the report of what there is, of a half-finished experiment too"
    )
    report.set_defaults(function=_stage, stage="report", arguments=[])

    export = commands.add_parser(
        "export", help="write a run's weights for torchvision and timm, with a model card"
    )
    export.add_argument("run")
    export.add_argument("--to", type=Path, metavar="FOLDER", help="instead of exports/RUN")
    export.set_defaults(function=_export)

    status = commands.add_parser("status", help="what runs now: progress, speed, time left")
    status.set_defaults(function=_status)

    doctor = commands.add_parser(
        "doctor", help="examine environment, devices, disk, engines and files, with a fix for each"
    )
    doctor.add_argument("--data", action="store_true", help="read all files of data/ too")
    doctor.set_defaults(function=_doctor)

    clean = commands.add_parser("clean", help="remove what interrupted work has left behind")
    clean.add_argument(
        "--all", action="store_true", help="also what an interrupted stage would go on with"
    )
    clean.add_argument("--dry-run", action="store_true", help="only tell what would be removed")
    clean.set_defaults(function=_clean)

    check = commands.add_parser("check", help="check params.yaml, or another file of its kind")
    check.add_argument("path", nargs="?", type=Path, default=PARAMS)
    check.set_defaults(function=_check)

    schema = commands.add_parser("schema", help="print the JSON Schema of params.yaml")
    schema.set_defaults(function=_schema)

    sync = commands.add_parser(
        "sync", help="tell the other engine what the last one has done (Snakemake, DVC)"
    )
    sync.set_defaults(function=_sync)
    return parser


def _stage(options: argparse.Namespace) -> None:
    from sslpipe.params import load, settings_file
    from sslpipe.running.jobs import running
    from sslpipe.stages.code import check_code

    if options.stage == "pretrain":
        # Between two steps a training answers by itself; before, it just ends (Snakemake's shell
        # ignores the signal, and so would what it starts). SIGUSR1: see errors.TRY_AGAIN.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGUSR1, _interrupt)
    else:
        # As an exception, so that half-written files and helping processes go as after any failure.
        signal.signal(signal.SIGTERM, _interrupt)
    params = load(settings_file())
    names = tuple(getattr(options, argument) for argument in options.arguments)
    with running(Layout(), options.stage, names):
        stage = importlib.import_module(f"sslpipe.stages.{options.stage}")
        check_code(params, Layout(), options.stage, names)
        stage.run(params, Layout(), *names)
        _check_made(params, options.stage, names)


def _check_made(before: "Params", stage: str, names: tuple[str, ...]) -> None:
    """Raises UserError when settings, code or inputs have changed since the stage began: DVC looks at
    them when a command ends, and would record that it was made of the new ones."""
    from sslpipe.params import load, settings_file
    from sslpipe.provenance.code import look_again
    from sslpipe.provenance.record import made_at
    from sslpipe.provenance.whose import Whose

    if os.environ.get("RANK", "0") != "0":  # of a training, whose first rank writes
        return
    now, artefact = load(settings_file()), made_at(stage, names)
    look_again()
    if artefact is not None:
        trouble = Whose(now, Layout()).trouble(artefact)
    else:
        trouble = f"{settings_file()} is not what it was; run it again" if now != before else None
    if trouble:
        raise UserError(f"{' '.join((stage, *names))}: changed while it was made: {trouble}")


def _interrupt(number: int, _: object) -> None:
    raise Interrupted(number)


def _show(options: argparse.Namespace) -> None:
    from sslpipe.params import load

    if options.run is None:
        from sslpipe.terminal.leaderboard import print_leaderboard, read_leaderboard

        print_leaderboard(read_leaderboard(load(PARAMS), Layout()))
        return
    from sslpipe.terminal.show import print_run

    print_run(load(PARAMS), Layout(), options.run)


def _compare(options: argparse.Namespace) -> None:
    from sslpipe.params import load
    from sslpipe.terminal.compare import print_comparison

    print_comparison(load(PARAMS), Layout(), options.run, options.other, alone=options.alone)


def _export(options: argparse.Namespace) -> None:
    from sslpipe.params import load
    from sslpipe.stages import export

    signal.signal(signal.SIGTERM, _interrupt)
    export.run(load(PARAMS), Layout(), options.run, options.to)


def _status(_: argparse.Namespace) -> None:
    from sslpipe.terminal.status import print_status

    if not PARAMS.exists():
        raise UserError(f"{PARAMS}: missing; run this in the project's folder")
    from sslpipe.params import load

    params = None
    with suppress(UserError):  # which `check` tells
        params = load(PARAMS)
    print_status(Layout(), params=params)


def _doctor(options: argparse.Namespace) -> None:
    from sslpipe.terminal.doctor import print_examination

    if print_examination(Layout(), data=options.data):
        raise SystemExit(1)


def _clean(options: argparse.Namespace) -> None:
    from sslpipe.params import load
    from sslpipe.terminal.clean import clean

    clean(load(PARAMS), Layout(), everything=options.all, dry=options.dry_run)


def _check(options: argparse.Namespace) -> None:
    from sslpipe.params import load

    params = load(options.path)
    print(
        f"{options.path}: {len(params.runs)} runs, {len(params.datasets)} data sets, "
        f"{len(params.leaderboard)} of them scored"
    )


def _schema(_: argparse.Namespace) -> None:
    from sslpipe.params import json_schema

    print(json.dumps(json_schema(), indent=2))


def _sync(_: argparse.Namespace) -> None:
    from sslpipe.upkeep import sync

    print(sync.sync())
