"""Zip files and folders of pictures: what is refused, and how labels are found."""

from __future__ import annotations

import io
import stat
import struct
import warnings
import zipfile
import zlib
from pathlib import Path

import pytest

from osscar_core.datasets.own import Limits, OwnDataError, import_own, own_pictures, preview
from osscar_core.datasets.own.archive import open_zip
from osscar_core.datasets.own.classes import ClassReader
from osscar_core.datasets.own.limits import LIMITS, MIB
from osscar_core.datasets.own.pictures import PictureError, picture_ending
from osscar_core.errors import DataError
from ownfiles import CLASSES, class_folders, labelled, packed, png


def _with(entry: zipfile.ZipInfo, content: bytes = b"x") -> bytes:
    """Return a good zip file with one more entry."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in class_folders().items():
            archive.writestr(name, data)
        with warnings.catch_warnings(action="ignore"):  # of a name that is there twice
            archive.writestr(entry, content)
    return buffer.getvalue()


def _named(name: str) -> bytes:
    return _with(zipfile.ZipInfo(name), png())


def _link() -> bytes:
    entry = zipfile.ZipInfo("good/link.png")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return _with(entry, b"/etc/passwd")


def _flagged(data: bytes, flag: int) -> bytes:
    """Set a flag of every entry, in both places where a zip file has it."""
    changed = bytearray(data)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = changed.find(mark)
        while at >= 0:
            changed[at + offset] |= flag
            at = changed.find(mark, at + 4)
    return bytes(changed)


def _packed_by(method: int) -> bytes:
    entry = zipfile.ZipInfo("good/z.png")
    entry.compress_type = method
    return _with(entry, png())


def _huge_png() -> bytes:
    """Return a picture of 40,000 x 40,000 pixels in a few bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


def _bomb() -> bytes:
    return packed({**class_folders(), "good/zeros.png": bytes(40 * MIB)})


def _rows(*rows: str) -> bytes:
    files = labelled()
    files["labels.csv"] = f"{files['labels.csv']}\n" + "\n".join(rows)
    return packed(files)


BAD: list[tuple[str, bytes, list[str]]] = [
    ("up", _named("good/../../evil.png"), ["'good/../../evil.png'", "leads out of the zip"]),
    ("absolute", _named("/etc/evil.png"), ["its name is an absolute path"]),
    ("drive", _named("C:/evil.png"), ["its name is an absolute path"]),
    ("backslash", _named("good\\..\\evil.png"), ["its name holds a backslash"]),
    ("control", _named("good/e\x07vil.png"), ["its name holds control characters"]),
    ("link", _link(), ["'good/link.png': a link or device, not a file"]),
    ("twice", _named("good/00.png"), ["'good/00.png': there twice"]),
    ("password", _flagged(packed(class_folders()), 1), ["locked with a password", "and 2 more"]),
    ("bzip2", _packed_by(zipfile.ZIP_BZIP2), ["a method other than Deflate"]),
    ("lzma", _packed_by(zipfile.ZIP_LZMA), ["a method other than Deflate"]),
    ("bomb", _bomb(), ["times when unpacked, more than 100 times"]),
    ("nested zip", packed({**class_folders(), "good/more.zip": packed(class_folders())}),
     ["'good/more.zip': not a PNG, JPEG"]),
    ("exe as png", packed({**class_folders(), "pit/a.png": b"MZ" + bytes(99)}),
     ["'pit/a.png': not a PNG, JPEG, WebP, BMP, TIFF or GIF picture", "Repair it or leave"]),
    ("empty picture", packed({**class_folders(), "pit/a.png": b""}), ["'pit/a.png': empty"]),
    ("cut picture", packed({**class_folders(), "pit/a.png": png(side=64)[:900]}),
     ["'pit/a.png': a damaged picture"]),
    ("huge picture", packed({**class_folders(), "pit/a.png": _huge_png()}),
     ["'pit/a.png'", "25,000,000"]),
    ("svg", packed({**class_folders(), "pit/a.svg": "<svg/>"}), ["'pit/a.svg': not a PNG"]),
    ("unknown class", packed({**class_folders(), "scrach/a.png": png()}),
     ["folder 'scrach': 'scrach' is not a class of the model (did you mean 'scratch'?)",
      "The classes are: good, scratch, pit"]),
    ("wrong label", _rows("p/00.png,dent,A"),
     ["row 14, column B (label): 'dent' is not a class", "The classes are: good, scratch, pit"]),
    ("id too high", _rows("p/00.png,3,A"), ["column B (label): '3' is not a class"]),
    ("no label", _rows("p/00.png,,A"), ["row 14, column B (label): no class"]),
    ("NaN label", _rows("p/00.png,NaN,A"), ["column B (label): 'NaN' where the class should be"]),
    ("no such picture", _rows("p/99.png,pit,A"),
     ["column A (file): there is no picture 'p/99.png'"]),
    ("listed twice", _rows("p/00.png,good,A"), ["column A (file): 'p/00.png' stands in row 2"]),
    ("no label column", packed({**labelled(), "labels.csv": "file,x\np/00.png,1\n"}),
     ["no column holds the label", "file, x"]),
    ("two tables", packed({**labelled(), "a.csv": "x\n1\n", "labels.tsv": "x\n"}),
     ["several tables", "labels.csv"]),
    ("loose", packed({f"{i}.png": png(i) for i in range(12)}),
     ["12 files have no label, such as '0.png'", "Add labels.csv (file,label)"]),
    ("no pictures", packed({"README.txt": "hello"}), ["holds no pictures"]),
    ("empty zip", packed({}), ["holds no pictures"]),
    ("one picture", packed({"good/a.png": png()}), ["1 picture.", "At least 10 are needed"]),
    ("cut zip", packed(class_folders())[:-30], ["the zip file is damaged or incomplete"]),
    ("excel", packed({"[Content_Types].xml": "x"}), ["an Excel workbook"]),
    ("table alone", b"file,label\na.png,good\n", ["a table without pictures", "labels.csv"]),
    ("exe as zip", b"MZ\x90\0", ["a Windows program"]),
    ("lone picture", png(), ["a single picture"]),
    ("nothing", b"", ["the file is empty"]),
]  # fmt: skip


