"""Archives are read from front to back; hostile and broken ones are one clear line."""

import bz2
import gzip
import io
import lzma
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from sslpipe.data import archives
from sslpipe.errors import UserError

FILES = {"top/a/1.jpg": b"one" * 1000, "top/a/2.jpg": b"", "top/b/é.jpg": b"three"}


def tar_of(files, *extra: tarfile.TarInfo) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for info in extra:
            tar.addfile(info)
    return file.getvalue()


def zip_of(files, *extra: tuple[zipfile.ZipInfo, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        for info, content in extra:
            archive.writestr(info, content)
    return file.getvalue()


KINDS = {
    "tar": tar_of,
    "tgz": lambda files: gzip.compress(tar_of(files)),
    "tar.bz2": lambda files: bz2.compress(tar_of(files)),
    "tar.xz": lambda files: lzma.compress(tar_of(files)),
    "zip": zip_of,
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_by_its_content_whatever_its_name(tmp_path, kind):
    path = tmp_path / "archive"
    path.write_bytes(KINDS[kind]({f"./{name}": content for name, content in FILES.items()}))
    assert archives.names(path) == list(FILES)
    picked = archives.contents(path, lambda name: name.upper() if "/a/" in name else None)
    assert list(picked) == [
        ("TOP/A/1.JPG", FILES["top/a/1.jpg"]),
        ("TOP/A/2.JPG", b""),
    ]
    assert archives.read(path, ["top/b/é.jpg"]) == {"top/b/é.jpg": b"three"}
    with pytest.raises(UserError, match="top/c is not inside"):
        archives.read(path, ["top/c"])


def test_folders_are_passed_over(tmp_path):
    folder = tarfile.TarInfo("top")
    folder.type = tarfile.DIRTYPE
    (tmp_path / "x.tar").write_bytes(tar_of(FILES, folder))
    (tmp_path / "x.zip").write_bytes(zip_of(FILES, (zipfile.ZipInfo("top/"), b"")))
    for name in ("x.tar", "x.zip"):
        assert archives.names(tmp_path / name) == list(FILES)


def special(kind: bytes, name: str = "top/a/3.jpg", target: str = "../../etc/passwd"):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zip_link():
    info = zipfile.ZipInfo("top/a/3.jpg")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return zip_of(FILES, (info, b"/etc/passwd"))


HOSTILE = {
    "a name that climbs": (tar_of({"top/../../x.jpg": b"x"}), "unsafe name"),
    "an absolute name": (tar_of({"/tmp/x.jpg": b"x"}), "unsafe name"),
    "a drive": (tar_of({"C:/x.jpg": b"x"}), "unsafe name"),
    "backslashes": (tar_of({"..\\..\\x.jpg": b"x"}), "unsafe name"),
    "a name of two lines": (tar_of({"top/a\nb.jpg": b"x"}), "unsafe name"),
    "a link": (tar_of(FILES, special(tarfile.SYMTYPE)), "a link, a device or the like"),
    "a hard link": (tar_of(FILES, special(tarfile.LNKTYPE)), "a link, a device or the like"),
    "a device": (tar_of(FILES, special(tarfile.CHRTYPE)), "a link, a device or the like"),
    "a pipe": (tar_of(FILES, special(tarfile.FIFOTYPE)), "a link, a device or the like"),
    "a file twice": (tar_of(FILES, tarfile.TarInfo("top/a/1.jpg")), "is inside twice"),
    "a zip's name that climbs": (zip_of({"../x.jpg": b"x"}), "unsafe name"),
    "a zip's absolute name": (zip_of({"/x.jpg": b"x"}), "unsafe name"),
    "a zip's link": (zip_link(), "a link, a device or the like"),
    "a bomb": (gzip.compress(tar_of({"x.jpg": bytes(100 * 2**20)})), "decompression bomb"),
    "a zip bomb": (zip_of({"x.jpg": bytes(100 * 2**20)}), "decompression bomb"),
    "nothing": (b"", "broken"),
    "a page": (b"<html>Not Found</html>" * 100, "broken"),
    "half a tar": (tar_of(FILES)[:1500], "broken"),
    "half a tgz": (gzip.compress(os.urandom(1000) + tar_of(FILES))[:900], "broken"),
    "half a zip": (zip_of(FILES)[:-40], "broken"),
    "names marked UTF-8 that are not": (
        zip_of({"é": b""}).replace("é".encode(), b"\xe9x"),
        "broken",
    ),
    "a damaged zip": (zip_of(FILES).replace(zip_of(FILES)[40:50], bytes(10)), "broken"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_and_broken_archives_are_one_line(tmp_path, case):
    content, message = HOSTILE[case]
    path = tmp_path / "folder" / "archive"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        list(archives.contents(path, lambda name: name))
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value).splitlines()) == 1
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [path]


def test_a_header_cannot_ask_for_memory(tmp_path):
    """A tar may announce a long name of a gigabyte; only what the archive can hold is read."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**30
    path = tmp_path / "x.tgz"
    path.write_bytes(gzip.compress(info.tobuf() + bytes(80 * 2**20)))
    with pytest.raises(UserError, match="bomb"):
        archives.names(path)


def test_images_are_not_read_beyond_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "LARGEST_FILE", 2000)
    path = tmp_path / "x.tar"
    path.write_bytes(tar_of(FILES))
    with pytest.raises(UserError, match=r"top/a/1\.jpg is larger than"):
        list(archives.contents(path, lambda name: name))


def test_memory_does_not_grow_with_the_number_of_files(tmp_path):
    import tracemalloc

    path = tmp_path / "x.tar"
    path.write_bytes(tar_of({f"top/{i:06}.jpg": b"x" * 2000 for i in range(3000)}))
    tracemalloc.start()
    for _ in archives.contents(path, lambda name: None):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000
    assert Path(path).stat().st_size > 7_000_000
