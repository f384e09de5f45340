from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import families
from osscar_core.adapters import find_adapter
from osscar_core.errors import DataError, OutputError, SpecError
from osscar_core.evaluation import latency_table, measure
from osscar_core.evaluation.block_times import Grid, narrowed
from osscar_core.latencies import BlockTable, BlockUnit, LatencyTable
from osscar_core.models import LoadedModel
from osscar_core.progress import ProgressEvent
from osscar_core.records import ImagePreprocess, SourceInfo, Structure, from_json, to_json
from osscar_core.storage import read_sealed
from osscar_core.units import Unit

MODULE = sys.modules["osscar_core.evaluation.latency_table"]
PREPROCESS = ImagePreprocess((0.5, 0.5, 0.5), (0.25, 0.25, 0.25), size=families.IMAGE_SIZE)
OUTSIDE_MS = 7.0

BlockTime = Callable[[nn.Module], float]


def make(name: str) -> LoadedModel:
    module = families.FAMILIES[name]().model
    adapter = find_adapter(module)
    source = SourceInfo(name, adapter.family, adapter.task, "random", preprocess=PREPROCESS)
    return LoadedModel(module, adapter, source, torch.float32)


def by_size(block: nn.Module) -> float:
    """A time that is linear in every width: so much per weight, products included."""
    return 0.5 + 1e-3 * sum(parameter.numel() for parameter in block.parameters())


def by_steps(block: nn.Module) -> float:
    """A staircase over the first convolution's outputs, 16 at a time."""
    return 1.0 + -(-block.conv1.out_channels // 16)  # type: ignore[operator,union-attr]


class FakeClock:
    """Stands in for the stopwatch: blocks take ``block_time``, models all of theirs."""

    def __init__(self, loaded: LoadedModel, block_time: BlockTime, factor: float) -> None:
        self.calls = 0
        self.models = 0
        self._kind = type(loaded.module)
        self._paths = loaded.adapter.blocks(loaded.module)
        self._block_time = block_time
        self._factor = factor

    def __call__(self, module: nn.Module, *_: Any) -> float:
        self.calls += 1
        if not isinstance(module, self._kind):
            return self._block_time(module)
        self.models += 1
        inside = sum(self._block_time(module.get_submodule(path)) for path in self._paths)
        return OUTSIDE_MS + self._factor * inside


@pytest.fixture
def fake_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeClock]:
    """Return a function that replaces all timing by known times."""

    def install(
        loaded: LoadedModel, block_time: BlockTime = by_size, factor: float = 1.0
    ) -> FakeClock:
        clock = FakeClock(loaded, block_time, factor)
        monkeypatch.setattr(MODULE, "_spent", clock)
        return clock

    return install


def units_of(loaded: LoadedModel) -> dict[str, Unit]:
    return {unit.name: unit for unit in loaded.adapter.units(loaded.module)}


def complete_widths(loaded: LoadedModel) -> dict[str, int]:
    return {name: unit.groups for name, unit in units_of(loaded).items()}


def random_widths(loaded: LoadedModel, seed: int) -> dict[str, int]:
    rng = np.random.default_rng(seed)
    return {name: int(rng.integers(1, n + 1)) for name, n in complete_widths(loaded).items()}


def narrow_model(loaded: LoadedModel, widths: dict[str, int]) -> nn.Module:
    units = loaded.adapter.units(loaded.module)
    return narrowed(loaded.module, units, complete_widths(loaded) | widths)


@pytest.mark.parametrize("name", sorted(families.FAMILIES))
def test_linear_times_are_predicted_exactly(
    name: str, fake_clock: Callable[..., FakeClock], tmp_path: Path
) -> None:
    loaded = make(name)
    clock = fake_clock(loaded)
    table = latency_table(loaded, batch_size=1, cache=tmp_path)
    assert table.scale == pytest.approx(1)
    assert table.overhead_ms == pytest.approx(OUTSIDE_MS)
    assert table.residual == pytest.approx(0, abs=1e-9)
    assert table.noise == 0
    assert table.is_steady
    for seed in range(4):
        widths = random_widths(loaded, seed)
        small = narrow_model(loaded, widths)
        for block in table.blocks:
            own = {n: w for n, w in widths.items() if units_of(loaded)[n].block == block}
            expected = by_size(small.get_submodule(block))
            assert float(table.block_ms(block, own)) == pytest.approx(expected)
        assert table.model_ms(widths) == pytest.approx(clock(small))
        assert table.speedup(widths) == pytest.approx(clock(loaded.module) / clock(small))