@pytest.mark.parametrize(("data", "words"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_bad_files(data: bytes, words: list[str], tmp_path: Path) -> None:
    with pytest.raises(OwnDataError) as caught:
        import_own(data, "bad.zip", task="image", class_names=CLASSES, into=tmp_path / "own")
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(members=11), "more than 11 files"),
        (Limits(pictures=11), "12 pictures, more than 11"),
        (Limits(unpacked_bytes=500), "when unpacked, more than"),
        (Limits(upload_bytes=500), "more than 0"),
        (Limits(picture_bytes=50), "larger than"),
        (Limits(pixels=63), "64 pixels, more than 63"),
    ],
)
def test_limits(limits: Limits, words: str, tmp_path: Path) -> None:
    with pytest.raises(OwnDataError, match=words):
        import_own(packed(class_folders()), "a.zip", task="image", into=tmp_path, limits=limits)
    assert list(tmp_path.iterdir()) == []


def test_a_member_larger_than_it_says_is_not_read_to_the_end(tmp_path: Path) -> None:
    """The sizes in a zip file are its maker's words."""
    data = bytearray(packed({**class_folders(), "pit/a.png": bytes(1 * MIB)}))
    at = data.rfind(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 100)  # uncompressed size
    with pytest.raises(OwnDataError, match=r"'pit/a\.png': damaged in the zip file"):
        import_own(bytes(data), "a.zip", task="image", into=tmp_path, class_names=CLASSES)


def test_what_systems_leave_behind_is_ignored() -> None:
    junk = {"__MACOSX/good/._00.png": b"x", "good/.DS_Store": b"x", "pit/Thumbs.db": b"x"}
    bundle = open_zip(packed({**class_folders(3), **junk}), LIMITS)
    assert bundle.names == ("good/00.png", "pit/02.png", "scratch/01.png")


@pytest.mark.parametrize("encoding", ["cp932", "utf-8"])
def test_unmarked_japanese_names(encoding: str) -> None:
    """Zip files made on Japanese Windows do not say how their names are written.

    The second byte of the first character is that of a backslash in CP932.
    """
    name = "表/ソ.png"
    plain = "X" * len(name.encode(encoding))
    data = packed({plain: png()}).replace(plain.encode(), name.encode(encoding))
    assert open_zip(data, LIMITS).names == (name,)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"])
def test_formats_are_told_by_content(kind: str) -> None:
    ending = picture_ending(png(kind=kind), LIMITS)
    assert ending == {"JPEG": "jpg", "TIFF": "tif"}.get(kind, kind.lower())


def test_a_format_that_is_not_on_the_list() -> None:
    with pytest.raises(PictureError, match="not a PNG"):
        picture_ending(png(kind="PPM"), LIMITS)


