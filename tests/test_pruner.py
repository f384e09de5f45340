"""The order of things, the defaults, and what is left behind when a run does not end well."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import families
from osscar_core.errors import Cancelled, DataError, NumericalError, SpecError
from osscar_core.models import load_model
from osscar_core.progress import ProgressEvent
from osscar_core.pruner import prune, prune_
from osscar_core.records import Intercept, Method, PruneSpec, Structure, Target
from osscar_core.surgery import consumer_matrix


def spec_for(family: families.Family, folder: Path, **changes: Any) -> PruneSpec:
    loaded = family.loaded(folder)
    settings: dict[str, Any] = {
        "model": loaded.source.model,
        "weights": loaded.source.weights if family.catalogue_name else None,
        "calibration": family.calibration_spec(folder),
        "sparsity": 0.5,
        "samples": family.samples,
        "seqlen": family.seqlen,
        "device": "cpu",
    }
    return PruneSpec(**{**settings, **changes})


@pytest.fixture
def opt(tmp_path: Path) -> PruneSpec:
    return spec_for(families.FAMILIES["opt"](), tmp_path)


@pytest.fixture
def resnet(tmp_path: Path) -> PruneSpec:
    return spec_for(families.FAMILIES["cifar-resnet20"](), tmp_path)


def state(folder: Path) -> dict[str, Tensor]:
    return load_model(str(folder)).module.state_dict()


def assert_same(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert torch.equal(value, right[name]), name


def test_nothing_removed_is_the_dense_model(opt: PruneSpec, tmp_path: Path) -> None:
    report = prune(dataclasses.replace(opt, sparsity=0.0), out=tmp_path / "out")
    assert report.parameters.pruned == report.parameters.dense
    assert {unit.relative_error for unit in report.units} == {0.0}
    assert_same(state(tmp_path / "out"), load_model(opt.model).module.state_dict())


def test_the_same_request_gives_the_same_model(opt: PruneSpec, tmp_path: Path) -> None:
    first = prune(opt, out=tmp_path / "a")
    second = prune(opt, out=tmp_path / "b")
    assert first.plan.units == second.plan.units
    assert_same(state(tmp_path / "a"), state(tmp_path / "b"))


@pytest.mark.parametrize("method", [Method.OSSCAR, Method.MAGNITUDE, Method.FLAP])
def test_a_stored_plan_repeats_the_run_exactly(
    opt: PruneSpec, tmp_path: Path, method: Method
) -> None:
    spec = dataclasses.replace(opt, method=method)
    first = prune(spec, out=tmp_path / "a")
    second = prune(first.plan.spec, out=tmp_path / "b", repeat=first.plan)
    assert second.plan.units == first.plan.units
    assert_same(state(tmp_path / "a"), state(tmp_path / "b"))


def test_a_plan_of_another_model_is_refused(opt: PruneSpec, tmp_path: Path) -> None:
    plan = prune(opt).plan
    other = tmp_path / "llama"
    other.mkdir()
    with pytest.raises(SpecError, match="Use the plan with the model it was made for"):
        prune(spec_for(families.FAMILIES["llama"](), other), repeat=plan)


def test_an_empty_plan_is_refused(opt: PruneSpec) -> None:
    plan = dataclasses.replace(prune(opt).plan, units=())
    with pytest.raises(SpecError, match="names no units"):
        prune(opt, repeat=plan)


def test_every_default_is_resolved_in_the_plan(opt: PruneSpec) -> None:
    spec = prune(dataclasses.replace(opt, samples=None, seqlen=None)).plan.spec
    assert spec.structures == (Structure.HEADS, Structure.NEURONS)
    assert spec.target is Target.RESIDUAL
    assert spec.seqlen == 64  # the model's limit, which is below 1,024
    assert spec.samples is not None
    assert spec.samples <= 64


@pytest.mark.parametrize(
    ("sparsity", "round_to", "kept"),
    [(0.3, 1, 34), (0.5, 1, 24), (0.99, 1, 1), (0.5, 16, 32), (0.9, 64, 48)],
)
def test_widths_are_rounded_up_as_asked(
    opt: PruneSpec, sparsity: float, round_to: int, kept: int
) -> None:
    spec = dataclasses.replace(
        opt, sparsity=sparsity, round_to=round_to, structures=(Structure.NEURONS,)
    )
    units = prune(spec).units
    assert [unit.kept for unit in units] == [kept, kept]
    assert {unit.structure for unit in units} == {Structure.NEURONS}


def test_an_intercept_where_the_family_has_none_is_added_only_on_request(tmp_path: Path) -> None:
    spec = spec_for(families.FAMILIES["llama"](), tmp_path)
    auto = prune(spec)
    assert not any(unit.adds_bias for unit in auto.plan.units)
    on = prune(dataclasses.replace(spec, intercept=Intercept.ON), out=tmp_path / "on")
    assert all(unit.adds_bias for unit in on.plan.units)
    assert "model.layers.0.mlp.down_proj.bias" in state(tmp_path / "on")


def test_without_an_intercept_the_bias_stays(opt: PruneSpec, tmp_path: Path) -> None:
    prune(dataclasses.replace(opt, intercept=Intercept.OFF), out=tmp_path / "out")
    dense = load_model(opt.model).module.state_dict()
    name = "model.decoder.layers.0.fc2.bias"
    assert torch.equal(state(tmp_path / "out")[name], dense[name])


def test_the_residual_target_repairs_what_earlier_layers_lost(resnet: PruneSpec) -> None:
    """On the calibration images themselves, its logits end closer to the dense model's."""
    from osscar_core.datasets import load_images

    def distance(target: Target) -> float:
        dense = load_model(resnet.model, weights=resnet.weights)
        pruned = load_model(resnet.model, weights=resnet.weights)
        prune_(pruned, dataclasses.replace(resnet, target=target, samples=16))
        assert dense.source.preprocess is not None
        images = load_images(resnet.calibration, dense.source.preprocess, limit=16)
        (pixels, _), *_ = images.batches(16)
        with torch.no_grad():
            return float((dense.module(pixels) - pruned.module(pixels)).square().mean())

    assert distance(Target.RESIDUAL) < distance(Target.LAYER)


