"""The order of things, the defaults, and what is left behind when a run does not end well."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import families
from osscar_core import pursuit
from osscar_core.errors import Cancelled, DataError, NumericalError, OutputError, SpecError
from osscar_core.explorer import UnreachableGoal
from osscar_core.goals import Budget, Goal, GoalKind
from osscar_core.models import load_model
from osscar_core.progress import ProgressEvent
from osscar_core.pruner import deploy, prune, prune_
from osscar_core.records import Intercept, Method, PruneSpec, Structure, Target
from osscar_core.surgery import consumer_matrix
from osscar_core.survey import Survey, load_survey, make_survey


@pytest.fixture
def opt(tmp_path: Path) -> PruneSpec:
    return families.FAMILIES["opt"]().request(tmp_path)


@pytest.fixture
def resnet(tmp_path: Path) -> PruneSpec:
    return families.FAMILIES["cifar-resnet20"]().request(tmp_path)


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
        prune(families.FAMILIES["llama"]().request(other), repeat=plan)


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
    spec = families.FAMILIES["llama"]().request(tmp_path)
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


# --- widths chosen beforehand ----------------------------------------------------------------

HEADS = "model.decoder.layers.{}.self_attn.out_proj"
NEURONS = "model.decoder.layers.{}.fc2"


@pytest.mark.parametrize("method", Method)
def test_given_widths_are_kept_by_every_method(opt: PruneSpec, method: Method) -> None:
    widths = {HEADS.format(0): 3, NEURONS.format(0): 7, NEURONS.format(1): 48}
    report = prune(dataclasses.replace(opt, method=method), widths=widths)
    assert [unit.kept for unit in report.units] == [3, 7, 4, 48]
    assert report.plan.spec.sparsity == 0.5


def test_a_goal_beside_widths_is_recorded_and_starts_nothing(
    opt: PruneSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        pytest.fail("the widths were known")

    monkeypatch.setattr("osscar_core.pruner.Pursuit", never)
    goal = Goal(GoalKind.QUALITY_LOSS, 0.01)
    spec = dataclasses.replace(opt, sparsity=0.0, goal=goal)
    widths = {HEADS.format(0): 2, NEURONS.format(0): 24, HEADS.format(1): 2, NEURONS.format(1): 24}
    report = prune(spec, widths=widths, out=tmp_path / "widths")
    assert (report.goal, report.budget) == (None, None)
    assert report.plan.spec.goal == goal
    share = prune(opt, out=tmp_path / "share")
    assert report.plan.units == share.plan.units
    assert_same(state(tmp_path / "widths"), state(tmp_path / "share"))
    again = prune(report.plan.spec, repeat=report.plan, out=tmp_path / "again")
    assert again.plan.units == report.plan.units
    assert_same(state(tmp_path / "again"), state(tmp_path / "widths"))


def test_no_widths_at_all_leave_the_dense_model(opt: PruneSpec, tmp_path: Path) -> None:
    report = prune(opt, widths={}, out=tmp_path / "out")
    assert [unit.kept for unit in report.units] == [4, 48, 4, 48]
    assert_same(state(tmp_path / "out"), load_model(opt.model).module.state_dict())


@pytest.mark.parametrize(
    ("changes", "widths", "message"),
    [
        ({}, {"model.decoder.layers.0.fc1": 3}, r"Did you mean 'model.decoder.layers.0.fc2'"),
        ({"structures": (Structure.NEURONS,)}, {HEADS.format(0): 2}, "unknown unit of the request"),
        ({}, {NEURONS.format(0): 0}, r"layers.0.fc2 is 0. It must be an integer in \[1, 48\]"),
        ({}, {NEURONS.format(0): 49}, "is 49"),
        ({}, {HEADS.format(0): 2.0}, "is 2.0"),
        ({}, {HEADS.format(0): True}, "is True"),
        ({"caps": (("heads", 0.25),)}, {HEADS.format(1): 2}, "its cap of 0.25 leaves 3 of 4"),
        ({"caps": (("nothing", 0.25),)}, {}, "nothing that may be removed is called 'nothing'"),
        (
            {"sparsity": 0.0, "goal": Goal(GoalKind.REMOVED, 0.5), "refine": 2},
            {},
            "refine is 2, and groups are not exchanged",
        ),
    ],
)
def test_widths_that_cannot_be_are_refused(
    opt: PruneSpec, changes: dict[str, Any], widths: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        prune(dataclasses.replace(opt, **changes), widths=widths)


def test_widths_beside_a_plan_are_refused(opt: PruneSpec) -> None:
    plan = prune(opt).plan
    with pytest.raises(SpecError, match="widths are given beside a plan"):
        prune(opt, repeat=plan, widths={})


def test_a_cap_that_the_widths_respect_changes_nothing(opt: PruneSpec) -> None:
    capped = dataclasses.replace(opt, caps=(("heads", 0.25),))
    widths = {HEADS.format(0): 3}
    assert prune(capped, widths=widths).plan.units == prune(opt, widths=widths).plan.units


# --- goals and deployment -------------------------------------------------------------------


@pytest.fixture
def survey(opt: PruneSpec, tmp_path: Path) -> Survey:
    spec = dataclasses.replace(opt, sparsity=0.0)
    make_survey(load_model(opt.model), spec).save(tmp_path / "survey")
    return load_survey(tmp_path / "survey")


def asking(survey: Survey, **changes: Any) -> PruneSpec:
    goal = Goal(GoalKind.PARAMETERS, 0.85)
    return dataclasses.replace(survey.record.spec, **{"goal": goal, **changes})


def test_a_goal_writes_the_model_it_reports(survey: Survey, tmp_path: Path) -> None:
    files = {file: file.read_bytes() for file in Path(survey.record.spec.model).iterdir()}
    report = prune(asking(survey), out=tmp_path / "out", survey=survey)
    assert {file: file.read_bytes() for file in files} == files  # the dense model on disk
    again = load_model(str(tmp_path / "out"))
    assert again.plan == report.plan
    assert sum(p.numel() for p in again.module.parameters()) == report.parameters.pruned
    assert report.goal is not None
    assert report.goal.achieved == report.parameters.pruned <= report.goal.asked
    assert (tmp_path / "out" / "model.safetensors").stat().st_size == report.bytes.pruned


def test_one_survey_deploys_many_goals_without_calibration_data(
    survey: Survey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = prune(asking(survey), survey=survey)

    def unread(*_: Any, **__: Any) -> None:
        pytest.fail("calibration data was read")

    monkeypatch.setattr(pursuit, "calibration_inputs", unread)
    Path(survey.record.spec.calibration.removeprefix("text:")).unlink()
    first = deploy(survey, asking(survey), out=tmp_path / "first")
    assert first.parameters == run.parameters
    assert [unit.kept for unit in first.units] == [unit.kept for unit in run.units]
    assert first.goal == run.goal
    assert first.out == str(tmp_path / "first")
    again = load_model(str(tmp_path / "first"))
    assert again.plan == first.plan
    assert sum(p.numel() for p in again.module.parameters()) == first.parameters.pruned
    repeated = deploy(survey, asking(survey), out=tmp_path / "repeated")
    assert repeated.plan.units == first.plan.units
    assert_same(state(tmp_path / "repeated"), state(tmp_path / "first"))
    other = deploy(survey, asking(survey, goal=Goal(GoalKind.FLOPS, 0.8)))
    assert other.out is None
    assert other.flops.pruned <= 0.8 * other.flops.dense
    plain = deploy(survey, asking(survey, goal=None, sparsity=0.5))
    assert plain.goal is None
    assert [unit.kept for unit in plain.units] == [2, 24, 2, 24]


def test_what_a_survey_was_made_with_cannot_be_changed_afterwards(survey: Survey) -> None:
    for changes, message in (
        ({"damping": 0.1}, "damping is 0.1, and the survey was made with 0.01"),
        ({"model": "opt"}, "model is opt, and the survey was made with"),
        ({"method": Method.FLAP}, "method is flap"),
        ({"seed": 3}, "seed is 3"),
    ):
        with pytest.raises(SpecError, match=message):
            deploy(survey, asking(survey, **changes))
    free = asking(survey, samples=None, seqlen=None, budget=Budget.UNIFORM, round_to=8)
    assert deploy(survey, free).goal is not None


def test_weights_that_changed_since_are_refused(survey: Survey) -> None:
    file = Path(survey.record.spec.model) / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-2] ^= 1
    file.write_bytes(content)
    with pytest.raises(SpecError, match="not those that were surveyed"):
        deploy(survey, asking(survey))


def test_nothing_is_left_of_a_deployment_that_fails(survey: Survey, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(UnreachableGoal):
        deploy(survey, asking(survey, goal=Goal(GoalKind.PARAMETERS, 0.01)), out=out)

    def stop(event: ProgressEvent) -> None:
        if event.stage == "save":
            raise Cancelled

    with pytest.raises(Cancelled):
        deploy(survey, asking(survey), out=out, progress=stop)
    assert not out.exists()
    with pytest.raises(OutputError, match="is not empty"):
        deploy(survey, asking(survey), out=survey.folder)
