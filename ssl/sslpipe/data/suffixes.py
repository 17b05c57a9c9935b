"""What the end of a file's name says of it. Imports nothing large: the engines need it too."""

IMAGE_SUFFIXES = frozenset(
    [
        ".avif", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif",
        ".tiff", ".webp",
    ]
)  # fmt: skip
TABLE_SUFFIXES = frozenset([".csv", ".tsv", ".txt"])
UNREADABLE = {
    **dict.fromkeys((".heic", ".heif"), "HEIC images"),
    **dict.fromkeys((".jxl",), "JPEG XL images"),
    **dict.fromkeys((".jp2", ".j2k", ".jpx"), "JPEG 2000 images"),
    **dict.fromkeys(
        (".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".raw", ".rw2", ".srw"), "raw camera files"
    ),
    **dict.fromkeys((".dcm", ".dicom"), "DICOM files"),
}  # fmt: skip


def may_be_image(name: str) -> bool:
    """Going by the name alone."""
    suffix = suffix_of(name)
    return suffix in IMAGE_SUFFIXES or suffix in UNREADABLE or not suffix


def suffix_of(name: str) -> str:
    """In lower case; '' where there is none, or one that is no word, as of `photo.2024`."""
    _, dot, suffix = name.rpartition("/")[2].lstrip(".").rpartition(".")
    return f".{suffix.lower()}" if dot and suffix[:1].isalpha() and len(suffix) <= 8 else ""
