"""One calibration of the dense model: what it says, and that it survives on disk."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import families
from osscar_core import survey as surveys
from osscar_core.calibration import BlockRunner, norm_scale
from osscar_core.errors import Cancelled, DataError, OutputError, SpecError
from osscar_core.estimates import MeasuredPoint
from osscar_core.goals import Budget, Goal, GoalKind
from osscar_core.methods import fits_intercept
from osscar_core.preparation import calibration_inputs
from osscar_core.probe import Probe
from osscar_core.progress import ProgressEvent
from osscar_core.pruner import prune_
from osscar_core.records import Intercept, Method, Structure, Target, to_dict
from osscar_core.solver import LayerProblem, refit
from osscar_core.surgery import consumer_matrix, intercept_place, shrink_, write_consumer_
from osscar_core.survey import (
    Points,
    Survey,
    first_items,
    load_survey,
    make_survey,
    probe_count,
    probed_widths,
)
from surveyed import CPU, Surveyed, logits, widths_of

Get = Callable[[str], Surveyed]
_TIMES = ("seconds", "survey_seconds", "probe_seconds")


@pytest.fixture(params=sorted(families.FAMILIES))
def case(request: pytest.FixtureRequest, surveyed: Get) -> Surveyed:
    return surveyed(request.param)


@pytest.fixture
def opt(surveyed: Get) -> Surveyed:
    return surveyed("opt")


def without_times(survey: Survey) -> object:
    def strip(value: object) -> object:
        if isinstance(value, dict):
            return {key: strip(item) for key, item in value.items() if key not in _TIMES}
        return [strip(item) for item in value] if isinstance(value, list) else value

    return strip(to_dict(survey.record))


def halves(case: Surveyed) -> dict[str, int]:
    return {name: max(1, groups // 2) for name, groups in widths_of(case.model).items()}


def test_every_unit_is_measured_at_some_widths(case: Surveyed) -> None:
    record = case.survey.record
    units = case.model.adapter.units(case.model.module)
    assert [one.name for one in record.units] == [unit.name for unit in units]
    for one, unit in zip(record.units, units, strict=True):
        assert one.groups == unit.groups
        assert one.widths == (*probed_widths(unit.groups), unit.groups)
        assert list(one.widths) == sorted(set(one.widths))
        assert len(one.divergences) == len(one.widths)
        assert list(one.divergences) == sorted(one.divergences, reverse=True)
        assert one.divergences[-1] == 0
        assert one.divergences[0] > 1e-6
        assert one.count >= record.calibration.count
    assert record.probes == case.spec.samples
    assert record.spec.samples == record.calibration.count == case.family.samples


def test_divergences_are_those_of_whole_models(case: Surveyed) -> None:
    model, spec = case.model, case.survey.record.spec
    inputs, _ = calibration_inputs(model, spec, exactly=True)
    probe = Probe(model.module, model.adapter.blocks(model.module), inputs)
    for index in (0, -1):
        one = case.survey.record.units[index]
        small = case.copy()
        case.survey.apply_(small, {one.name: one.widths[0]}, CPU)
        expected = max(one.divergences)
        assert probe.divergence(small.module) == pytest.approx(expected, rel=1e-2, abs=1e-6)


def test_problems_are_rebuilt_exactly_from_what_is_kept(case: Surveyed) -> None:
    for unit in case.model.adapter.units(case.model.module):
        problem = case.survey.problem(case.model, unit, CPU)
        path = case.survey._kept[unit.name].path
        assert path.problem == problem.digest() != ""
        path.check_problem(problem)
        assert (path.fewest, path.most) == (1, unit.groups)


def test_a_stored_survey_is_the_same(case: Surveyed, tmp_path: Path) -> None:
    made = case.fresh_survey()
    made.add(MeasuredPoint(0.1, 0.02, 0.001))
    record = made.save(tmp_path / "survey")
    again = load_survey(tmp_path / "survey")
    assert again.record == record == made.record
    assert again.folder == tmp_path / "survey"
    assert again.points == made.points != Points()
    assert again.curves() == made.curves() == case.survey.curves()
    for name, kept in made._kept.items():
        other = again._kept[name]
        for left, right in (
            (kept.triangle, other.triangle),
            (kept.mean_x, other.mean_x),
            (kept.path.order, other.path.order),
            (kept.path.costs, other.path.costs),
        ):
            assert torch.equal(left, right)
        assert kept.path.initial == other.path.initial
        assert kept.path.problem == other.path.problem
    left, right = case.copy(), case.copy()
    made.apply_(left, halves(case), CPU)
    again.apply_(right, halves(case), CPU)
    assert torch.equal(
        logits(left.module, case.family.inputs), logits(right.module, case.family.inputs)
    )


def test_applying_is_pruning_unit_by_unit_on_dense_statistics(case: Surveyed) -> None:
    """The slow way: each unit's statistics from the dense model, each re-fit on its own."""
    spec, model, widths = case.survey.record.spec, case.model, halves(case)
    inputs, _ = calibration_inputs(model, spec, exactly=True)
    module = model.module
    blocks = model.adapter.blocks(module)
    units = model.adapter.units(module)
    runner = BlockRunner(module, blocks, inputs, device=CPU, with_dense=False)
    expected = case.copy()
    fits = []
    for index, path in enumerate(blocks):
        with runner.block(index) as block:
            for unit in units:
                if unit.block == path:
                    scale = norm_scale(module.get_submodule(unit.norm)) if unit.norm else None
                    problem = LayerProblem.build(
                        block.collect(unit, Target.LAYER, scale),
                        consumer_matrix(module.get_submodule(unit.consumer)),
                        unit.groups,
                        damping=spec.damping,
                        intercept=fits_intercept(spec, intercept_place(module, unit)),
                        output_weights=scale,
                    )
                    support = case.survey._kept[unit.name].path.support(widths[unit.name])
                    fits.append((unit, support, *refit(problem, support)))
    for unit, support, W, change in fits:
        shrink_(expected.module, unit, support)
        write_consumer_(expected.module, unit, W, change)
    small = case.copy()
    results = case.survey.apply_(small, widths, CPU)
    want = logits(expected.module, case.family.inputs)
    got = logits(small.module, case.family.inputs)
    # The statistics are kept in single precision.
    torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-3 * float(want.abs().max()))
    assert {plan.name: len(plan.kept) for plan, _ in results} == widths_of(small) == widths
    for plan, report in results:
        assert report.kept == len(plan.kept)
        assert report.relative_error >= 0
        assert report.relative_error <= 1.05 * report.magnitude_error + 1e-9