@pytest.mark.parametrize(
    ("written", "label"),
    [("good", 0), (" Scratch ", 1), ("\uff30\uff29\uff34", 2),
     ("2", 2), ("02", 2), ("3", None), ("-1", None),
     ("", None), ("goods", None), ("9" * 5_000, None)],
)  # fmt: skip
def test_classes_by_name_or_id(written: str, label: int | None) -> None:
    assert ClassReader(CLASSES, ()).read(written) == label


def test_a_class_called_by_a_number_is_meant_by_it() -> None:
    assert ClassReader(("7", "1", "0"), ()).read("0") == 2


def test_without_names_numbers_are_ids_and_names_are_numbered_in_order() -> None:
    numbers = ClassReader(None, ["4", "0"])
    assert (numbers.names, numbers.read("4")) == (None, 4)
    names = ClassReader(None, ["pit", "good", "pit"])
    assert (names.names, names.read("pit")) == (("good", "pit"), 1)


@pytest.mark.parametrize("base", ["", "my data/"])
@pytest.mark.parametrize("files", [class_folders(), labelled()], ids=["folders", "table"])
def test_labels_and_pictures_belong_together(
    base: str, files: dict[str, bytes | str], tmp_path: Path
) -> None:
    data = packed({base + name: content for name, content in files.items()})
    kept = import_own(data, "a.zip", task="image", class_names=CLASSES, into=tmp_path)
    own = own_pictures(str(tmp_path / kept.id))
    assert kept.count == 12
    assert kept.class_counts == dict.fromkeys(CLASSES, 4)
    for index, name in enumerate(own.names):
        number = int(name.strip("'").rpartition("/")[2].partition(".")[0])
        assert own.labels[index] == number % 3
        assert own.read(index) == png(number)
        assert own.attributes[index] == (
            {"line": "AB"[number % 2]} if "labels.csv" in files else {}
        )


def test_a_folder_and_its_zip_are_the_same_data(tmp_path: Path) -> None:
    for name, content in labelled().items():
        file = tmp_path / "set" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    settings = {"task": "image", "class_names": CLASSES, "into": tmp_path / "own"}
    from_folder = import_own(tmp_path / "set", "set", **settings)
    from_zip = import_own(packed(labelled()), "set.zip", **settings)
    assert from_folder.digest == from_zip.digest
    (tmp_path / "set" / "p" / "link.png").symlink_to("/etc/passwd")
    with pytest.raises(OwnDataError, match=r"'p/link.png': a link"):
        import_own(tmp_path / "set", "set", **settings)


def test_none_may_be_a_value_and_nan_is_not(tmp_path: Path) -> None:
    files = labelled()
    files["labels.csv"] = str(files["labels.csv"]).replace(",A", ",none").replace(",B", ",NaN")
    kept = import_own(packed(files), "a.zip", task="image", class_names=CLASSES, into=tmp_path)
    assert own_pictures(str(tmp_path / kept.id)).attributes[:2] == ({"line": "none"}, {})


def test_pictures_that_the_table_lacks_are_told(tmp_path: Path) -> None:
    kept = import_own(
        packed({**labelled(), "p/extra.png": png()}),
        "a.zip",
        task="image",
        class_names=(*CLASSES, "dent"),
        into=tmp_path,
    )
    assert "1 pictures are not in the table and were left out" in kept.warnings
    assert "no picture of 1 classes: dent" in kept.warnings


def test_preview_of_pictures() -> None:
    found = preview(packed(labelled()), "a.zip")
    assert (found.kind, found.task, found.count) == ("zip", "image", 12)
    assert found.columns == ("file", "label", "line")
    assert (found.mapping.file, found.mapping.label) == ("file", "label")
    assert found.mapping.attributes == ("line",)
    assert found.classes == {"good": 4, "pit": 4, "scratch": 4}
    folders = preview(packed(class_folders()), "a.zip")
    assert folders.classes == found.classes
    assert folders.encoding is None


def test_classes_follow_their_names_to_another_model(tmp_path: Path) -> None:
    kept = import_own(
        packed(class_folders()), "a.zip", task="image", class_names=CLASSES, into=tmp_path
    )
    folder = str(tmp_path / kept.id)
    before = own_pictures(folder)
    after = own_pictures(folder, ("pit", "dent", "scratch", "good"))
    assert after.labels == tuple({0: 3, 1: 2, 2: 0}[label] for label in before.labels)
    with pytest.raises(DataError, match="classes that the model does not know: pit"):
        own_pictures(folder, ("good", "scratch"))
