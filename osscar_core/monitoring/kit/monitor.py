"""Watch a model: has what it sees changed since it was checked?

The decision hidden here: what counts as a change. This file needs Python and torch only;
it is copied into every monitoring kit and works on the files beside it.

A batch of n items is compared with the m items of the baseline in three ways:

- distance: the squared energy distance of the features x (what enters the last layer; for
  language models the mean of the last hidden states), 2 mean |x - y| - mean |x - x'| -
  mean |y - y'|, x in the batch, y in the baseline, pairs of different items, in units of
  the baseline's own mean |y - y'|. Zero on average when nothing has changed;
- class mix (classifiers): sum over classes of w (share in batch - share in baseline)^2;
- confidence: |mean in batch - mean in baseline| / s.d.; of an item it is the largest
  class probability, or for text the mean log-probability of the tokens that came.

Each is multiplied by n m / (n + m) (the last by its square root), after which it hardly
depends on n. Its threshold comes from re-drawing baseline and batch at random from
reference items, so that all of them together raise a false alarm at the stated rate.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import math
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

with warnings.catch_warnings():  # torch mentions on every start that numpy is not there
    warnings.filterwarnings("ignore", message="Failed to initialize NumPy")
    import torch
    from torch import Tensor

OK, USER_ERROR, ALARM, DAMAGED = 0, 2, 3, 4
HISTORY = "history.csv"
_COLUMNS = ("time", "batch", "sha256", "items", "distance", "threshold", "p_value", "alarm", "why")
_STARTS_FORMULA = (*"=+-@\t\r\n", *"\uff1d\uff0b\uff0d\uff20")
_Z99 = 2.5758293035489004
_LOGITS_AT_ONCE = 2**25
_WATCH_P = 0.05
RULE = (
    "re-check: two of the latest three scores are alarms, or the latest p-value is at most a "
    "tenth of the alarm rate. watch: the latest score is an alarm, or two of the latest three "
    f"p-values are at most {_WATCH_P}. no action: otherwise."
)
WORDS_JA = {"no action": "対応不要", "watch": "要観察", "re-check": "要再検査"}


class KitError(Exception):
    """Something is wrong with what was given; the words say what and what to do."""


class DamagedError(KitError):
    """A file of the kit is missing or is not the one that was exported."""


@dataclass(frozen=True)
class Observed:
    """What a model made of some items.

    Attributes:
        features: float32, (n, d).
        predicted: The class of each item, int64, (n,); for text the most likely next
            tokens, (n, T - 1).
        confidence: float32, (n,).
    """

    features: Tensor
    predicted: Tensor
    confidence: Tensor


# --- The statistics -----------------------------------------------------------------------


def kernel(x: Tensor, y: Tensor, unit: float) -> Tensor:
    """Return -|x - y| / unit of all pairs of rows, float64, (len(x), len(y))."""
    return torch.cdist(x.double(), y.double()).div_(-unit)


def pairs_mean(k: Tensor) -> float:
    """Return the mean of a square matrix without its diagonal."""
    n = len(k)
    return float((k.sum() - k.diagonal().sum()) / (n * (n - 1)))


def kernels(baseline: dict[str, Tensor], seen: Observed) -> tuple[Tensor, Tensor]:
    """Return `kernel` of the batch with itself, and with the baseline."""
    unit = float(baseline["unit"])
    inside = kernel(seen.features, seen.features, unit)
    return inside, kernel(seen.features, baseline["features"], unit)


def statistics(
    baseline: dict[str, Tensor], seen: Observed, known: tuple[Tensor, Tensor] | None = None
) -> list[float]:
    """Return the scaled statistics of a batch: distance, confidence, and class mix if any.

    Args:
        baseline: What the kit keeps.
        seen: The batch.
        known: Its `kernels`, where they are at hand.
    """
    n, m = len(seen.features), len(baseline["features"])
    scale = n * m / (n + m)
    inside, across = kernels(baseline, seen) if known is None else known
    distance = pairs_mean(inside) - 2 * float(across.mean()) + float(baseline["kernel_mean"])
    gap = float(seen.confidence.double().mean() - baseline["confidence_mean"])
    found = [scale * distance, math.sqrt(scale) * abs(gap) / float(baseline["confidence_sd"])]
    if "class_shares" in baseline:
        shares = class_shares(seen.predicted, len(baseline["class_shares"]))
        moved = (shares - baseline["class_shares"]).square() * baseline["class_weights"]
        found.append(scale * float(moved.sum()))
    return found


def class_shares(predicted: Tensor, classes: int) -> Tensor:
    """Return the share of each class, float64, (classes,)."""
    return torch.bincount(predicted, minlength=classes).double() / len(predicted)


def threshold_at(null: Tensor, allowed: int) -> float:
    """Return what a statistic has to exceed, so that at most ``allowed`` resamples reach it.

    Args:
        null: The statistic of the resamples, ascending.
        allowed: How many of them may be as large as what raises an alarm.
    """
    return float(null[len(null) - 1 - allowed])


def upper_p(null: Tensor, value: float) -> float:
    """Return the share of resamples at least as large as ``value``, itself counted."""
    below = int(torch.searchsorted(null, torch.tensor(value, dtype=null.dtype)))
    return (1 + len(null) - below) / (len(null) + 1)


def lower_p(null: Tensor, value: float) -> float:
    """Return the share of resamples at most as large as ``value``, itself counted."""
    wanted = torch.tensor(value, dtype=null.dtype)
    return (1 + int(torch.searchsorted(null, wanted, right=True))) / (len(null) + 1)


def between(sizes: Tensor, n: int, values: Sequence[float]) -> float:
    """Return a value at batch size n, linear in log n between the calibrated sizes."""
    known = sizes.tolist()
    right = next(i for i, size in enumerate(known) if size >= n)
    if known[right] == n:
        return values[right]
    low, high = math.log(known[right - 1]), math.log(known[right])
    share = (math.log(n) - low) / (high - low)
    return (1 - share) * values[right - 1] + share * values[right]


@dataclass(frozen=True)
class Judged:
    """Statistics of a batch against their thresholds, one entry a test."""

    values: tuple[float, ...]
    thresholds: tuple[float, ...]
    p_values: tuple[float, ...]
    p_value: float

    @property
    def is_alarm(self) -> bool:
        """Whether any test exceeds its threshold."""
        return any(v > t for v, t in zip(self.values, self.thresholds, strict=True))


def judge(baseline: dict[str, Tensor], values: Sequence[float], n: int) -> Judged:
    """Compare statistics of a batch of n items with their thresholds.

    Raises:
        KitError: The size is outside what was calibrated.
    """
    sizes, null = baseline["sizes"], baseline["null"]  # (L,), (L, tests, resamples)
    if not int(sizes[0]) <= n <= int(sizes[-1]):
        raise KitError(f"{n} items were given. Give {int(sizes[0])} to {int(sizes[-1])}.")
    allowed = baseline["allowed"].tolist()
    thresholds, p_values = [], []
    for test, value in enumerate(values):
        at = [threshold_at(one[test], count) for one, count in zip(null, allowed, strict=True)]
        of = [upper_p(one[test], value) for one in null]
        thresholds.append(between(sizes, n, at))
        p_values.append(between(sizes, n, of))
    smallest = min(p_values)
    overall = between(sizes, n, [lower_p(one, smallest) for one in baseline["smallest_p"]])
    return Judged(tuple(values), tuple(thresholds), tuple(p_values), overall)


def wilson(hits: float, count: int, z: float = _Z99) -> tuple[float, float]:
    """Return the score interval of a share (Wilson, 1927); 99% unless told."""
    share, spread = hits / count, z * z / count
    centre = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / count + spread / (4 * count)) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)


# --- From a batch to what the model makes of it ---------------------------------------------


def prepare_images(images: Any, settings: dict[str, Any]) -> Tensor:
    """Turn raw pictures into the network's input.

    Args:
        images: uint8, (N, 3, H, W), or a list of (3, H, W). Pictures that already have the
            network's size are taken as they are; others are resized.
        settings: ``mean``, ``std``, ``size`` and ``resize`` (shorter side before a centre
            crop, or none).

    Returns:
        float32, (N, 3, size, size): scaled to [0, 1], minus mean, divided by std.

    Raises:
        KitError: It is something else.
    """
    if isinstance(images, list):
        if not images:
            raise KitError("the batch is empty. Give pictures, uint8, (N, 3, H, W).")
        return torch.cat([prepare_images(_stacked(one), settings) for one in images])
    if not isinstance(images, Tensor) or images.dim() != 4 or images.shape[1] != 3:
        raise KitError(f"pictures are uint8, (N, 3, H, W); this is {_described(images)}.")
    if images.dtype != torch.uint8:
        raise KitError(f"pictures are raw uint8 from 0 to 255; this is {images.dtype}.")
    size, shorter = settings["size"], settings["resize"]
    if tuple(images.shape[2:]) != (size, size):
        height, width = images.shape[2:]
        target = (size, size)
        if shorter is not None:
            factor = shorter / min(height, width)
            target = (int(height * factor), int(width * factor))
        images = torch.nn.functional.interpolate(
            images.float(), target, mode="bilinear", antialias=True, align_corners=False
        )
        images = images.round_().clamp_(0, 255)
        top, left = (round((side - size) / 2) for side in images.shape[2:])
        images = images[:, :, top : top + size, left : left + size]
    mean = torch.tensor(settings["mean"]).view(3, 1, 1)
    std = torch.tensor(settings["std"]).view(3, 1, 1)
    scaled: Tensor = (images.float() / 255 - mean) / std
    return scaled


def _stacked(one: Any) -> Any:
    return one[None] if isinstance(one, Tensor) else one


def prepare_text(ids: Any, settings: dict[str, Any]) -> Tensor:
    """Cut token ids, int64, (N, T) or (T,), into windows; what remains of a row is dropped.

    Raises:
        KitError: It is something else, or too short.
    """
    length = settings["seqlen"]
    if not isinstance(ids, Tensor) or ids.is_floating_point() or ids.dim() not in {1, 2}:
        raise KitError(f"text is token ids, int64, (N, T); this is {_described(ids)}.")
    rows = ids.reshape(1, -1) if ids.dim() == 1 else ids
    count = rows.shape[1] // length
    if not count or not len(rows):
        raise KitError(f"each row needs {length} tokens or more; this is {_described(ids)}.")
    if int(rows.min()) < 0 or int(rows.max()) >= settings["vocabulary"]:
        raise KitError(f"token ids are 0 to {settings['vocabulary'] - 1}; others were given.")
    return rows[:, : count * length].reshape(-1, length).long()


def _described(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{value.dtype} of shape {tuple(value.shape)}"
    return type(value).__name__


def observe(program: Any, items: Tensor, task: str, at_once: int) -> Observed:
    """Run a model.

    Args:
        program: Returns logits and features of prepared items.
        items: Prepared items, (n, ...).
        task: ``image`` or ``text``.
        at_once: Items a forward pass.

    Raises:
        KitError: Outputs that are not finite.
    """
    parts = []
    with torch.inference_mode():
        for some in torch.split(items, at_once):
            logits, features = program(some)
            if task == "image":
                best = logits.float().softmax(-1).max(-1)
                parts.append((features, best.indices, best.values))
            else:
                scores = logits[:, :-1].float()  # (B, T-1, V)
                came = scores.gather(-1, some[:, 1:, None])[..., 0] - scores.logsumexp(-1)
                parts.append((features, scores.argmax(-1), came.mean(1)))
    features, predicted, confidence = (torch.cat(part) for part in zip(*parts, strict=True))
    if not bool(features.isfinite().all() and confidence.isfinite().all()):
        raise KitError("the model gives outputs that are not finite. Look at the batch.")
    return Observed(features.float(), predicted, confidence)


# --- The kit's files --------------------------------------------------------------------


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file, as exported.

    Raises:
        DamagedError: There is no list of files.
    """
    try:
        files: dict[str, str] = json.loads((folder / "manifest.json").read_text("utf8"))["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedError(
            f"manifest.json cannot be read ({error}). Export the kit again."
        ) from error
    return files


