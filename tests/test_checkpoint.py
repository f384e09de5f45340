"""A run that was interrupted goes on as if nothing had happened, or says why it can't."""

from __future__ import annotations

import dataclasses
import errno
import itertools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import families
from osscar_core import checkpoint as module
from osscar_core.checkpoint import STATE_FILE, discard
from osscar_core.errors import Cancelled, OutputError, SpecError
from osscar_core.goals import Budget, Goal, GoalKind
from osscar_core.models import load_model
from osscar_core.progress import ProgressEvent
from osscar_core.pruner import prune, prune_
from osscar_core.records import Intercept, Method, PruneReport, PruneSpec, Target

HEADS = "model.decoder.layers.{}.self_attn.out_proj"
NEURONS = "model.decoder.layers.{}.fc2"
FIRST, SECOND = ([unit.format(block) for unit in (HEADS, NEURONS)] for block in (0, 1))


def blocks_kept(folder: Path) -> int:
    """Number of blocks that a folder lists as finished."""
    file = folder / STATE_FILE
    return len(json.loads(file.read_bytes())["state"]["blocks"]) if file.exists() else 0


def stopped_after(spec: PruneSpec, folder: Path, count: int, **given: Any) -> None:
    """Run until a folder has so many blocks, and interrupt the run there."""

    def stop(event: ProgressEvent) -> None:
        if event.stage == "prune" and blocks_kept(folder) == count:
            raise Cancelled

    with pytest.raises(Cancelled):
        prune(spec, checkpoint=folder, progress=stop, **given)
    assert blocks_kept(folder) == count


def state(folder: Path) -> dict[str, Tensor]:
    return load_model(str(folder)).module.state_dict()


def assert_same_run(left: PruneReport, right: PruneReport) -> None:
    """Both the reports and the files that they speak of tell the same."""
    assert left.plan.units == right.plan.units
    assert left.plan.spec == right.plan.spec
    assert [dataclasses.replace(unit, seconds=0.0) for unit in left.units] == [
        dataclasses.replace(unit, seconds=0.0) for unit in right.units
    ]
    assert (left.parameters, left.bytes, left.head) == (right.parameters, right.bytes, right.head)
    own, other = (Path(str(report.out)) / "model.safetensors" for report in (left, right))
    assert own.read_bytes() == other.read_bytes()


@pytest.fixture(scope="module")
def opt(tmp_path_factory: pytest.TempPathFactory) -> PruneSpec:
    return families.FAMILIES["opt"]().request(tmp_path_factory.mktemp("opt"))


@pytest.fixture(scope="module")
def whole(opt: PruneSpec, tmp_path_factory: pytest.TempPathFactory) -> PruneReport:
    """Return what the request of `opt` gives without an interruption."""
    return prune(opt, out=tmp_path_factory.mktemp("opt") / "whole")


@pytest.fixture(scope="module")
def whole_image(tmp_path_factory: pytest.TempPathFactory) -> tuple[PruneSpec, PruneReport]:
    """Return a request of four blocks, and what it gives without an interruption."""
    folder = tmp_path_factory.mktemp("image")
    spec = families.FAMILIES["resnet-bottleneck"]().request(folder, batch_size=5)
    return spec, prune(spec, out=folder / "whole")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint"


@pytest.fixture(scope="module")
def _kept_once(opt: PruneSpec, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folders = {count: tmp_path_factory.mktemp("kept") / "checkpoint" for count in (1, 2)}
    for count, place in folders.items():
        stopped_after(opt, place, count)
    return folders


@pytest.fixture
def one_block_kept(_kept_once: dict[int, Path], folder: Path) -> Path:
    """Return `folder` as a run of `opt` leaves it that stops after the first block."""
    return shutil.copytree(_kept_once[1], folder)


@pytest.fixture
def all_blocks_kept(_kept_once: dict[int, Path], folder: Path) -> Path:
    """Return `folder` as a run of `opt` leaves it that stops after both blocks."""
    return shutil.copytree(_kept_once[2], folder)


# --- the same result ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "target"),
    [
        *((name, target) for name in ("opt", "resnet-bottleneck") for target in Target),
        ("llama", Target.RESIDUAL),
        ("cifar-resnet20", Target.RESIDUAL),
    ],
)
def test_interruptions_after_every_block_change_nothing(
    name: str, target: Target, tmp_path: Path, folder: Path
) -> None:
    spec = families.FAMILIES[name]().request(tmp_path, target=target)
    whole = prune(spec, out=tmp_path / "whole")
    for count in range(1, len({unit.block for unit in whole.units}) + 1):
        stopped_after(spec, folder, count)
    resumed = prune(spec, out=tmp_path / "resumed", checkpoint=folder)
    assert_same_run(resumed, whole)
    assert not folder.exists()


