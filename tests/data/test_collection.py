"""What lies in folders, zips and tars as people and systems leave them."""

import io
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sslpipe.data.sources import folder
from sslpipe.data.sources.collection import opened
from sslpipe.errors import UserError
from sslpipe.schema.sources.folder import Folder


def picture(number=0, kind="PNG") -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def put(top: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(content)
    return top


def look(path, **settings):
    with opened(path, "x", Path(), **settings) as collection:
        return collection


class Written(zipfile.ZipInfo):
    """An entry whose name is these bytes, marked as UTF-8 or not."""

    def __init__(self, name: bytes, marked=False, extra=b""):
        super().__init__("x")
        self.written, self.marked, self.extra = name, marked, extra

    def _encodeFilenameFlags(self):
        return self.written, self.flag_bits & ~0x800 | (0x800 if self.marked else 0)


def make_zip(path: Path, names, marked=False, **how) -> Path:
    with zipfile.ZipFile(path, "w", **how) as file:
        for number, name in enumerate(names):
            file.writestr(Written(name, marked), picture(number))
    return path


def test_names_of_another_code_page_are_not_guessed(tmp_path):
    names = [f"{c}/{i}.png".encode("cp932") for c in ("ソファ", "ソース", "机") for i in range(2)]
    path = make_zip(tmp_path / "x.zip", names)
    with pytest.raises(
        UserError, match=r"not marked as UTF-8.*ソファ/0\.png in cp932.*source\.encoding"
    ):
        look(path)
    found = look(path, encoding="cp932")
    assert {name.split("/")[0] for name in found.images} == {"ソファ", "ソース", "机"}
    with pytest.raises(UserError, match=r"source\.encoding: ascii: .* is not in it"):
        look(path, encoding="ascii")


@pytest.mark.parametrize("encoding", ["big5", "gbk", "euc_kr", "cp1251", "cp1252"])
def test_any_code_page_can_be_given(tmp_path, encoding):
    name = {"big5": "功能", "gbk": "汉字", "euc_kr": "한글", "cp1251": "кот", "cp1252": "Bäume"}[
        encoding
    ]
    path = make_zip(tmp_path / "x.zip", [f"{name}/1.png".encode(encoding)])
    assert list(look(path, encoding=encoding).images) == [f"{name}/1.png"]


def test_utf8_without_the_mark_is_taken(tmp_path):
    path = make_zip(tmp_path / "x.zip", ["猫/1.png".encode(), b"dog/2.png", b"cat\\3.png"])
    assert list(look(path).images) == ["猫/1.png", "dog/2.png", "cat/3.png"]


def test_a_unicode_path_of_the_extra_field_counts(tmp_path):
    import struct
    import zlib

    written = "ソース/1.png".encode("cp932")
    content = struct.pack("<BI", 1, zlib.crc32(written)) + "ソース/1.png".encode()
    extra = struct.pack("<HH", 0x7075, len(content)) + content
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr(Written(written, extra=extra), picture())
    assert list(look(tmp_path / "x.zip").images) == ["ソース/1.png"]


def test_damage_of_any_kind_is_one_line(tmp_path):
    path = make_zip(tmp_path / "a.zip", ["Crème/1.png".encode("latin-1")], marked=True)
    with pytest.raises(UserError, match=r"not a readable zip.*pack it anew"):
        look(path)
    for kind in (zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED):
        path = make_zip(tmp_path / f"{kind}.zip", [b"a/1.png", b"b/2.png"], compression=kind)
        content = bytearray(path.read_bytes())
        content[60:160] = bytes(100)
        path.write_bytes(content)
        with (
            pytest.raises(UserError, match=r"broken at a/1\.png") as caught,
            opened(path, "x", Path()) as collection,
        ):
            collection.read("a/1.png")
        assert "\n" not in str(caught.value)
    for start in (b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07\x00", b"\x28\xb5\x2f\xfd"):
        (tmp_path / "other").write_bytes(start + bytes(1000))
        with pytest.raises(UserError, match="not a folder, zip or tar: unpack it"):
            look(tmp_path / "other")


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tars(tmp_path, mode, capsys):
    path = tmp_path / "set.any"
    with tarfile.open(path, mode) as tar:
        for number, name in enumerate(
            ["top/b/2.png", "top/a/1.png", "./top/notes.txt", "top/.hidden.png"]
        ):
            info = tarfile.TarInfo(name)
            info.size = len(picture(number))
            tar.addfile(info, io.BytesIO(picture(number)))
        link = tarfile.TarInfo("top/a/link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    members = list(folder.folder(Folder(path=str(path)), Path()))
    assert members == [("all/a/1.png", picture(1)), ("all/b/2.png", picture(0))]
    said = capsys.readouterr().err
    assert "left out 1 files of other kinds (.txt 1), 1 links, devices and the like" in said


def test_unsafe_and_broken_tars_are_one_line(tmp_path):
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as tar:
        info = tarfile.TarInfo("../../evil.png")
        tar.addfile(info, io.BytesIO())
    with pytest.raises(UserError, match=r"unsafe name '../../evil\.png' inside"):
        look(path)
    with tarfile.open(path, "w:gz") as tar:
        info = tarfile.TarInfo("a/1.png")
        info.size = 10000
        tar.addfile(info, io.BytesIO(os.urandom(10000)))
    path.write_bytes(path.read_bytes()[:5000])
    with (
        pytest.raises(UserError, match=r"source\.path: x: ") as caught,
        opened(path, "x", Path()) as collection,
    ):
        collection.read("a/1.png")
    assert "\n" not in str(caught.value)


def test_a_tar_that_ends_too_early_or_is_damaged_loses_nothing_in_silence(tmp_path):
    names = [f"{c}/{i}.png" for c in "ab" for i in range(5)]
    whole = make_tar(tmp_path / "x.tar", *names).read_bytes()
    assert len(look(tmp_path / "x.tar").images) == 10
    with tarfile.open(tmp_path / "x.tar") as tar:
        places = [info.offset for info in tar]
    damaged = bytearray(whole)
    damaged[places[6] : places[6] + 100] = b"\xff" * 100
    for content in (damaged, whole[: places[6]], whole[: places[6] + 200], whole + whole):
        (tmp_path / "y.tar").write_bytes(content)
        with pytest.raises(UserError, match=r"not a readable tar \((bad header|more behind)"):
            look(tmp_path / "y.tar")


def test_names_that_are_not_utf8_of_what_is_no_image_are_only_counted(tmp_path, capsys):
    top = put(tmp_path / "x", {"a/1.png": picture(1), "b/2.png": picture(2)})
    try:
        (top / os.fsdecode(b"a/x.d\xe9")).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes only UTF-8")
    notes = []
    assert len(list(folder.folder(Folder(path=str(top)), Path(), notes=notes))) == 2
    "\n".join(notes).encode()
    assert "left out 1 files of other kinds" in capsys.readouterr().err


def test_a_pattern_that_names_nothing_is_said(tmp_path, capsys):
    top = put(tmp_path / "x", {f"{c}/{c}.png": picture() for c in "abc"})
    list(folder.folder(Folder(path=str(top), exclude=["c"]), Path()))
    assert (
        "source.exclude: c is the name of no image (of a folder's: c/*)" in capsys.readouterr().err
    )


def test_a_table_for_the_images_that_are_chosen(tmp_path):
    files = {f"{k}/{i}.png": picture(i) for k in ("images", "masks") for i in range(4)}
    files["t.csv"] = b"id,label\n0,a\n1,b\n2,a\n3,b\n"
    source = Folder(path=str(put(tmp_path / "x", files)), labels="./t.csv", exclude=["masks/*"])
    members = [name for name, _ in folder.folder(source, Path())]
    assert members == [f"all/{c}/images/{i}.png" for c, i in ("a0", "a2", "b1", "b3")]
    outside = put(tmp_path, {"t.csv": files["t.csv"]}) / "t.csv"
    source = Folder(path=str(tmp_path / "x"), labels=str(outside), exclude=["masks/*"])
    with pytest.raises(UserError, match="no table"):  # beside a folder it could change unseen
        list(folder.folder(source, Path()))


def test_formats_go_by_suffix_and_where_there_is_none_by_content(tmp_path):
    files = {
        "a/1.avif": picture(kind="AVIF"), "a/2.JFIF": picture(kind="JPEG"), "a/3": picture(kind="WEBP"),
        "a/n01.42": picture(), "a/README": b"text", "a/4.dat": picture(), "a/data": b"BM is text",
    }  # fmt: skip
    found = look(put(tmp_path / "x", files))
    assert sorted(found.images) == ["a/1.avif", "a/2.JFIF", "a/3", "a/n01.42"]
    assert sorted(found.others) == ["a/4.dat", "a/README", "a/data"]


def test_images_that_cannot_be_read_are_named_in_plain_words(tmp_path):
    files = {f"{c}/{i}.png": picture(i) for c in "ab" for i in range(4)}
    files |= {f"phone/{i}.HEIC": b"\0\0\0\x18ftypheic" for i in range(3)}
    top = put(tmp_path / "x", files)
    with pytest.raises(
        UserError, match=r"3 HEIC images of 11 images.*source.exclude: \['\*.HEIC'\]"
    ):
        list(folder.folder(Folder(path=str(top)), Path()))
    assert len(list(folder.folder(Folder(path=str(top), exclude=["*.HEIC"]), Path()))) == 8


def test_a_folder_that_loses_all_its_images_is_named(tmp_path, capsys):
    files = {f"{c}/{i}.png": picture(i) for c in "ab" for i in range(3)} | {"docs/x.pdf": b"%PDF"}
    list(folder.folder(Folder(path=str(put(tmp_path / "x", files))), Path()))
    assert (
        "folders without an image that can be read: docs (other files)" in capsys.readouterr().err
    )


def test_git_lfs_pointers_are_named(tmp_path):
    pointer = (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
    )
    top = put(tmp_path / "x", {"a/1.jpg": pointer, "b/2.jpg": picture()})
    with pytest.raises(UserError, match=r"1 of 2 images are Git LFS pointers.*git lfs pull"):
        list(folder.folder(Folder(path=str(top)), Path()))


@pytest.mark.parametrize(
    "system", ["@eaDir", "#recycle", "$RECYCLE.BIN", "lost+found", "__MACOSX", ".Trash"]
)
@pytest.mark.parametrize("packed", [False, True])
def test_what_systems_leave_is_no_image(tmp_path, system, packed):
    files = {"a/1.png": picture(1), "b/2.png": picture(2)}
    files |= {f"a/{system}/1.png/THUMB.png": picture(3), f"{system}/cover.png": picture(4)}
    path = put(tmp_path / "x", files)
    if packed:
        path = tmp_path / "x.zip"
        with zipfile.ZipFile(path, "w") as file:
            for name, content in files.items():
                file.writestr(name, content)
    assert sorted(look(path).images) == ["a/1.png", "b/2.png"]


def test_paths_that_are_none(tmp_path):
    for path, message in (
        (tmp_path / ("x" * 300), "too long"),
        (tmp_path / "gone", "no such folder"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            look(path)
        assert "\n" not in str(caught.value)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UserError, match="no such folder, zip or tar"):
        look(tmp_path / "fifo")


kinds = st.sampled_from([".png", ".PNG", ".txt", ".heic", "", ".jpg", ".npy", ".7"])
parts = st.sampled_from(["a", "b", ".x", "@eaDir", "c d", "é"])
names = st.builds(
    lambda folders, stem, kind: "/".join([*folders, stem + kind]),
    st.lists(parts, max_size=2),
    st.sampled_from(["1", "x"]),
    kinds,
)


@settings(max_examples=100, deadline=None)
@given(st.sets(names, min_size=1, max_size=12), st.booleans())
def test_every_file_is_somewhere(tmp_path_factory, names, packed):
    top = tmp_path_factory.mktemp("tree")
    if packed:
        with zipfile.ZipFile(top / "x.zip", "w") as file:
            for name in names:
                file.writestr(name, picture())
        found = look(top / "x.zip")
    else:
        found = look(put(top, dict.fromkeys(names, picture())))
    hidden = {
        name for name in names if any(p.startswith(".") or p == "@eaDir" for p in name.split("/"))
    }
    kept = [*found.images, *found.unreadable, *found.others, *found.tables]
    assert sorted(kept) == sorted(names - hidden)
    assert sum(found.others_in_words().values()) == len(found.others) + len(found.tables)


def make_tar(path: Path, *members: str | tarfile.TarInfo, **how) -> Path:
    """A picture for each name; a TarInfo is put in without content."""
    with tarfile.open(path, "w", **how) as tar:
        for number, member in enumerate(members):
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
                continue
            info = tarfile.TarInfo(member)
            info.size = len(picture(number))
            tar.addfile(info, io.BytesIO(picture(number)))
    return path


def contents(path: Path, **settings) -> dict[str, bytes]:
    with opened(path, "x", Path(), **settings) as collection:
        return {name: collection.read(name) for name in collection.images}


def test_a_tar_damaged_in_the_middle_is_not_taken_for_a_shorter_one(tmp_path):
    path = make_tar(tmp_path / "x.tar", *(f"a/{i}.png" for i in range(9)))
    content = bytearray(path.read_bytes())
    with tarfile.open(path) as tar:
        content[tar.getmembers()[3].offset] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"not a readable tar.*bad header at byte"):
        look(path)


def test_a_size_below_zero_is_damage(tmp_path):
    info = tarfile.TarInfo("a/1.png")
    info.size = -512
    (tmp_path / "x.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(UserError, match="not a readable tar"):
        look(tmp_path / "x.tar")


def test_second_names_of_a_file_in_a_tar_are_files(tmp_path):
    second, lost = tarfile.TarInfo("b/2.png"), tarfile.TarInfo("b/3.png")
    second.type = lost.type = tarfile.LNKTYPE
    second.linkname, lost.linkname = "./a/1.png", "elsewhere"
    path = make_tar(tmp_path / "x.tar", "a/1.png", second, lost)
    assert contents(path) == {"a/1.png": picture(0), "b/2.png": picture(0)}
    assert look(path).left_out == {"links, devices and the like (b/3.png)": 1}


def test_of_files_that_are_twice_in_a_tar_the_last_counts(tmp_path):
    path = make_tar(tmp_path / "x.tar", "a/1.png", "./a/1.png")
    assert contents(path) == {"a/1.png": picture(1)}
    assert look(path).left_out == {"earlier files of the same name": 1}


def test_names_in_a_tar_of_another_code_page(tmp_path):
    names = ["ソファ/1.png", "ソース/1.png"]
    path = make_tar(tmp_path / "x.tar", *names, format=tarfile.GNU_FORMAT, encoding="cp932")
    with pytest.raises(UserError, match=r"ソファ/1\.png in cp932.*source\.encoding"):
        look(path)
    assert sorted(look(path, encoding="cp932").images) == sorted(names)


@pytest.mark.parametrize("encoding", ["cp932", "cp1252", "cp866"])
def test_the_likeliest_code_page_is_named_first(tmp_path, encoding):
    name = {"cp932": "ソファ", "cp1252": "Épagneul", "cp866": "кошка"}[encoding]
    path = make_zip(tmp_path / "x.zip", [f"{name}/1.png".encode(encoding)])
    with pytest.raises(
        UserError, match=rf"one would be {name}/1\.png in {encoding}[,:].*: {encoding}$"
    ):
        look(path)


@pytest.mark.parametrize("encoding", ["hex", "rot13", "utf-16", "cp037", "", "nosuch", "a\0"])
def test_what_is_no_encoding_of_names_is_refused(encoding):
    with pytest.raises(ValueError, match="no encoding"):
        Folder(path="x", encoding=encoding)


@pytest.mark.parametrize(
    "content, words",
    [
        (picture(), "not a folder, zip or tar, but an image"),
        (b"version https://git-lfs.github.com/spec/v1\n", "but a Git LFS pointer.*git lfs pull"),
    ],
)
def test_files_that_are_no_archives_are_named(tmp_path, content, words):
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(UserError, match=words):
        look(tmp_path / "x.zip")


def test_links_that_lead_nowhere_or_up_are_named(tmp_path):
    top = put(tmp_path / "x/y", {"a/1.png": picture()})
    put(tmp_path, {"beside/2.png": picture()})
    (top / "gone.png").symlink_to("nowhere")
    (top / "self").symlink_to("self")
    (top / "up").symlink_to(tmp_path)
    found = look(top)
    assert list(found.images) == ["a/1.png"]
    assert found.left_out == {
        "links to nothing (gone.png, self)": 2,
        "links that lead back (up)": 1,
    }


def test_folders_of_systems_in_archives_are_counted(tmp_path):
    names = ["recycled/1.png", "a/@eaDir/1.png/T.png", "a/@eaDir/2.png", "__MACOSX/a/1.png"]
    of_tar = make_tar(tmp_path / "x.tar", *names)
    of_zip = make_zip(tmp_path / "x.zip", [name.encode() for name in names])
    for path in (of_tar, of_zip):
        assert list(look(path).images) == ["recycled/1.png"]
        assert look(path).left_out == {"folders that systems make (a/@eaDir)": 1}


def test_a_name_of_several_lines_does_not_make_several(tmp_path):
    path = make_zip(tmp_path / "x.zip", [b"a\n/1.png"])
    path.write_bytes(path.read_bytes().replace(b"IDAT", b"IDAX"))
    with pytest.raises(UserError, match="broken at a") as caught:
        contents(path)
    assert "\n" not in str(caught.value)


def test_a_name_that_begins_with_nul_is_no_bug(tmp_path):
    path = make_zip(tmp_path / "x.zip", [b"\0/1.png", b"a/1.png"])
    assert "a/1.png" in look(path).images
