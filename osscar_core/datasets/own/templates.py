"""Files to start from: a template to fill, and a sample to try with.

The decision hidden here: what they show. Both go through the same import as any other
file; the sample is made of the demo data, so its columns are worth slicing by.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence
from typing import Literal

from osscar_core.datasets.own.limits import LIMITS, in_mb
from osscar_core.records import Task

Language = Literal["en", "ja"]

SAMPLE_PICTURES = 200
SAMPLE_DOCUMENTS = 60
_BOM = "\ufeff"  # without it, spreadsheets take UTF-8 for something else
_WHEN = (2026, 1, 1, 0, 0, 0)  # the same bytes at any time
_CLASSES_SHOWN = 3

_TEXT_ROWS: dict[Language, tuple[tuple[str, ...], ...]] = {
    "en": (
        ("text", "plant"),
        ("Pump P-101 lost pressure at the start of the shift. The seal was replaced.", "north"),
        ("Checked the oil of gearbox G-7, no metal found.", "north"),
        ("Conveyor stopped twice; the sensor at the gate was dirty.", "south"),
    ),
    "ja": (
        ("本文", "工場"),
        ("始業時にポンプP-101の圧力が低下。シールを交換した。", "北"),
        ("減速機G-7の油を点検。金属粉なし。", "北"),
        ("コンベヤーが2回停止。ゲートのセンサーに汚れがあった。", "南"),
    ),
}
_IMAGE_HEADER: dict[Language, tuple[str, ...]] = {
    "en": ("file", "label", "line"),
    "ja": ("ファイル", "ラベル", "ライン"),
}
_README: dict[Language, str] = {
    "en": """How to fill this template

1. Put your pictures (PNG, JPEG, WebP, BMP, TIFF or GIF) into the folder "images".
2. List them in labels.csv: one row a picture, with its file name and its class.
   Further columns, such as the line or the customer, are what results can be split by.
3. Pack everything into one .zip of at most {size}.

The classes of the model: {classes}

At least {fewest} pictures are needed. Instead of labels.csv, one folder per class will do.
""",
    "ja": """テンプレートの使い方

1. 画像（PNG、JPEG、WebP、BMP、TIFF、GIF）を「images」フォルダーに入れます。
2. labels.csvに、画像1枚につき1行、ファイル名とクラスを書きます。
   ラインや顧客などの列を加えると、その値ごとに結果を分けて見られます。
3. 全体を1つの.zip（{size}以下）にまとめます。

モデルのクラス：{classes}

画像は{fewest}枚以上必要です。labels.csvの代わりに、クラスごとのフォルダーに分けても構いません。
""",
}


def template(
    task: Task, class_names: tuple[str, ...] | None, language: Language
) -> tuple[str, bytes]:
    """Return a file to fill: a CSV for text, a zip with labels.csv for pictures.

    Args:
        task: The kind of model.
        class_names: What the model calls its classes; ``None`` if they are numbers.
        language: Of headers and explanations.

    Returns:
        A name for the file, and its content.
    """
    if task == "text":
        return "template-text.csv", _csv(_TEXT_ROWS[language])
    classes = class_names or tuple(map(str, range(_CLASSES_SHOWN)))
    rows = [_IMAGE_HEADER[language]]
    for number, name in enumerate(classes[:_CLASSES_SHOWN], start=1):
        rows.append((f"images/{number:04d}.png", name, "A" if number % 2 else "B"))
    shown = ", ".join(class_names) if class_names else "0, 1, 2, ..."
    readme = _README[language].format(
        size=in_mb(LIMITS.upload_bytes), classes=shown, fewest=LIMITS.fewest
    )
    files = [("labels.csv", _csv(rows)), ("README.txt", (_BOM + readme).encode()), ("images/", b"")]
    return "template-images.zip", _zip(files)


def sample_own(task: Task) -> tuple[str, bytes]:
    """Return a file to try with, made of the demo data's evaluation part.

    Args:
        task: ``image`` for 200 pictures of lines A and B with the columns line and tier;
            ``text`` for 60 reports of plants 1 and 2 with the column plant.

    Returns:
        A name for the file, and its content.
    """
    return (
        ("sample-pictures.zip", _sample_pictures())
        if task == "image"
        else (
            "sample-reports.csv",
            _sample_reports(),
        )
    )


def _sample_reports() -> bytes:
    from osscar_core.datasets.plant_log import TRAINED_PLANTS, document

    each = SAMPLE_DOCUMENTS // len(TRAINED_PLANTS)
    rows = [("text", "plant")]
    for number in range(each):
        rows.extend((document("evaluation", plant, number), plant) for plant in TRAINED_PLANTS)
    return _csv(rows)


def _sample_pictures() -> bytes:
    from PIL import Image

    from osscar_core.datasets.factory import CLASSES, FactoryPictures

    pictures = FactoryPictures("evaluation")
    rows: list[tuple[str, ...]] = [("file", "label", "line", "tier")]
    files = []
    for index in range(SAMPLE_PICTURES):
        item = pictures.item(index)
        name = f"images/{index + 1:04d}.png"
        rows.append((name, CLASSES[item.label], item.line, item.tier))
        buffer = io.BytesIO()
        Image.fromarray(pictures.pixels(index)).save(buffer, format="PNG")
        files.append((name, buffer.getvalue()))
    return _zip([("labels.csv", _csv(rows)), *files])


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(rows)
    return (_BOM + buffer.getvalue()).encode()


def _zip(files: Sequence[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files:
            entry = zipfile.ZipInfo(name, _WHEN)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return buffer.getvalue()
