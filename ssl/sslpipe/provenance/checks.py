"""What a stage requires of what it reads, and of what it was made of when it is done."""

from pathlib import Path

from sslpipe.errors import UserError
from sslpipe.layout import Layout
from sslpipe.params import load, settings_file
from sslpipe.provenance.code import look_again
from sslpipe.provenance.record import Artefact, Record, differences
from sslpipe.provenance.whose import Whose


def require(path: Path, made_by: str) -> Path:
    """`path` if it exists. Raises UserError naming the command that makes it."""
    if not path.exists():
        raise UserError(f"{path}: missing; it is made by: {made_by}")
    return path


def require_same(path: Path, content: str, whose: Whose, artefact: Artefact) -> None:
    """Raises UserError when a file does not hold what the report of it says."""
    if content != whose.content(artefact):
        raise UserError(
            f"{path}: not the one that its report is of (of another branch or experiment?); "
            f"run dvc checkout where DVC has the right one, else: {artefact.made_by}"
        )


def require_unchanged(
    artefact: Artefact, made_of: Record, layout: Layout, kept: str = "run it again"
) -> None:
    """Raises UserError when what an artefact was made of is no longer what params.yaml asks for: DVC
    records settings when a command ends, and would take the new ones for those that it began with.

    kept: what is left of the work."""
    look_again()
    try:
        now = Whose(load(settings_file()), layout).new(artefact)
    except UserError as error:
        first = str(error).splitlines()[0]
        raise UserError(f"{artefact}: cannot be finished, {kept}: {first}") from None
    if now["identity"] != made_of["identity"]:
        other = " and ".join(differences(made_of, now)) or "inputs"
        raise UserError(
            f"{artefact}: changed while it was made: {other}; nothing is recorded, {kept}"
        )