class Kit:
    """The folder this file lies in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = read_manifest(folder)
        self.record: dict[str, Any] = json.loads(self._checked("baseline.json").read_text("utf8"))
        self.task: str = self.record["task"]

    def _checked(self, name: str) -> Path:
        path = self.folder / name
        if name not in self.files:
            raise DamagedError(f"manifest.json does not list {name}. Export the kit again.")
        if not path.is_file() or sha256(path) != self.files[name]:
            raise DamagedError(f"{name} is not the file that was exported. Export the kit again.")
        return path

    def baseline(self) -> dict[str, Tensor]:
        """Return the reference features and what was calibrated on them."""
        path = self._checked("baseline.pt")
        found: dict[str, Tensor] = torch.load(path, weights_only=True)
        return found

    def program(self, name: str) -> Any:
        """Return a model: prepared items -> logits, features."""
        if not (self.folder / name).is_file() and name not in self.files:
            raise KitError(f"this kit has no {name}. Export it again with --dense MODEL.")
        path = self._checked(name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.load(path).module()

    def read(self, file: Path) -> Tensor:
        """Return the prepared items of a file: ``.pt``, and for text ``.txt`` or ``.jsonl``."""
        if not file.is_file():
            raise KitError(f"there is no file {file}. Give a batch such as example.pt.")
        if self.task == "text" and file.suffix in {".txt", ".jsonl"}:
            return prepare_text(self._tokens(file), self.record["input"])
        try:
            raw = torch.load(file, weights_only=True)
        except Exception as error:  # torch.load raises whatever the bytes make it raise
            raise KitError(f"{file} is not a file of torch.save with tensors only.") from error
        prepare = prepare_images if self.task == "image" else prepare_text
        return prepare(raw, self.record["input"])

    def _tokens(self, file: Path) -> Tensor:
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise KitError("text needs 'pip install tokenizers'; token ids do not.") from None
        tokenizer = Tokenizer.from_file(str(self._checked("tokenizer.json")))
        if file.suffix == ".txt":
            return torch.tensor(tokenizer.encode(file.read_text("utf8")).ids, dtype=torch.int64)
        ids: list[int] = []
        end = self.record["input"]["end_of_text"]
        for number, line in enumerate(file.read_text("utf8").splitlines(), 1):
            try:
                text = json.loads(line)["text"]
            except (ValueError, KeyError, TypeError):
                raise KitError(f'line {number} of {file} is not {{"text": "..."}}.') from None
            between_documents = [end] if ids and end is not None else []
            ids += [*between_documents, *tokenizer.encode(text, add_special_tokens=not ids).ids]
        return torch.tensor(ids, dtype=torch.int64)

    def observe(self, name: str, items: Tensor) -> Observed:
        """Run one of the kit's models."""
        return observe(self.program(name), items, self.task, at_once(self.record["input"]))