@pytest.mark.parametrize("dtype", ["auto", "bfloat16"])
@pytest.mark.parametrize("name", ["opt", "llama", "resnet-basic"])
def test_half_precision_is_resumed_without_rounding(
    name: str, dtype: str, tmp_path: Path, folder: Path
) -> None:
    """Stored in half precision and computed in float32 (auto), or computed in half too."""
    family = families.FAMILIES[name]()
    family.model.half()
    spec = family.request(tmp_path, dtype=dtype)
    whole = prune(spec, out=tmp_path / "whole")
    assert whole.plan.dtype == ("float16" if dtype == "auto" else dtype)
    for count in (1, 2):
        stopped_after(spec, folder, count)
    assert_same_run(prune(spec, out=tmp_path / "resumed", checkpoint=folder), whole)


@pytest.mark.parametrize("block", [1, 2, 3, 4])
def test_one_interruption_changes_nothing_either(
    block: int, whole_image: tuple[PruneSpec, PruneReport], tmp_path: Path, folder: Path
) -> None:
    spec, whole = whole_image
    stopped_after(spec, folder, block)
    assert_same_run(prune(spec, out=tmp_path / "resumed", checkpoint=folder), whole)


@pytest.mark.parametrize("method", Method)
def test_every_method_is_resumed(
    method: Method, opt: PruneSpec, tmp_path: Path, folder: Path
) -> None:
    spec = dataclasses.replace(opt, method=method)
    whole = prune(spec, out=tmp_path / "whole")
    stopped_after(spec, folder, 1)
    assert_same_run(prune(spec, out=tmp_path / "resumed", checkpoint=folder), whole)


def test_a_bias_that_was_added_is_kept(tmp_path: Path, folder: Path) -> None:
    spec = families.FAMILIES["llama"]().request(tmp_path, intercept=Intercept.ON)
    whole = prune(spec, out=tmp_path / "whole")
    assert all(unit.adds_bias for unit in whole.plan.units)
    stopped_after(spec, folder, 1)
    assert_same_run(prune(spec, out=tmp_path / "resumed", checkpoint=folder), whole)


def test_given_widths_are_resumed(opt: PruneSpec, tmp_path: Path, folder: Path) -> None:
    spec = dataclasses.replace(opt, sparsity=0.0, goal=Goal(GoalKind.REMOVED, 0.4))
    widths = {SECOND[0]: 1, SECOND[1]: 20}
    whole = prune(spec, widths=widths, out=tmp_path / "whole")
    stopped_after(spec, folder, 1, widths=widths)
    assert not list(folder.glob("*.safetensors"))  # the first block is still the dense one
    stopped_after(spec, folder, 2, widths=widths)
    resumed = prune(spec, widths=widths, out=tmp_path / "resumed", checkpoint=folder)
    assert_same_run(resumed, whole)
    planned = prune(spec, repeat=whole.plan, out=tmp_path / "planned")
    stopped_after(spec, folder, 1, repeat=whole.plan)
    again = prune(spec, repeat=whole.plan, out=tmp_path / "again", checkpoint=folder)
    assert_same_run(again, planned)


