"""What stays where: whatever is chosen fits, and more memory never makes a run slower."""

from __future__ import annotations

import dataclasses
import functools
import itertools

import pytest

from osscar_core.catalogue import OPT_SHAPES
from osscar_core.errors import SpecError
from osscar_core.machines import DEFAULT_CPU, DEFAULT_GPU, MACHINES, find_machine, match_machine
from osscar_core.placement import ModelShape, Place, Placement, forecast, place
from osscar_core.records import from_json, to_json
from osscar_core.resources import Forecast, Resources
from osscar_core.shapes import BlockShape, UnitShape, default_batch

GIB = 2**30
BUDGETS = (2, 4, 8, 12, 16, 20, 24, 32, 40, 80)
HOSTS = (None, 6, 8, 12, 24, 48)
SHAPES = {name: ModelShape.known(name) for name in OPT_SHAPES}
SIZES = ((64, 1024), (128, 2048))


def image_shape() -> ModelShape:
    block = BlockShape(
        parameters=5_000_000,
        units=(UnitShape(4608, 512, 512, rows=49, share=0.6), UnitShape(512, 2048, 512, rows=49)),
        flops=400_000_000,
        state=100_000,
        working=1_200_000,
        removable=4_500_000,
    )
    small = dataclasses.replace(block, parameters=70_000, state=802_816)
    return ModelShape(
        "net", "resnet", "image", (small, block), 2_000_000, 4, pixels=224, is_streamable=False
    )


ALL = (*SHAPES.values(), image_shape())


@functools.cache
def attempt(shape: ModelShape, gpu: int | None, host: int | None, size: tuple[int, int]):
    """Return the forecast of what is chosen, ``None`` if nothing fits."""
    settings = {"samples": size[0], "seqlen": None if shape.task == "image" else size[1]}
    try:
        placement = place(
            shape,
            gpu_memory=None if gpu is None else gpu * GIB,
            host_memory=None if host is None else host * GIB,
            **settings,
        )
    except SpecError:
        return None
    return forecast(shape, placement, machine=DEFAULT_GPU, **settings)


@pytest.mark.parametrize("name", OPT_SHAPES)
def test_shapes_count_what_the_catalogue_counts(name: str) -> None:
    assert SHAPES[name].parameters == OPT_SHAPES[name].parameters
    assert len(SHAPES[name].blocks) == OPT_SHAPES[name].layers


@pytest.mark.parametrize("shape", ALL, ids=lambda shape: shape.name)
def test_what_is_chosen_fits_its_budget(shape: ModelShape) -> None:
    fitted = 0
    for gpu, host, size in itertools.product(BUDGETS, HOSTS, SIZES):
        found = attempt(shape, gpu, host, size)
        if found is None:
            continue
        fitted += 1
        assert found.gpu_bytes <= gpu * GIB
        assert host is None or found.host_bytes <= host * GIB
        assert found.gpu_bytes >= max(phase.bytes for phase in found.gpu)
        assert found.host_bytes == max(phase.bytes for phase in found.host)
        assert found.disk_bytes == sum(part.bytes for part in found.disk)
        assert all(phase.bytes == sum(p.bytes for p in phase.parts) for phase in found.gpu)
    assert fitted > len(SIZES)


@pytest.mark.parametrize("shape", ALL, ids=lambda shape: shape.name)
def test_more_memory_is_never_slower_and_never_fits_less(shape: ModelShape) -> None:
    for size in SIZES:
        for host in HOSTS:
            pairs = itertools.pairwise([attempt(shape, gpu, host, size) for gpu in BUDGETS])
            assert all(_no_worse(less, more) for less, more in pairs)
        for gpu in BUDGETS:
            by_host = [attempt(shape, gpu, host, size) for host in (*HOSTS[1:], None)]
            assert all(_no_worse(less, more) for less, more in itertools.pairwise(by_host))


def _no_worse(less: Forecast | None, more: Forecast | None) -> bool:
    if less is None:
        return True
    return more is not None and more.seconds.total <= less.seconds.total


