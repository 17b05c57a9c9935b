"""Going through a tar of any length."""

import tarfile


def forget_members(tar: tarfile.TarFile) -> None:
    """tarfile remembers every member it has seen."""
    tar.members.clear()  # type: ignore[attr-defined] # which its stub does not know