def test_what_a_kill_leaves_is_good_at_any_moment(
    opt: PruneSpec, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[Path] = []
    sync, replace = os.fsync, Path.replace

    def photograph() -> None:
        if folder.exists():
            left.append(shutil.copytree(folder, tmp_path / f"left-{len(left)}"))

    def fsync(handle: int) -> None:
        photograph()
        sync(handle)

    def renamed(self: Path, target: Path) -> Path:
        moved = replace(self, target)
        photograph()
        return moved

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        patch.setattr(Path, "replace", renamed)
        whole = prune(opt, out=tmp_path / "whole", checkpoint=folder)
    # Each of the two blocks and of the three lists: before and after it is renamed.
    assert [blocks_kept(one) for one in left[:10]] == [0, 0, 0, 0, 0, 1, 1, 1, 1, 2]
    for number, one in enumerate(left):
        resumed = prune(opt, out=tmp_path / f"resumed-{number}", checkpoint=one)
        assert_same_run(resumed, whole)
        assert not any("checkpoint" in warning for warning in resumed.warnings)
        assert not one.exists()


# --- what is spared, and what is said -------------------------------------------------------


def searched(spec: PruneSpec, folder: Path, **given: Any) -> tuple[list[str], PruneReport]:
    names: list[str] = []
    report = prune(spec, checkpoint=folder, observe=lambda name, _: names.append(name), **given)
    return names, report


def test_finished_blocks_are_not_searched_again(opt: PruneSpec, one_block_kept: Path) -> None:
    folder = one_block_kept
    names, report = searched(opt, folder)
    assert names == SECOND
    assert any(
        "model.decoder.layers.0 and the blocks before it were pruned by an earlier run" in warning
        for warning in report.warnings
    )
    names, report = searched(opt, folder)
    assert names == [*FIRST, *SECOND]
    assert not any("earlier run" in warning for warning in report.warnings)


def test_progress_counts_finished_blocks_at_once(tmp_path: Path, folder: Path) -> None:
    spec = families.FAMILIES["resnet-bottleneck"]().request(tmp_path, batch_size=4)

    def steps(**given: Any) -> list[ProgressEvent]:
        events: list[ProgressEvent] = []
        prune(spec, progress=events.append, **given)
        return [event for event in events if event.stage == "prune"]

    whole = steps()
    stopped_after(spec, folder, 3)
    resumed = steps(checkpoint=folder)
    units, batches = 6, 4
    assert (resumed[0].done, resumed[0].detail) == (units * batches, "layer2.1")
    assert {event.total for event in resumed} == {event.total for event in whole}
    assert all(one.done < two.done for one, two in itertools.pairwise(resumed))
    assert resumed[-1].done == resumed[-1].total == whole[-1].done


def test_progress_ends_at_its_end_even_if_nothing_is_removed(tmp_path: Path) -> None:
    spec = families.FAMILIES["resnet-basic"]().request(tmp_path, sparsity=0.0)
    events: list[ProgressEvent] = []
    prune(spec, progress=events.append)
    last = [event for event in events if event.stage == "prune"][-1]
    assert last.done == last.total


def test_warnings_of_the_data_survive(opt: PruneSpec, tmp_path: Path, folder: Path) -> None:
    spec = dataclasses.replace(opt, samples=1)
    stopped_after(spec, folder, 2)
    _, *rest = prune(spec, checkpoint=folder).warnings
    assert rest == list(prune(spec).warnings)
    assert "4 of 4 units have fewer calibration rows" in rest[0]


def test_in_place_the_checkpoint_stays_until_it_is_discarded(opt: PruneSpec, folder: Path) -> None:
    prune_(load_model(opt.model), opt, checkpoint=folder)
    assert blocks_kept(folder) == 2
    (folder / "notes.txt").write_text("mine")
    names, _ = searched(opt, folder)
    assert names == []
    assert [file.name for file in folder.iterdir()] == ["notes.txt"]
    discard(folder)
    assert (folder / "notes.txt").exists()
    discard(folder / "nowhere")


# --- what must not be used ------------------------------------------------------------------


def flipped(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) * 3 // 4] ^= 1
    file.write_bytes(content)


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


def emptied(file: Path) -> None:
    file.write_bytes(b"")


DAMAGES = [flipped, cut_short, emptied, Path.unlink]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("block", [0, 1])
def test_a_damaged_block_and_what_follows_are_pruned_anew(
    opt: PruneSpec,
    whole: PruneReport,
    tmp_path: Path,
    all_blocks_kept: Path,
    block: int,
    damage: Callable[[Path], None],
) -> None:
    folder = all_blocks_kept
    file = folder / f"block-00{block}.safetensors"
    damage(file)
    names, report = searched(opt, folder, out=tmp_path / "resumed")
    assert names == [[*FIRST, *SECOND], SECOND][block]
    assert_same_run(report, whole)
    assert f"the checkpoint {file} is not what was written" in report.warnings[0]
    assert f"model.decoder.layers.{block} and what follows were pruned anew" in report.warnings[0]


@pytest.mark.parametrize("damage", [flipped, cut_short, emptied])
def test_a_damaged_list_starts_anew(
    opt: PruneSpec,
    whole: PruneReport,
    tmp_path: Path,
    all_blocks_kept: Path,
    damage: Callable[[Path], None],
) -> None:
    folder = all_blocks_kept
    damage(folder / STATE_FILE)
    names, report = searched(opt, folder, out=tmp_path / "resumed")
    assert names == [*FIRST, *SECOND]
    assert_same_run(report, whole)
    assert f"the checkpoint {folder / STATE_FILE} " in report.warnings[0]
    assert "the run started anew" in report.warnings[0]


@pytest.mark.parametrize("text", ["[]", "{}", '"x"', "7", '{"state": {}}', "[" * 100_000, "\ud800"])
def test_a_list_that_is_none_starts_anew(opt: PruneSpec, folder: Path, text: str) -> None:
    folder.mkdir()
    (folder / STATE_FILE).write_bytes(text.encode("utf8", "surrogatepass"))
    names, report = searched(opt, folder)
    assert names == [*FIRST, *SECOND]
    assert "cannot be read" in report.warnings[0]


def test_a_changed_byte_anywhere_in_the_list_is_noticed_or_means_nothing(
    one_block_kept: Path,
) -> None:
    folder = one_block_kept
    file = folder / STATE_FILE
    content = file.read_bytes()
    about = json.loads(content)["state"]["about"]
    whole = module._trusted(folder, about)
    assert len(whole[0]) == 1
    for place in range(0, len(content), 31):
        changed = bytearray(content)
        changed[place] ^= 1
        file.write_bytes(changed)
        blocks, warning = module._trusted(folder, about)
        # The last digit of a long number may not count.
        assert ((blocks, warning) == whole) or (not blocks and warning), place


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"sparsity": 0.25}, "request and another choice of widths"),
        ({"damping": 0.1}, "request;"),
        ({"target": Target.LAYER}, "request;"),
        ({"seed": 1}, "request and another calibration data"),
    ],
)
def test_the_checkpoint_of_another_request_is_not_used(
    opt: PruneSpec, tmp_path: Path, all_blocks_kept: Path, changes: dict[str, Any], what: str
) -> None:
    folder = all_blocks_kept
    other = dataclasses.replace(opt, **changes)
    whole = prune(other, out=tmp_path / "whole")
    names, report = searched(other, folder, out=tmp_path / "resumed")
    assert names == [*FIRST, *SECOND]
    assert_same_run(report, whole)
    assert f"the checkpoint {folder} is of a run with another {what}" in report.warnings[0]