def test_the_largest_model_on_a_gpu_of_32_gib() -> None:
    shape = SHAPES["facebook/opt-30b"]
    plain = attempt(shape, 32, None, (64, 1024))
    assert plain is not None
    assert plain.placement == Placement(
        is_streamed=True, activations=Place.DEVICE, batch=16, search=Place.DEVICE
    )
    # Four times the rows no longer fit beside the search.
    long = attempt(shape, 32, None, (128, 2048))
    assert long is not None
    assert long.placement.activations is Place.HOST
    assert long.placement.search is Place.DEVICE
    # With less, the statistics wait in host memory, which has to hold them.
    small = attempt(shape, 24, None, (64, 1024))
    assert small is not None
    assert small.placement.search is Place.HOST
    assert small.host_bytes - plain.host_bytes > 8 * 28_672 * (28_672 + 7_168)
    # Without room for activations in host memory they go to disk.
    spilled = attempt(shape, 32, 8, (128, 2048))
    assert spilled is not None
    assert spilled.placement.activations is Place.DISK
    assert spilled.disk_bytes > long.disk_bytes
    assert spilled.seconds.move > long.seconds.move


def test_without_limits_nothing_differs_from_a_run_that_has_none() -> None:
    for shape, (samples, seqlen) in itertools.product(SHAPES.values(), SIZES):
        found = place(shape, samples=samples, seqlen=seqlen, gpu_memory=None, host_memory=None)
        assert found.batch == 4 * default_batch(seqlen=seqlen)
        assert (found.activations, found.search) == (Place.DEVICE, Place.DEVICE)
        assert found.is_streamed


def test_the_dense_stream_the_window_and_the_precision_take_memory() -> None:
    shape = SHAPES["facebook/opt-1.3b"]
    base = {"samples": 64, "seqlen": 1024}
    placement = place(shape, gpu_memory=None, host_memory=None, **base)

    def bytes_with(**changes: object) -> int:
        settings = {"shape": shape, "machine": DEFAULT_GPU, "placement": placement, **base}
        return forecast(**{**settings, **changes}).gpu_bytes

    assert bytes_with(with_dense=False) < bytes_with()
    assert bytes_with(samples=128) > bytes_with()
    assert bytes_with(shape=ModelShape.known(shape.name, bytes_per_value=4)) > bytes_with()
    assert bytes_with(gpus=2) < bytes_with()
    # Streams of two GPUs: half of the activations each.
    half = 64 * 1024 * 2048 * 2 * 2 // 2
    assert bytes_with() - bytes_with(gpus=2) == pytest.approx(1.05 * half, abs=2)


