"""UTF-8 in every locale, for what is in files and for what they are called."""

import os
import sys


def use_utf8() -> None:
    """Start this process anew in Python's UTF-8 mode where the locale has another encoding.

    A folder `Bäume` of params.yaml, an archive or a repository is else not found, or its classes get other
    names than on other machines.
    """
    if sys.getfilesystemencoding() == "utf-8":
        return
    os.environ["PYTHONUTF8"] = "1"  # for what this process starts
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