def test_units_that_are_absent_are_complete(
    fake_clock: Callable[..., FakeClock], tmp_path: Path
) -> None:
    loaded = make("opt")
    clock = fake_clock(loaded)
    table = latency_table(loaded, cache=tmp_path)
    assert table.model_ms({}) == pytest.approx(clock(loaded.module))
    assert table.dense_ms == pytest.approx(clock(loaded.module))
    assert table.speedup({}) == pytest.approx(1)
    one = {"model.decoder.layers.1.fc2": 17}
    assert table.model_ms(one) == pytest.approx(clock(narrow_model(loaded, one)))


def test_widths_broadcast(fake_clock: Callable[..., FakeClock], tmp_path: Path) -> None:
    loaded = make("resnet-bottleneck")
    fake_clock(loaded)
    table = latency_table(loaded, batch_size=1, cache=tmp_path)
    first, second = "layer3.0.conv2", "layer3.0.conv3"
    a, b = np.array([[1], [5], [16]]), np.array([2, 16])
    together = table.block_ms("layer3.0", {first: a, second: b})
    assert together.shape == (3, 2)
    for (i, x), (j, y) in itertools.product(enumerate(a[:, 0]), enumerate(b)):
        alone = table.block_ms("layer3.0", {first: int(x), second: int(y)})
        assert alone.shape == ()
        assert together[i, j] == pytest.approx(float(alone))


def test_two_units_of_a_block_interact(
    fake_clock: Callable[..., FakeClock], tmp_path: Path
) -> None:
    """In a bottleneck the second convolution costs the product of both widths."""
    loaded = make("resnet-bottleneck")

    def product(block: nn.Module) -> float:
        return 1.0 + block.conv2.in_channels * block.conv2.out_channels  # type: ignore[union-attr,operator]

    fake_clock(loaded, product)
    table = latency_table(loaded, batch_size=1, cache=tmp_path)
    both = {"layer3.0.conv2": 5, "layer3.0.conv3": 7}
    saved = 16 * 16 - 5 * 7
    assert table.dense_ms - table.model_ms(both) == pytest.approx(saved)
    apart = sum(table.dense_ms - table.model_ms({name: w}) for name, w in both.items())
    assert apart == pytest.approx((16 - 5) * 16 + (16 - 7) * 16)


def test_alike_blocks_are_measured_once(
    fake_clock: Callable[..., FakeClock], tmp_path: Path
) -> None:
    loaded = make("cifar-resnet20")
    clock = fake_clock(loaded)
    table = latency_table(loaded, batch_size=1, cache=tmp_path)
    assert list(table.blocks) == list(loaded.adapter.blocks(loaded.module))
    alike = [sorted(b for b, s in table.blocks.items() if s == one) for one in table.tables]
    assert sorted(alike) == [
        ["layer1.0", "layer1.1", "layer1.2"],
        ["layer2.0"],
        ["layer2.1", "layer2.2"],
        ["layer3.0"],
        ["layer3.1", "layer3.2"],
    ]
    points = sum(len(one.ms) for one in table.tables.values())
    passes, rounds = MODULE._MIN_PASSES, 1 + MODULE._ROUNDS
    pilot = rounds * len(table.tables)
    assert clock.calls - clock.models == passes * rounds * points + pilot


def test_fast_widths_are_the_upper_ends_of_the_steps(
    fake_clock: Callable[..., FakeClock], tmp_path: Path
) -> None:
    loaded = make("cifar-resnet20")
    fake_clock(loaded, by_steps)
    table = latency_table(loaded, batch_size=1, cache=tmp_path)
    assert table.fast_widths("layer1.0.conv2") == (16,)
    assert table.fast_widths("layer2.1.conv2") == (16, 32)
    assert table.fast_widths("layer3.2.conv2") == (16, 32, 48, 64)
    # One channel above a multiple costs the whole next step.
    block = table.block_ms("layer3.2", {"layer3.2.conv2": np.array([32, 33, 48, 49])})
    assert block == pytest.approx([3, 4, 4, 5])


def test_fast_widths_always_hold_the_complete_one(
    fake_clock: Callable[..., FakeClock], tmp_path: Path
) -> None:
    loaded = make("opt")
    fake_clock(loaded, lambda _: 3.0)
    table = latency_table(loaded, cache=tmp_path)
    for name, unit in units_of(loaded).items():
        assert table.fast_widths(name) == (unit.groups,)
    assert table.speedup(random_widths(loaded, 0)) == pytest.approx(1)