def at_once(settings: dict[str, Any]) -> int:
    """Return how many items a forward pass takes."""
    if "size" in settings:
        per_item = 64 * int(settings["size"]) ** 2
    else:
        per_item = int(settings["seqlen"]) * int(settings["vocabulary"])
    return max(1, min(64, _LOGITS_AT_ONCE // per_item))


# --- What it can be asked ---------------------------------------------------------------


def score(kit: Kit, file: Path, *, note: bool = True) -> dict[str, Any]:
    """Compare a batch with the baseline, and add a line to the history if ``note``."""
    items, remarks = kit.read(file), []
    baseline = kit.baseline()
    least, most = int(baseline["sizes"][0]), int(baseline["sizes"][-1])
    given = len(items)
    if given < least:
        raise KitError(
            f"{given} items are too few to tell a change from chance. Give {least} or more."
        )
    if given > most:
        generator = torch.Generator().manual_seed(0)
        items = items[torch.randperm(given, generator=generator)[:most]]
        remarks.append(f"{most} of {given} items were drawn: the largest calibrated batch")
    seen = kit.observe("model.pt2", items)
    n, m = len(items), len(baseline["features"])
    found = judge(baseline, statistics(baseline, seen), n)
    names, scale = kit.record["tests"], n * m / (n + m)
    unscaled = {"confidence": math.sqrt(scale)}
    tests = [
        {
            "test": name,
            "value": value / unscaled.get(name, scale),
            "threshold": limit / unscaled.get(name, scale),
            "p_value": p_value,
            "alarm": value > limit,
        }
        for name, value, limit, p_value in zip(
            names, found.values, found.thresholds, found.p_values, strict=True
        )
    ]
    result: dict[str, Any] = {
        "batch": file.name,
        "sha256": sha256(file),
        "items": n,
        "alarm": found.is_alarm,
        "p_value": found.p_value,
        "alarm_rate": kit.record["alarm_rate"],
        "distance": tests[0]["value"],
        "threshold": tests[0]["threshold"],
        "tests": tests,
        "confidence_mean": float(seen.confidence.mean()),
        "baseline_confidence_mean": float(baseline["confidence_mean"]),
        "remarks": remarks,
    }
    if "class_shares" in baseline:
        shares = class_shares(seen.predicted, len(baseline["class_shares"])).tolist()
        result["class_mix"] = [
            {"class": name, "share": share, "baseline": before}
            for name, share, before in zip(
                kit.record["class_names"], shares, baseline["class_shares"].tolist(), strict=True
            )
        ]
    if note:
        _note(kit.folder / HISTORY, result)
    return result


def _note(path: Path, result: dict[str, Any]) -> None:
    is_new = not path.exists()
    why = "+".join(test["test"] for test in result["tests"] if test["alarm"])
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    name = result["batch"]
    # No spreadsheet is to take the name of a file for a formula.
    batch = f"'{name}" if name.lstrip(" ").startswith(_STARTS_FORMULA) else name
    row = {**result, "batch": batch, "time": when, "alarm": int(result["alarm"]), "why": why}
    with path.open("a", newline="", encoding="utf8") as file:
        writer = csv.DictWriter(file, _COLUMNS, extrasaction="ignore")
        if is_new:
            writer.writeheader()
        writer.writerow(row)


def action(p_values: Sequence[float], alarms: Sequence[bool], alarm_rate: float) -> str:
    """Return what the latest scores call for, by `RULE`.

    Args:
        p_values: Oldest first, at least one.
        alarms: The same scores.
        alarm_rate: The kit's.
    """
    if sum(alarms[-3:]) >= 2 or p_values[-1] <= alarm_rate / 10:
        return "re-check"
    if alarms[-1] or sum(p <= _WATCH_P for p in p_values[-3:]) >= 2:
        return "watch"
    return "no action"


def history(kit: Kit) -> dict[str, Any]:
    """Return all scores noted so far, and what they call for."""
    path = kit.folder / HISTORY
    if not path.is_file():
        raise KitError("there is no history yet. Score a batch first.")
    with path.open(newline="", encoding="utf8") as file:
        rows = list(csv.DictReader(file))
    try:
        p_values = [float(row["p_value"]) for row in rows]
        alarms = [row["alarm"] == "1" for row in rows]
    except (KeyError, TypeError, ValueError):
        raise KitError(f"{HISTORY} is not as it was written. Repair or remove it.") from None
    if not rows:
        raise KitError("there is no history yet. Score a batch first.")
    rate = kit.record["alarm_rate"]
    actions = [action(p_values[:i], alarms[:i], rate) for i in range(1, len(rows) + 1)]
    scores = [{**row, "action": word} for row, word in zip(rows, actions, strict=True)]
    return {"action": actions[-1], "rule": RULE, "scores": scores}


def shadow(kit: Kit, file: Path, share: float, seed: int) -> dict[str, Any]:
    """Compare pruned and dense model on a random share of a batch."""
    if not 0 < share <= 1:
        raise KitError(f"--share is {share}. Give a number above 0, at most 1.")
    if "shadow" not in kit.record:
        raise KitError("this kit has no dense model. Export it again with --dense MODEL.")
    items = kit.read(file)
    count = min(len(items), max(2, round(share * len(items))))
    if count < 2:
        raise KitError("one item is too few to compare two models. Give more.")
    chosen = torch.randperm(len(items), generator=torch.Generator().manual_seed(seed))[:count]
    pruned, dense = (kit.observe(name, items[chosen]) for name in ("model.pt2", "dense.pt2"))
    agreed = agreement(pruned, dense)
    differences = (pruned.confidence - dense.confidence).double()
    low, high = share_interval(agreed)
    limit = kit.record["shadow"]["agreement"]
    half = _Z99 * float(differences.std()) / math.sqrt(count)
    mean = float(differences.mean())
    return {
        "items": count,
        "of": len(items),
        "agreement": float(agreed.mean()),
        "agreement_interval": [low, high],
        "limit": limit,
        "warning": high < limit,
        "confidence_difference": mean,
        "confidence_difference_interval": [mean - half, mean + half],
    }


def agreement(pruned: Observed, dense: Observed) -> Tensor:
    """Return for each item the share of predictions that agree, float64, (n,)."""
    same = (pruned.predicted == dense.predicted).double()
    return same if same.dim() == 1 else same.mean(1)


def share_interval(agreed: Tensor) -> tuple[float, float]:
    """Return the 99% interval of a mean agreement: Wilson's, or over items if in between."""
    mean, count = float(agreed.mean()), len(agreed)
    if bool(((agreed == 0) | (agreed == 1)).all()):
        return wilson(float(agreed.sum()), count)
    half = _Z99 * float(agreed.std()) / math.sqrt(count)
    return max(0.0, mean - half), min(1.0, mean + half)


def verify(kit_folder: Path) -> dict[str, Any]:
    """Check every file against the manifest."""
    files = read_manifest(kit_folder)
    wrong = []
    for name, digest in files.items():
        path = kit_folder / name
        if not path.is_file():
            wrong.append({"file": name, "problem": "missing"})
        elif sha256(path) != digest:
            wrong.append({"file": name, "problem": "changed"})
    return {
        "ok": not wrong,
        "files": len(files),
        "wrong": wrong,
        "manifest_sha256": sha256(kit_folder / "manifest.json"),
    }


# --- The command line ---------------------------------------------------------------------


def _score_text(result: dict[str, Any]) -> str:
    head = "ALARM (警報)" if result["alarm"] else "no alarm (警報なし)"
    rate = f"stated false-alarm rate {result['alarm_rate']:.2%}"
    lines = [
        f"{head}: {result['items']} items, p = {result['p_value']:.4g}, {rate}",
        f"{'test':<11} {'value':>11} {'threshold':>11} {'p':>8}",
    ]
    lines += [
        f"{t['test']:<11} {t['value']:>11.4g} {t['threshold']:>11.4g} {t['p_value']:>8.4g}"
        + ("  ALARM" if t["alarm"] else "")
        for t in result["tests"]
    ]
    now, before = result["confidence_mean"], result["baseline_confidence_mean"]
    lines.append(f"confidence {now:.4f}, baseline {before:.4f}")
    mix = sorted(result.get("class_mix", ()), key=lambda c: -abs(c["share"] - c["baseline"]))[:5]
    lines += [f"  {c['class']}: {c['share']:.1%}, baseline {c['baseline']:.1%}" for c in mix]
    return "\n".join([*lines, *result["remarks"]])


def _shadow_text(result: dict[str, Any]) -> str:
    low, high = result["agreement_interval"]
    down, up = result["confidence_difference_interval"]
    head = "WARNING (警告): they agree less than at export" if result["warning"] else "no warning"
    return (
        f"{head}\n{result['items']} of {result['of']} items; pruned and dense agree on "
        f"{result['agreement']:.2%} (99% interval {low:.2%} to {high:.2%}); at export "
        f"{result['limit']:.2%}\nconfidence, pruned minus dense: "
        f"{result['confidence_difference']:+.4f} (99% interval {down:+.4f} to {up:+.4f})"
    )


def _history_text(result: dict[str, Any]) -> str:
    lines = [
        f"{row['time']}  {row['batch']:<24} n={row['items']:<5} p={float(row['p_value']):<8.4g} "
        f"{'ALARM' if row['alarm'] == '1' else '':<6} {row['action']}"
        for row in result["scores"]
    ]
    word = result["action"]
    return "\n".join([*lines, "", f"{word} ({WORDS_JA[word]})", f"Rule: {result['rule']}"])


def _verify_text(result: dict[str, Any]) -> str:
    digest = f"manifest.json SHA-256 {result['manifest_sha256']}"
    if result["ok"]:
        return f"all {result['files']} files are as exported\n{digest}"
    wrong = "\n".join(f"{one['file']}: {one['problem']}" for one in result["wrong"])
    return f"NOT as exported:\n{wrong}\n{digest}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Watch a model with the files of this kit.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, summary in (
        ("score", "compare a batch with the baseline; exit code 3 on an alarm"),
        ("shadow", "compare pruned and dense model on a share of a batch; 3 on a warning"),
        ("history", "list all scores and what they call for"),
        ("verify", "check every file; exit code 4 if one has changed"),
    ):
        command = commands.add_parser(name, help=summary, description=summary)
        command.add_argument("--json", action="store_true", help="print one JSON object")
        if name in {"score", "shadow"}:
            command.add_argument("batch", type=Path, metavar="BATCH", help="such as example.pt")
        if name == "score":
            command.add_argument("--no-history", action="store_true", help="note nothing")
        if name == "shadow":
            command.add_argument("--share", type=float, default=0.1, help="default 0.1")
            command.add_argument("--seed", type=int, default=0, help="another draw")
    return parser


def _run(args: argparse.Namespace, folder: Path) -> tuple[dict[str, Any], str, int]:
    if args.command == "verify":
        result = verify(folder)
        return result, _verify_text(result), OK if result["ok"] else DAMAGED
    kit = Kit(folder)
    if args.command == "score":
        result = score(kit, args.batch, note=not args.no_history)
        return result, _score_text(result), ALARM if result["alarm"] else OK
    if args.command == "shadow":
        result = shadow(kit, args.batch, args.share, args.seed)
        return result, _shadow_text(result), ALARM if result["warning"] else OK
    result = history(kit)
    return result, _history_text(result), OK


def main(argv: Sequence[str] | None = None, folder: Path | None = None) -> int:
    """Run one command and return its exit code."""
    args = _parser().parse_args(argv)
    try:
        result, text, code = _run(args, folder or Path(__file__).resolve().parent)
    except KitError as error:
        sys.stderr.write(f"error: {error}\n")
        return DAMAGED if isinstance(error, DamagedError) else USER_ERROR
    sys.stdout.write((json.dumps(result, ensure_ascii=False) if args.json else text) + "\n")
    return code


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sys.exit(main())