def test_complete_widths_are_the_dense_model(case: Surveyed) -> None:
    same = case.copy()
    results = case.survey.apply_(same, widths_of(case.model), CPU)
    assert torch.equal(
        logits(same.module, case.family.inputs), logits(case.model.module, case.family.inputs)
    )
    assert {report.relative_error for _, report in results} == {0.0}
    assert case.survey.apply_(same, {}, CPU) == ()


@pytest.mark.parametrize("name", ["opt", "llama", "resnet-bottleneck"])
def test_a_survey_leaves_the_model_alone_and_repeats_itself(name: str, surveyed: Get) -> None:
    case = surveyed(name)
    model = case.copy()
    again = make_survey(model, case.spec)
    before, after = case.model.module.state_dict(), model.module.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert without_times(again) == without_times(case.survey)
    for key, kept in case.survey._kept.items():
        assert torch.equal(kept.triangle, again._kept[key].triangle)
        assert torch.equal(kept.path.order, again._kept[key].path.order)


def test_how_much_and_how_is_no_part_of_a_survey(opt: Surveyed) -> None:
    asked = opt.request(
        goal=Goal(GoalKind.FLOPS, 0.5), budget=Budget.LOSS_WEIGHTED, refine=2, method=Method.FLAP
    )
    assert without_times(make_survey(opt.model, asked)) == without_times(opt.survey)


def test_only_what_may_be_removed_is_surveyed(opt: Surveyed) -> None:
    survey = make_survey(opt.model, opt.request(structures=(Structure.NEURONS,)))
    assert {one.name.rsplit(".", 1)[1] for one in survey.record.units} == {"fc2"}
    heads = opt.model.adapter.units(opt.model.module)[0]
    with pytest.raises(SpecError, match=r"unknown unit of the survey.*out_proj"):
        survey.problem(opt.model, heads, CPU)
    with pytest.raises(SpecError, match=r"unknown unit of the survey.*out_proj"):
        survey.apply_(opt.copy(), {heads.name: 2}, CPU)