def test_a_cpu_holds_everything_in_its_own_memory() -> None:
    shape = SHAPES["facebook/opt-125m"]
    settings = {"samples": 64, "seqlen": 1024}
    free = place(shape, gpu_memory=None, host_memory=None, device_kind="cpu", **settings)
    assert (free.activations, free.search) == (Place.DEVICE, Place.DEVICE)
    found = forecast(shape, free, machine=DEFAULT_CPU, **settings)
    assert found.gpu_bytes == 0
    assert found.gpu == ()
    tight = found.host_bytes - 1
    other = place(shape, gpu_memory=None, host_memory=tight, device_kind="cpu", **settings)
    assert other != free
    assert forecast(shape, other, machine=DEFAULT_CPU, **settings).host_bytes <= tight
    # A GPU's budget means nothing there.
    same = place(shape, gpu_memory=GIB // 4, host_memory=None, device_kind="cpu", **settings)
    assert same == free


def test_a_refusal_names_the_least_and_the_least_is_enough() -> None:
    shape = SHAPES["facebook/opt-30b"]
    settings = {"samples": 64, "seqlen": 1024}
    with pytest.raises(SpecError) as refused:
        place(shape, gpu_memory=8 * GIB, host_memory=None, **settings)
    text = str(refused.value)
    assert text.startswith("pruning facebook/opt-30b takes at least 19.5 GiB of GPU memory with ")
    assert "statistics in host memory during the search" in text
    assert "and --gpu-memory is 8 GiB. Raise --gpu-memory" in text
    enough = int(19.5 * GIB)
    place(shape, gpu_memory=enough, host_memory=None, **settings)
    with pytest.raises(SpecError, match=r"at least .* GiB of host memory .*--host-memory is 4 GiB"):
        place(shape, gpu_memory=enough, host_memory=4 * GIB, **settings)
    with pytest.raises(SpecError, match="GPU memory of each GPU"):
        place(shape, gpu_memory=8 * GIB, host_memory=None, gpus=2, **settings)


def test_a_given_batch_and_a_whole_model_are_respected() -> None:
    shape = SHAPES["facebook/opt-2.7b"]
    found = place(
        shape,
        samples=8,
        seqlen=512,
        gpu_memory=None,
        host_memory=None,
        batch=3,
        may_stream=False,
    )
    assert found.batch == 3
    assert not found.is_streamed
    whole = forecast(shape, found, samples=8, seqlen=512, machine=DEFAULT_GPU)
    assert whole.host_bytes > shape.parameters * 2
    assert not place(
        image_shape(), samples=8, seqlen=None, gpu_memory=None, host_memory=None
    ).is_streamed


def test_removing_more_leaves_less_to_write_and_a_forecast_survives_json() -> None:
    shape = SHAPES["facebook/opt-6.7b"]
    placement = Placement(True, Place.DEVICE, 4, Place.DEVICE)
    settings = {"samples": 64, "seqlen": 1024, "machine": DEFAULT_GPU}
    little, much = (forecast(shape, placement, sparsity=share, **settings) for share in (0.1, 0.9))
    assert much.disk_bytes < little.disk_bytes
    assert much.seconds.write < little.seconds.write
    assert much.gpu_bytes == little.gpu_bytes
    assert from_json(Forecast, to_json(much)) == much
    parts = dataclasses.asdict(much.seconds)
    assert parts.pop("total") == pytest.approx(sum(parts.values()))
    assert "estimate" in much.basis
    assert DEFAULT_GPU.name in much.basis


def test_what_was_measured_is_held_against_budget_and_forecast() -> None:
    shape = SHAPES["facebook/opt-125m"]
    settings = {"samples": 64, "seqlen": 1024}
    placement = place(shape, gpu_memory=8 * GIB, host_memory=8 * GIB, **settings)
    found = forecast(shape, placement, machine=DEFAULT_GPU, **settings)
    budget = {"gpu_memory": 8 * GIB, "host_memory": 8 * GIB}
    good = Resources.of(found, gpu_bytes=GIB, host_bytes=2 * GIB, seconds=3.0, **budget)
    assert good.is_within
    assert good.is_foreseen
    more = Resources.of(found, gpu_bytes=4 * GIB, host_bytes=2 * GIB, seconds=3.0, **budget)
    assert more.is_within
    assert not more.is_foreseen
    over = Resources.of(found, gpu_bytes=GIB, host_bytes=9 * GIB, seconds=3.0, **budget)
    assert not over.is_within
    cpu = Resources.of(found, gpu_bytes=None, host_bytes=2 * GIB, seconds=3.0)
    assert cpu.is_within
    assert cpu.is_foreseen
    assert from_json(Resources, to_json(good)) == good


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("NVIDIA H100 80GB HBM3", "H100 SXM 80GB"),
        ("NVIDIA A100-SXM4-80GB", "A100 80GB"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090 24GB"),
        ("Tesla V100-SXM2-32GB", "V100 32GB"),
        ("h200", "H200 141GB"),
        ("L40S", "L40S 48GB"),
    ],
)
def test_a_machine_is_found_by_what_it_is_called(said: str, meant: str) -> None:
    assert find_machine(said).name == meant


def test_an_unknown_machine_is_refused_with_the_list() -> None:
    assert match_machine("Tesla T4") is None
    assert match_machine("80GB") is None
    with pytest.raises(SpecError, match=r"unknown GPU 'b700'.*H200 141GB"):
        find_machine("b700")
    assert len({machine.name for machine in MACHINES}) == len(MACHINES)