def test_other_widths_a_plan_other_weights_and_other_data_are_noticed(
    tmp_path: Path, folder: Path
) -> None:
    opt = families.FAMILIES["opt"]().request(tmp_path)  # its files are changed below
    plan = prune(dataclasses.replace(opt, method=Method.MAGNITUDE_REFIT)).plan

    def warned(**given: Any) -> str:
        stopped_after(opt, folder, 1)
        names, report = searched(opt, folder, **given)
        assert names == [*FIRST, *SECOND]
        return report.warnings[0]

    assert "another choice of widths" in warned(widths={FIRST[0]: 1})
    assert "another plan" in warned(repeat=plan)
    stopped_after(opt, folder, 1)
    weights = Path(opt.model) / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-4] ^= 1
    weights.write_bytes(content)
    assert "another model" in searched(opt, folder)[1].warnings[0]
    stopped_after(opt, folder, 1)
    data = Path(opt.calibration.removeprefix("text:"))
    data.write_text("valve " + data.read_text())
    assert "another calibration data" in searched(opt, folder)[1].warnings[0]


def test_the_checkpoint_of_another_release_is_not_used(
    opt: PruneSpec, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped_after(opt, folder, 1)
    with monkeypatch.context() as patch:
        patch.setattr(module, "CHECKPOINT_VERSION", module.CHECKPOINT_VERSION + 1)
        assert "another format" in prune(opt, checkpoint=folder).warnings[0]
    stopped_after(opt, folder, 1)
    monkeypatch.setattr("osscar_core.sequential.__version__", "9.9")
    assert "another environment" in prune(opt, checkpoint=folder).warnings[0]


# --- where it lies --------------------------------------------------------------------------


def test_a_full_disk_is_said_and_leaves_what_was_kept(
    opt: PruneSpec,
    whole: PruneReport,
    tmp_path: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = sorted(tmp_path.iterdir())
    calls = itertools.count(1)

    def full(handle: int) -> None:
        if next(calls) == 4:  # the second block's tensors
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OutputError, match="No space left") as error:
            prune(opt, out=tmp_path / "out", checkpoint=folder)
    assert str(folder) in error.value.problem
    assert sorted(tmp_path.iterdir()) == sorted([*before, folder])
    assert sorted(file.name for file in folder.iterdir()) == ["block-000.safetensors", STATE_FILE]
    names, report = searched(opt, folder, out=tmp_path / "out")
    assert names == SECOND
    assert_same_run(report, whole)


def test_a_folder_with_other_things_is_left_alone(opt: PruneSpec, folder: Path) -> None:
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds other files than a checkpoint"):
        prune(opt, checkpoint=folder)
    assert [file.name for file in folder.iterdir()] == ["thesis.txt"]
    with pytest.raises(OutputError, match="is a file"):
        prune(opt, checkpoint=folder / "thesis.txt")
    with pytest.raises(OutputError, match="cannot be written to"):
        prune(opt, checkpoint=folder / "thesis.txt" / "deeper")


def test_nothing_else_in_the_folder_is_ever_removed(opt: PruneSpec, one_block_kept: Path) -> None:
    folder = one_block_kept
    others = ["thesis.txt", "block-a.safetensors", ".hidden", "my-checkpoint.json"]
    for name in others:
        (folder / name).write_text("mine")
    (folder / ".block-001.safetensors.0123abcd.unfinished").write_text("a kill left this")
    (folder / "block-077.safetensors").write_text("and an older run that")
    names, _ = searched(opt, folder)
    assert names == SECOND
    assert sorted(file.name for file in folder.iterdir()) == sorted(others)


def test_a_checkpoint_inside_the_result_is_refused(opt: PruneSpec, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for inside in (out, out / "deep" / "checkpoint", out / ".." / "out" / "c"):
        with pytest.raises(SpecError, match="which is made at the end"):
            prune(opt, out=out, checkpoint=inside)
    assert not out.exists()


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"sparsity": 0.0, "goal": Goal(GoalKind.FLOPS, 0.5)}, "the goal flops=0.5 may take"),
        ({"budget": Budget.LOSS_WEIGHTED}, "a loss-weighted budget may take"),
    ],
)
def test_runs_of_several_passes_are_refused(
    opt: PruneSpec, folder: Path, changes: dict[str, Any], what: str
) -> None:
    with pytest.raises(SpecError, match=what):
        prune(dataclasses.replace(opt, **changes), checkpoint=folder)
    assert not folder.exists()


def test_a_kept_block_holds_no_pickle_and_its_own_types(tmp_path: Path, folder: Path) -> None:
    from safetensors.torch import load_file

    family = families.FAMILIES["opt"]()
    family.model.half()
    spec = family.request(tmp_path)
    prune_(load_model(spec.model), spec, checkpoint=folder)
    tensors = load_file(folder / "block-000.safetensors")
    assert {value.dtype for value in tensors.values()} == {torch.float32}
    assert tensors["model.decoder.layers.0.fc2.weight"].shape == (32, 24)