@pytest.mark.parametrize("width", [0, -1, 49])
def test_widths_that_a_unit_cannot_have_are_refused(opt: Surveyed, width: int) -> None:
    small = opt.copy()
    with pytest.raises(SpecError, match="the path has no support"):
        opt.survey.apply_(
            small, {"model.decoder.layers.0.fc2": 24, "model.decoder.layers.1.fc2": width}, CPU
        )
    assert widths_of(small) == widths_of(opt.model)


def test_a_new_bias_is_in_the_plan(surveyed: Get) -> None:
    case = surveyed("llama")
    survey = make_survey(case.model, case.request(intercept=Intercept.ON))
    small = case.copy()
    names = list(halves(case))
    plans = survey.apply_(small, {**halves(case), names[0]: widths_of(case.model)[names[0]]}, CPU)
    assert [plan.adds_bias for plan, _ in plans] == [False, True, True, True]
    assert small.module.get_submodule(names[0]).bias is None
    assert small.module.get_submodule(names[1]).bias is not None


def test_a_pruned_model_is_not_surveyed(opt: Surveyed) -> None:
    small = opt.copy()
    prune_(small, opt.request(sparsity=0.5))
    with pytest.raises(SpecError, match=r"already pruned.*Survey the dense model"):
        make_survey(small, opt.spec)


def test_fewer_samples_than_by_default_are_no_error(opt: Surveyed) -> None:
    survey = make_survey(opt.model, opt.request(samples=None, seqlen=60))
    assert survey.record.spec.samples == survey.record.calibration.count < 64
    with pytest.raises(DataError, match="100000 were asked for"):
        make_survey(opt.model, opt.request(samples=100_000))


@pytest.mark.parametrize("stage", ["survey", "probe"])
def test_a_survey_can_be_stopped(opt: Surveyed, stage: str) -> None:
    def stop(event: ProgressEvent) -> None:
        if event.stage == stage and event.done == 1:
            raise Cancelled

    model = opt.copy()
    with pytest.raises(Cancelled):
        make_survey(model, opt.spec, progress=stop)
    assert torch.equal(
        logits(model.module, opt.family.inputs), logits(opt.model.module, opt.family.inputs)
    )
    assert not any(module._forward_hooks for module in model.module.modules())


# --- on disk --------------------------------------------------------------------------------


@pytest.fixture
def folder(opt: Surveyed, tmp_path: Path) -> Path:
    opt.fresh_survey().save(tmp_path / "survey")
    return tmp_path / "survey"


def test_nothing_is_overwritten(opt: Surveyed, folder: Path) -> None:
    with pytest.raises(OutputError, match="is not empty"):
        opt.fresh_survey().save(folder)
    load_survey(folder)