def test_the_factor_between_blocks_alone_and_in_their_model(
    fake_clock: Callable[..., FakeClock], tmp_path: Path
) -> None:
    loaded = make("resnet-bottleneck")
    clock = fake_clock(loaded, factor=1.3)
    table = latency_table(loaded, batch_size=1, cache=tmp_path)
    assert table.scale == pytest.approx(1.3, rel=5e-3)
    assert table.overhead_ms == pytest.approx(OUTSIDE_MS, rel=2e-2)
    widths = random_widths(loaded, 3)
    assert table.model_ms(widths) == pytest.approx(clock(narrow_model(loaded, widths)), rel=5e-3)
    for block in table.blocks:
        alone = by_size(loaded.module.get_submodule(block))
        assert float(table.block_ms(block, {})) == pytest.approx(table.scale * alone)


def test_blocks_never_take_longer_than_the_model(
    fake_clock: Callable[..., FakeClock], tmp_path: Path
) -> None:
    loaded = make("opt")
    clock = fake_clock(loaded, factor=0.2)
    table = latency_table(loaded, cache=tmp_path)
    assert table.overhead_ms >= 0
    assert 0 < table.model_ms(dict.fromkeys(units_of(loaded), 1)) < table.dense_ms
    assert clock.models > 0


def test_a_stored_table_is_not_measured_again(
    fake_clock: Callable[..., FakeClock], tmp_path: Path
) -> None:
    loaded = make("opt")
    clock = fake_clock(loaded)
    first = latency_table(loaded, seqlen=8, cache=tmp_path)
    calls = clock.calls
    assert calls > 0
    assert latency_table(loaded, seqlen=8, cache=tmp_path) == first
    assert clock.calls == calls
    latency_table(loaded, seqlen=8, cache=tmp_path, refresh=True)
    assert clock.calls == 2 * calls
    assert len(list(tmp_path.iterdir())) == 1


def test_the_workspace_keeps_tables_by_default(
    fake_clock: Callable[..., FakeClock], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSSCAR_HOME", str(tmp_path))
    loaded = make("opt")
    fake_clock(loaded)
    table = latency_table(loaded)
    (file,) = (tmp_path / "latency").iterdir()
    assert file.suffix == ".json"
    assert from_json(LatencyTable, read_sealed(file)) == table


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[1, 2]",
        lambda text: text.replace('"version": 1', '"version": 2'),
        lambda text: text.replace('"dense_ms": ', '"dense_ms": -'),
        lambda text: text.replace('"batch": "1"', '"batch": "2"'),
        lambda text: text.replace('"ms": [', '"ms": [1.0, '),
    ],
    ids=["cut off", "empty", "not a table", "newer", "negative", "other conditions", "too long"],
)
def test_a_file_that_does_not_fit_counts_as_absent(
    damage: Callable[[str], str], fake_clock: Callable[..., FakeClock], tmp_path: Path
) -> None:
    loaded = make("opt")
    clock = fake_clock(loaded)
    whole = latency_table(loaded, cache=tmp_path)
    (file,) = tmp_path.iterdir()
    before, text = clock.calls, file.read_text(encoding="utf8")
    damaged = damage(text)
    assert damaged != text
    file.write_text(damaged, encoding="utf8")
    again = latency_table(loaded, cache=tmp_path)
    assert clock.calls == 2 * before
    assert again.tables == whole.tables
    assert from_json(LatencyTable, read_sealed(file)) == again


