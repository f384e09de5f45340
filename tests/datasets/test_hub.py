from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub.errors import HfHubHTTPError

import datasets
from osscar_core.datasets import hub, load_windows
from osscar_core.datasets.hub import hub_corpus, hub_images
from osscar_core.errors import DataError, SpecError

# The HTTP client behind huggingface_hub, whose name differs between its releases.
HTTP = importlib.import_module(HfHubHTTPError.__mro__[1].__module__.partition(".")[0])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set as the hub lays it out, with two parts."""
    (tmp_path / "set" / "data").mkdir(parents=True)
    for part in ("train", "test"):
        table = pa.table({"id": [0, 1, 2], "text": [f"{part} one", "", f"{part} three"]})
        pq.write_table(table, tmp_path / "set" / "data" / f"{part}-00000-of-00001.parquet")
    return tmp_path / "set"


class Loaded:
    """Stands in for ``datasets.load_dataset`` and notes how it was called."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def __call__(self, *args: Any, **kwargs: Any) -> datasets.IterableDataset:
        self.calls.append((args, kwargs))
        return datasets.Dataset.from_list(self.rows).to_iterable_dataset()


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Loaded:
    made = Loaded([{"text": f"row {n}", "sentence": f"row {n}"} for n in range(400)])
    monkeypatch.setattr(datasets, "load_dataset", made)
    return made


def test_local_directory(folder: Path, tokenizer: Any) -> None:
    corpus = hub_corpus(str(folder), "calibration")
    assert not corpus.is_whole
    assert corpus.window_cap is None
    assert list(corpus.texts) == ["train one", "", "train three"]
    assert next(iter(hub_corpus(str(folder), "evaluation").texts)) == "test one"
    assert next(iter(hub_corpus(f"{folder}/train", "evaluation").texts)) == "train one"
    windows = load_windows(f"hf:{folder}", tokenizer, seqlen=5)
    assert windows.info.notes[1] == f"part 'test' of {folder}"
    assert windows.info.available == len("test one|test three") // 5


def test_missing_part_lists_those_there_are(folder: Path) -> None:
    with pytest.raises(DataError, match=r"has no part 'val'. Choose from: .*test"):
        hub_corpus(f"{folder}/val", "evaluation")


def test_wikitext_as_published(loaded: Loaded) -> None:
    corpus = hub_corpus("wikitext2", "evaluation")
    args, kwargs = loaded.calls[0]
    assert args == ("Salesforce/wikitext", "wikitext-2-raw-v1")
    assert (kwargs["split"], kwargs["streaming"]) == ("test", False)
    assert corpus.is_whole
    assert corpus.glue == "\n\n"
    hub_corpus("wikitext2", "calibration")
    hub_corpus("wikitext2/validation", "calibration")
    assert [call[1]["split"] for call in loaded.calls[1:]] == ["train", "validation"]


def test_ptb_reads_parquet_and_no_script(loaded: Loaded) -> None:
    corpus = hub_corpus("ptb", "evaluation")
    args, kwargs = loaded.calls[0]
    assert args == ("parquet",)
    assert kwargs["data_files"]["test"].endswith("penn_treebank/test/*.parquet")
    assert corpus.glue == " "
    assert next(iter(corpus.texts)) == "row 0"


def test_c4_is_a_stream(loaded: Loaded, tokenizer: Any) -> None:
    windows = load_windows("hf:c4", tokenizer, seqlen=4)
    args, kwargs = loaded.calls[0]
    assert args == ("allenai/c4", "en")
    assert (kwargs["split"], kwargs["streaming"]) == ("validation", True)
    assert windows.info.count == hub.STREAM_WINDOWS
    assert windows.info.available is None
    first = load_windows("hf:c4", tokenizer, seqlen=4, samples=9, split="calibration")
    drawn = load_windows("hf:c4", tokenizer, seqlen=4, samples=9, seed=1, split="calibration")
    assert first.info.digest != drawn.info.digest
    assert loaded.calls[-1][1]["split"] == "train"


@pytest.mark.parametrize("name", ["wikitext2", "ptb", "c4", "some/dataset"])
def test_offline_is_told(name: str) -> None:
    with pytest.raises(DataError) as caught:
        list(hub_corpus(name, "evaluation").texts)
    assert "seems to be offline" in str(caught.value)
    assert "text:PATH or demo:python-docs" in str(caught.value)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (HTTP.ConnectTimeout("timed out"), "seems to be offline (timed out)"),
        (ConnectionError("no route\nmore"), "seems to be offline (no route)"),
        (datasets.exceptions.DatasetNotFoundError("gone"), "cannot be loaded (gone)"),
        (ValueError("Config name is missing"), "cannot be loaded (Config name is missing)"),
        (RuntimeError("Dataset scripts are no longer supported"), "cannot be loaded (Dataset"),
    ],
)
def test_failures_are_told(monkeypatch: pytest.MonkeyPatch, error: Exception, words: str) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(DataError) as caught:
        hub_corpus("some/dataset", "evaluation")
    assert words in str(caught.value)
    assert "'some/dataset'" in str(caught.value)


def test_a_stream_that_breaks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def rows() -> Any:
        yield {"text": "fine"}
        raise ConnectionError("reset")

    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: rows())
    with pytest.raises(DataError, match="'allenai/c4' has to be downloaded"):
        list(hub_corpus("c4", "evaluation").texts)


def test_rows_without_text(loaded: Loaded) -> None:
    loaded.rows = [{"text": "a"}, {"text": None}]
    with pytest.raises(DataError, match="row 1 of 'wikitext2' has no text"):
        list(hub_corpus("wikitext2", "evaluation").texts)
    loaded.rows = [{"body": "a"}]
    with pytest.raises(DataError, match="text or sentence or content, only body"):
        list(hub_corpus("wikitext2", "evaluation").texts)


def test_wrong_kind() -> None:
    with pytest.raises(SpecError, match="is images, and the model reads text"):
        hub_corpus("cifar10", "evaluation")
    with pytest.raises(SpecError, match="is text, and the model reads images"):
        hub_images("c4", "evaluation")