def test_nothing_is_left_of_a_survey_that_cannot_be_written(
    opt: Surveyed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(surveys, "write_sealed", fail)
    made = opt.fresh_survey()
    with pytest.raises(OutputError, match="No space left on device"):
        made.save(tmp_path / "survey")
    assert not (tmp_path / "survey").exists()
    assert made.folder is None


def test_a_damaged_unit_is_refused(folder: Path) -> None:
    file = folder / "unit-0001.safetensors"
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"unit-0001\.safetensors is not what was written"):
        load_survey(folder)
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"unit-0001\.safetensors is not what was written"):
        load_survey(folder)
    file.unlink()
    with pytest.raises(DataError, match=r"unit-0001\.safetensors cannot be read.*Survey again"):
        load_survey(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe", b"[" * 10**6])
def test_a_damaged_record_is_refused(folder: Path, content: bytes) -> None:
    (folder / "survey.json").write_bytes(content)
    with pytest.raises(DataError, match=r"holds no readable survey.*Make it again"):
        load_survey(folder)


def test_a_folder_without_a_survey_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no readable survey"):
        load_survey(tmp_path / "nothing")


@pytest.mark.parametrize("extra", [{}, {"invented_later": 1}])
def test_a_newer_format_is_named(folder: Path, extra: dict[str, int]) -> None:
    file = folder / "survey.json"
    values = json.loads(file.read_bytes())
    file.write_text(json.dumps({**values, **extra, "version": 2}), encoding="utf8")
    with pytest.raises(DataError, match=r"format version 2.*reads up to 1"):
        load_survey(folder)


def test_a_record_that_leads_elsewhere_is_not_followed(folder: Path) -> None:
    file = folder / "survey.json"
    values = json.loads(file.read_bytes())
    del values["sha256"]  # or it would not be what was written
    values["units"][0]["file"] = "/etc/passwd"
    file.write_text(json.dumps(values), encoding="utf8")
    with pytest.raises(DataError, match="survey/passwd cannot be read"):
        load_survey(folder)


def test_points_are_kept_at_once_and_only_once(folder: Path) -> None:
    survey = load_survey(folder)
    assert survey.points == Points()
    first, second = MeasuredPoint(0.1, 0.02, 0.001), MeasuredPoint(0.2, 0.05, 0.001)
    survey.add(first)
    survey.add(first)
    survey.add(second, is_deployed=True)
    again = load_survey(folder)
    assert again.points == survey.points == Points((first,), (second,))
    assert again.quality().points == (first,)
    assert again.quality(is_deployed=True).points == (second,)


def test_a_point_narrows_the_band_around_it(folder: Path) -> None:
    survey = load_survey(folder)
    before = survey.quality().estimate(0.1)
    survey.add(MeasuredPoint(0.1, 0.02, 1e-4))
    after = survey.quality().estimate(0.1)
    assert after.high / after.low < before.high / before.low
    assert after.median == pytest.approx(0.02, rel=0.1)


def test_damaged_points_are_said_to_be_dispensable(folder: Path) -> None:
    (folder / "points.json").write_text("{", encoding="utf8")
    with pytest.raises(DataError, match=r"points\.json cannot be read.*Delete it"):
        load_survey(folder)


def test_points_that_cannot_be_written_are_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    survey = load_survey(folder)
    monkeypatch.setattr(surveys, "write_sealed", fail)
    with pytest.raises(OutputError, match=r"cannot write to the survey.*Read-only"):
        survey.add(MeasuredPoint(0.1, 0.02, 0.001))


def test_other_weights_are_noticed(opt: Surveyed) -> None:
    source = opt.model.source
    opt.survey.check_source(source)
    assert source.sha256 is not None
    with pytest.raises(SpecError, match="not those that were surveyed"):
        opt.survey.check_source(dataclasses.replace(source, sha256="0" * 64))


# --- pieces ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("groups", "widths"),
    [
        (1, ()),
        (2, (1,)),
        (5, (1, 2, 3, 4)),
        (6, (1, 2, 3, 4)),
        (16, (1, 4, 8, 12)),
        (1536, (96, 384, 768, 1152)),
    ],
)
def test_probed_widths_ascend_below_the_complete_one(groups: int, widths: tuple[int, ...]) -> None:
    assert probed_widths(groups) == widths


def test_first_items_stop_inside_a_batch() -> None:
    batches = [{"x": torch.arange(3), "flag": False}, {"x": torch.arange(3, 6), "flag": False}]
    for count in range(8):
        found = list(first_items(batches, count))
        assert [int(i) for one in found for i in one["x"]] == list(range(min(count, 6)))
        assert {one["flag"] for one in found} <= {False}


def test_a_rule_and_not_the_clock_says_how_many_items_are_probed(surveyed: Get) -> None:
    text, image = surveyed("opt"), surveyed("cifar-resnet20")
    assert probe_count(text.model, text.request(samples=64, seqlen=1024), 48) == 2
    assert probe_count(text.model, text.request(samples=64, seqlen=60), 48) == 35
    assert probe_count(text.model, text.request(samples=1, seqlen=60), 48) == 1
    assert probe_count(image.model, image.request(samples=512), 9) == 142
    assert probe_count(image.model, image.request(samples=512), 32) == 64
    assert probe_count(image.model, image.request(samples=512), 1) == 256
    assert probe_count(image.model, image.request(samples=16), 9) == 16