def test_other_conditions_are_another_table(
    fake_clock: Callable[..., FakeClock], tmp_path: Path
) -> None:
    loaded = make("opt")
    fake_clock(loaded)
    for settings in ({"seqlen": 8}, {"seqlen": 9}, {"seqlen": 8, "batch_size": 2}):
        latency_table(loaded, cache=tmp_path, **settings)
    loaded.module.double()
    latency_table(loaded, seqlen=8, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 4
    latency_table(make("llama"), seqlen=8, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize("name", ["opt", "cifar-resnet20"])
def test_conditions_are_those_of_measure(
    name: str, fake_clock: Callable[..., FakeClock], tmp_path: Path
) -> None:
    loaded = make(name)
    settings = {"seqlen": 64} if name == "opt" else {"batch_size": 2}
    expected = measure(loaded, repeats=1, **settings).conditions
    fake_clock(loaded)
    assert latency_table(loaded, cache=tmp_path, **settings).conditions == expected


def test_a_busy_machines_table_is_not_kept(
    fake_clock: Callable[..., FakeClock], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = make("opt")
    quiet = fake_clock(loaded)
    slow = itertools.cycle((1.0, 30.0, 30.0, 30.0, 30.0))
    monkeypatch.setattr(MODULE, "_spent", lambda *args: next(slow) * quiet(*args))
    table = latency_table(loaded, cache=tmp_path)
    assert not table.is_steady
    assert list(tmp_path.iterdir()) == []


def test_a_burst_in_half_of_the_rounds_leaves_no_trace(
    fake_clock: Callable[..., FakeClock], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = make("opt")
    monkeypatch.setattr(MODULE, "_MAX_PASSES", 2)
    clock = fake_clock(loaded)

    def bursts(module: nn.Module, *_: Any) -> float:
        spent = clock(module)
        return spent if isinstance(module, type(loaded.module)) or clock.calls % 2 else 9 * spent

    calm = latency_table(loaded, cache=tmp_path)
    monkeypatch.setattr(MODULE, "_spent", bursts)
    assert latency_table(loaded, cache=tmp_path, refresh=True).tables == calm.tables


def test_json_round_trip(fake_clock: Callable[..., FakeClock], tmp_path: Path) -> None:
    loaded = make("resnet-basic")
    fake_clock(loaded)
    table = latency_table(loaded, batch_size=1, cache=tmp_path)
    assert from_json(LatencyTable, to_json(table)) == table


@pytest.mark.parametrize("name", sorted(families.FAMILIES))
def test_the_model_stays_as_it_was(
    name: str, fake_clock: Callable[..., FakeClock], tmp_path: Path
) -> None:
    loaded = make(name)
    inputs = families.FAMILIES[name]().inputs
    state = {key: value.clone() for key, value in loaded.module.state_dict().items()}
    tensors = {key: id(value) for key, value in loaded.module.named_parameters()}
    with torch.no_grad():
        before = loaded.module(**inputs)
    fake_clock(loaded)
    latency_table(loaded, batch_size=1, cache=tmp_path)
    with torch.no_grad():
        after = loaded.module(**inputs)
    for old, new in zip(*(_logits(one) for one in (before, after)), strict=True):
        assert torch.equal(old, new)
    assert {key: id(value) for key, value in loaded.module.named_parameters()} == tensors
    assert loaded.module.state_dict().keys() == state.keys()
    for key, value in loaded.module.state_dict().items():
        assert torch.equal(value, state[key])
    for module in loaded.module.modules():
        assert not module._forward_pre_hooks


def _logits(output: Any) -> torch.Tensor:
    return output if isinstance(output, torch.Tensor) else output.logits


@pytest.mark.parametrize("width", [0, -1, 49, float("nan")])
def test_widths_outside_the_unit_are_refused(
    width: float, fake_clock: Callable[..., FakeClock], tmp_path: Path
) -> None:
    loaded = make("opt")
    fake_clock(loaded)
    table = latency_table(loaded, cache=tmp_path)
    name, block = "model.decoder.layers.0.fc2", "model.decoder.layers.0"
    with pytest.raises(SpecError, match=r"fc2 is .*It must be in \[1, 48\]"):
        table.model_ms({name: width})  # type: ignore[dict-item]
    with pytest.raises(SpecError, match=r"It must be in \[1, 48\]"):
        table.block_ms(block, {name: np.array([3, width])})


def test_unknown_names_are_refused(fake_clock: Callable[..., FakeClock], tmp_path: Path) -> None:
    loaded = make("opt")
    fake_clock(loaded)
    table = latency_table(loaded, cache=tmp_path)
    with pytest.raises(SpecError, match="unknown unit 'fc3'"):
        table.model_ms({"fc3": 1})
    with pytest.raises(SpecError, match="unknown unit 'fc3'"):
        table.fast_widths("fc3")
    with pytest.raises(SpecError, match="unknown block 'layers'"):
        table.block_ms("layers", {})
    with pytest.raises(SpecError, match=r"unknown unit of model\.decoder\.layers\.0 "):
        table.block_ms("model.decoder.layers.0", {"model.decoder.layers.1.fc2": 1})


def test_settings_are_checked_as_by_measure(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="seqlen is 65"):
        latency_table(make("opt"), seqlen=65, cache=tmp_path)
    with pytest.raises(SpecError, match="batch_size is 0"):
        latency_table(make("cifar-resnet20"), batch_size=0, cache=tmp_path)


def test_a_model_that_skips_a_block_is_refused(
    fake_clock: Callable[..., FakeClock], tmp_path: Path
) -> None:
    loaded = make("cifar-resnet20")
    fake_clock(loaded)
    loaded.module.layer3.forward = lambda x: loaded.module.layer3[0](x)
    with pytest.raises(DataError, match="ran 7 of its 9 blocks"):
        latency_table(loaded, batch_size=1, cache=tmp_path)


def test_a_folder_that_cannot_be_written(
    fake_clock: Callable[..., FakeClock], tmp_path: Path
) -> None:
    loaded = make("opt")
    fake_clock(loaded)
    file = tmp_path / "file"
    file.write_text("x", encoding="utf8")
    with pytest.raises(OutputError, match="cannot be written"):
        latency_table(loaded, cache=file)


def test_progress_ends_at_its_total(fake_clock: Callable[..., FakeClock], tmp_path: Path) -> None:
    loaded = make("opt")
    fake_clock(loaded)
    events: list[ProgressEvent] = []
    latency_table(loaded, cache=tmp_path, progress=events.append)
    assert events[0].done == 0
    assert events[-1].done == events[-1].total
    assert all(a.done <= b.done for a, b in itertools.pairwise(events))


def _unit(groups: int, width: int = 1) -> Unit:
    return Unit(Structure.NEURONS, "b", "b.c", (), groups, width)


@pytest.mark.parametrize(
    ("groups", "width", "parts", "fine"),
    [
        (1, 1, 8, (1,)),
        (8, 64, 8, tuple(range(1, 9))),
        (16, 1, 8, (1, 7, 8, 9, 15, 16)),
        (64, 1, 8, (1, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64)),
        (64, 1, 2, (1, 31, 32, 33, 63, 64)),
        (1536, 1, 4, (1, 383, 384, 385, 767, 768, 769, 1151, 1152, 1153, 1535, 1536)),
        (32, 128, 8, (1, 4, 8, 12, 16, 20, 24, 28, 32)),
    ],
)
def test_widths_of_the_grid(groups: int, width: int, parts: int, fine: tuple[int, ...]) -> None:
    grid = Grid.of((_unit(groups, width),), parts)
    assert grid.fine == (fine,)
    assert grid.points() == tuple((w,) for w in fine)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_the_points_between_the_lines_follow(count: int) -> None:
    grid = Grid.of([_unit(64), _unit(16), _unit(5)][:count], 8)
    weights = np.random.default_rng(0).uniform(0.1, 1, 2**count)

    def spent(point: tuple[int, ...]) -> float:
        """Linear in every width but for a step in the first, products included."""
        x = [(w + 9 * (w > 32) * (axis == 0)) / 10 for axis, w in enumerate(point)]
        corners = itertools.product((0, 1), repeat=count)
        return float(
            sum(c * np.prod(np.power(x, k)) for c, k in zip(weights, corners, strict=True))
        )

    times = {point: spent(point) for point in grid.points()}
    expected = [spent(point) for point in itertools.product(*grid.fine)]
    if count < 3:
        assert grid.fill(times) == pytest.approx(expected)
    else:  # three factors of which one is no straight line: exact where it was timed
        filled = dict(zip(itertools.product(*grid.fine), grid.fill(times), strict=True))
        assert {point: filled[point] for point in times} == pytest.approx(times)


def test_tables_that_make_no_sense_are_refused() -> None:
    unit = BlockUnit("c", Structure.NEURONS, 4, (1, 2, 4))
    with pytest.raises(SpecError, match="has 2 times for 3 points"):
        BlockTable("s", (unit,), (1.0, 2.0))
    with pytest.raises(SpecError, match="one positive time"):
        BlockTable("s", (unit,), (1.0, 0.0, 2.0))
    for widths in ((), (0, 4), (2, 1, 4), (1, 3)):
        with pytest.raises(SpecError, match="Widths must ascend"):
            BlockUnit("c", Structure.NEURONS, 4, widths)
    with pytest.raises(SpecError, match="lacks"):
        LatencyTable({}, 1.0, {"b": "s"}, {}, 1.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("name", ["opt", "llama", "cifar-resnet20"])
def test_real_times_are_finite_and_positive(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MODULE, "_BUDGET_SECONDS", 0.0)
    loaded = make(name)
    table = latency_table(loaded, batch_size=1, cache=tmp_path)
    assert set(table.blocks) == set(loaded.adapter.blocks(loaded.module))
    assert table.dense_ms > 0
    assert table.seconds > 0
    for seed in range(3):
        spent = table.model_ms(random_widths(loaded, seed))
        assert np.isfinite(spent)
        assert spent > 0
    for unit in units_of(loaded).values():
        assert table.fast_widths(unit.name)[-1] == unit.groups