def test_the_classifier_is_refitted_unless_told_otherwise(
    resnet: PruneSpec, tmp_path: Path
) -> None:
    dense = load_model(resnet.model, weights=resnet.weights).module.state_dict()
    on = prune(resnet, out=tmp_path / "on")
    off = prune(dataclasses.replace(resnet, refit_head=False), out=tmp_path / "off")
    layer = prune(dataclasses.replace(resnet, target=Target.LAYER), out=tmp_path / "layer")
    blind = prune(dataclasses.replace(resnet, method=Method.RANDOM, target=Target.DENSE))
    assert (on.head, off.head, layer.head, blind.head) == ("linear", None, None, None)
    assert not torch.equal(state(tmp_path / "on")["linear.weight"], dense["linear.weight"])
    for folder in ("off", "layer"):
        assert torch.equal(state(tmp_path / folder)["linear.weight"], dense["linear.weight"])


def test_too_little_calibration_is_said_with_numbers(opt: PruneSpec) -> None:
    (one,) = prune(dataclasses.replace(opt, samples=1)).warnings
    assert "4 of 4 units have fewer calibration rows than input features" in one
    assert "24 rows for 48 features" in one
    (eight,) = prune(opt).warnings
    assert "fewer than 16 calibration rows per input feature" in eight
    assert "192 rows for 48 features" in eight
    assert prune(dataclasses.replace(opt, target=Target.LAYER)).warnings == ()
    assert prune(dataclasses.replace(opt, seqlen=12, samples=80)).warnings == ()


def test_more_samples_than_there_are_is_an_error_only_if_asked_for(opt: PruneSpec) -> None:
    with pytest.raises(DataError, match="100000 were asked for"):
        prune(dataclasses.replace(opt, samples=100_000))
    report = prune(dataclasses.replace(opt, samples=None, seqlen=60))
    assert report.plan.spec.samples == report.plan.calibration.count < 64


def test_a_structure_the_family_lacks_is_refused(opt: PruneSpec) -> None:
    with pytest.raises(SpecError, match="have no channels"):
        prune(dataclasses.replace(opt, structures=(Structure.CHANNELS,)))


def test_a_window_longer_than_the_model_is_refused(opt: PruneSpec) -> None:
    with pytest.raises(SpecError, match="more than the 64 positions"):
        prune(dataclasses.replace(opt, seqlen=65))


def test_a_pruned_model_is_not_pruned_again(opt: PruneSpec, tmp_path: Path) -> None:
    prune(opt, out=tmp_path / "out")
    with pytest.raises(SpecError, match="already pruned"):
        prune(dataclasses.replace(opt, model=str(tmp_path / "out")))


@pytest.mark.parametrize("error", [Cancelled(), KeyboardInterrupt()])
@pytest.mark.parametrize("stage", ["load", "prune", "save"])
def test_nothing_is_left_after_an_interrupted_run(
    opt: PruneSpec, tmp_path: Path, stage: str, error: BaseException
) -> None:
    before = sorted(tmp_path.iterdir())

    def stop(event: ProgressEvent) -> None:
        if event.stage == stage:
            raise error

    with pytest.raises(type(error)):
        prune(opt, out=tmp_path / "out", progress=stop)
    assert sorted(tmp_path.iterdir()) == before


def test_progress_ends_where_it_said_it_would(opt: PruneSpec) -> None:
    events: list[ProgressEvent] = []
    prune(opt, progress=events.append)
    steps = [event for event in events if event.stage == "prune"]
    assert [event.done for event in steps] == list(range(1, len(steps) + 1))
    assert {event.total for event in steps} == {len(steps)}


def test_activations_that_are_not_finite_are_named(opt: PruneSpec) -> None:
    loaded = load_model(opt.model)
    with torch.no_grad():
        loaded.module.get_parameter("model.decoder.layers.0.fc1.bias").fill_(torch.inf)
    with pytest.raises(NumericalError, match=r"layers\.0\.fc2"):
        prune_(loaded, opt)


def test_methods_that_do_not_refit_leave_weights_as_they_are(opt: PruneSpec) -> None:
    dense = load_model(opt.model)
    pruned = load_model(opt.model)
    report = prune_(pruned, dataclasses.replace(opt, method=Method.MAGNITUDE))
    name = "model.decoder.layers.1.fc2"
    (unit,) = (unit for unit in report.plan.units if unit.name == name)
    before = consumer_matrix(dense.module.get_submodule(name))
    assert torch.equal(
        consumer_matrix(pruned.module.get_submodule(name)), before[torch.tensor(unit.kept)]
    )


def test_random_draws_differ_between_units_and_seeds(opt: PruneSpec) -> None:
    spec = dataclasses.replace(opt, method=Method.RANDOM, structures=(Structure.NEURONS,))
    first, second = (unit.kept for unit in prune(spec).plan.units)
    assert first != second
    assert prune(dataclasses.replace(spec, seed=1)).plan.units[0].kept != first
