"""What is said of a pruned model's layers, against the records and the exported weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import pytest
from safetensors import safe_open

import families
from osscar_core.budget import LossCurve
from osscar_core.figures import kept_map
from osscar_core.goals import Budget
from osscar_core.models import load_model
from osscar_core.pruner import prune
from osscar_core.records import BudgetReport, Method, PruneSpec, Structure
from osscar_core.studio import explain_facts, explain_layers, texts
from osscar_core.studio.jobs import RunStore
from osscar_core.studio.numbers import MINUS
from test_layer_figures import squares

DASH = "\N{EN DASH}"


@pytest.fixture
def japanese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "_source", lambda: "ja")


@pytest.fixture
def result(samples):
    return samples.result(samples.image_request(0.5))


def with_units(result, *changes: dict, spec: dict | None = None):
    """Return a result with changed reports of its first units, and a changed request."""
    units = list(result.prune.units)
    plans = {unit.name: unit for unit in result.prune.plan.units}
    for index, change in enumerate(changes):
        units[index] = dataclasses.replace(units[index], **change)
        kept = tuple(range(units[index].kept))
        plans[units[index].name] = dataclasses.replace(plans[units[index].name], kept=kept)
    plan = dataclasses.replace(
        result.prune.plan,
        units=tuple(plans.values()),
        spec=dataclasses.replace(result.prune.plan.spec, **(spec or {})),
    )
    return dataclasses.replace(
        result, prune=dataclasses.replace(result.prune, units=tuple(units), plan=plan)
    )


class TestExportedWeights:
    """The kept map shows what is in the file that was written."""

    @pytest.mark.parametrize("name", ["opt", "llama", "cifar-resnet20", "resnet-bottleneck"])
    def test_the_map_agrees_with_the_shapes_in_the_file(
        self, name: str, tmp_path: Path, result
    ) -> None:
        family = families.FAMILIES[name]()
        loaded = family.loaded(tmp_path)
        dense = {key: value.shape for key, value in loaded.module.state_dict().items()}
        spec = PruneSpec(
            model=loaded.source.model,
            weights=loaded.source.weights if family.catalogue_name else None,
            calibration=family.calibration_spec(tmp_path),
            sparsity=0.4,
            samples=family.samples,
            seqlen=family.seqlen,
            device="cpu",
        )
        report = prune(spec, out=tmp_path / "small")
        layers = explain_layers.layers_of(dataclasses.replace(result, prune=report))
        (file,) = (tmp_path / "small").glob("*.safetensors")
        with safe_open(file, framework="pt") as weights:
            shapes = {key: weights.get_slice(key).get_shape() for key in weights.keys()}  # noqa: SIM118
        assert len(layers) == len(report.units) >= 4
        for unit, layer in zip(report.units, layers, strict=True):
            figure = kept_map(
                [layer],
                words={"kept": "K", "removed": "R", "layer": "L", "group": "G"},
                describe=str,
            )
            filled, hollow = len(squares(figure.data[1])), len(squares(figure.data[0]))
            before, after = (shape[f"{unit.name}.weight"][1] for shape in (dense, shapes))
            per_group = before // unit.groups
            assert filled * per_group == after
            assert (filled + hollow) * per_group == before

    def test_the_squares_are_the_rows_that_the_file_holds(self, tmp_path: Path, result) -> None:
        """Without a re-fit the columns that stay are the dense model's own."""
        family = families.FAMILIES["opt"]()
        loaded = family.loaded(tmp_path)
        spec = PruneSpec(
            model=loaded.source.model,
            calibration=family.calibration_spec(tmp_path),
            sparsity=0.5,
            samples=family.samples,
            seqlen=family.seqlen,
            device="cpu",
            method=Method.MAGNITUDE,
        )
        report = prune(spec, out=tmp_path / "small")
        layers = explain_layers.layers_of(dataclasses.replace(result, prune=report))
        small = load_model(str(tmp_path / "small")).module.state_dict()
        dense = loaded.module.state_dict()
        for unit, layer in zip(report.units, layers, strict=True):
            per_group = dense[f"{unit.name}.weight"].shape[1] // unit.groups
            columns = [g * per_group + i for g in layer.support for i in range(per_group)]
            expected = dense[f"{unit.name}.weight"][:, columns]
            assert small[f"{unit.name}.weight"].equal(expected)


class TestLead:
    def test_it_names_how_much_and_the_worst_and_the_best_layer(self, result) -> None:
        text = explain_layers.lead(explain_layers.layers_of(result))
        assert "72 of 144 convolution channels were removed from 9 layers" in text
        assert "about the same share, 50%" in text
        assert "most in **layer3.2** (9.00%)" in text
        assert "least in **layer1.0** (1.00%)" in text

    def test_it_says_where_most_went_and_whether_the_output_changed_less_there(
        self, result
    ) -> None:
        tight = with_units(result, {"kept": 2}, {"kept": 2}, {"kept": 3})
        text = explain_layers.lead(explain_layers.layers_of(tight))
        assert "Most was removed from **layer1.0**, **layer1.1**, **layer1.2** (81% to 88%)" in text
        assert "changed less than elsewhere (median 2.00% against 6.50%)" in text
        costly = with_units(result, {"kept": 2, "relative_error": 0.5})
        text = explain_layers.lead(explain_layers.layers_of(costly))
        assert "from **layer1.0** (88%). The output changed more there than elsewhere" in text
        assert "(median 50.0% against 5.50%)" in text

    def test_layers_that_lost_nothing_are_told_apart(self, result) -> None:
        some = with_units(result, *([{"kept": 16, "relative_error": 0.0}] * 3))
        text = explain_layers.lead(explain_layers.layers_of(some))
        assert "3 layers lost nothing, each of the others about the same share, 50%" in text
        assert "least in **layer2.0** (4.00%)" in text
        none = with_units(result, *([{"kept": 16}] * 9))
        text = explain_layers.lead(explain_layers.layers_of(none))
        assert text == "0 of 144 convolution channels were removed from 9 layers."

    def test_layers_of_a_language_model_go_by_their_numbers(self, samples) -> None:
        found = samples.result(samples.text_request(0.5), dense=20.0, pruned=30.0)
        names = [f"model.layers.{index}.fc2" for index in range(9)]
        units = tuple(
            dataclasses.replace(unit, name=name, kept=64 if 3 <= index <= 5 else 400)
            for index, (unit, name) in enumerate(zip(found.prune.units, names, strict=True))
        )
        plan = dataclasses.replace(found.prune.plan, units=())
        found = dataclasses.replace(
            found, prune=dataclasses.replace(found.prune, units=units, plan=plan)
        )
        layers = explain_layers.layers_of(found)
        assert [layer.id for layer in layers] == [str(index) for index in range(9)]
        assert layers[4].name == "layer 4"
        assert all(layer.support is None for layer in layers)
        text = explain_layers.lead(layers)
        assert f"Most was removed from **layers 3{DASH}5** (88%)" in text
        assert "most in **layer 8**" in text

    def test_heads_and_neurons_of_a_layer_are_told_apart(self, samples) -> None:
        found = samples.result(samples.text_request(0.5), dense=20.0, pruned=30.0, units=2)
        names, kinds = ("model.layers.3.attn.out", "model.layers.3.fc2"), ("heads", "neurons")
        units = tuple(
            dataclasses.replace(unit, name=name, structure=Structure(kind))
            for unit, name, kind in zip(found.prune.units, names, kinds, strict=True)
        )
        found = dataclasses.replace(found, prune=dataclasses.replace(found.prune, units=units))
        layers = explain_layers.layers_of(found)
        assert [layer.id for layer in layers] == ["attn.out", "fc2"]
        text = explain_layers.lead(layers)
        assert "256 of 512 attention heads and 256 of 512 feed-forward neurons" in text
        units = (dataclasses.replace(units[0], kept=32), units[1])
        report = dataclasses.replace(found.prune, units=units)
        text = explain_layers.lead(
            explain_layers.layers_of(dataclasses.replace(found, prune=report))
        )
        assert "Most was removed from attention heads of **attn.out** (94%)" in text

    def test_in_japanese(self, result, japanese: None) -> None:
        text = explain_layers.lead(explain_layers.layers_of(result))
        assert "9層から、畳み込みチャネル144個のうち72個を削除しました。" in text
        assert "**layer3.2**（9.00%）" in text


class TestEvidence:
    def test_a_proven_loss_is_called_real(self, result) -> None:
        quality, baseline = explain_layers.evidence(result)
        assert quality.is_good is False
        assert f"82.0% → 70.6%.** The loss is real: {MINUS}11.4 pt" in quality.text
        assert f"{MINUS}13.8 pt to {MINUS}9.0 pt" in quality.text
        assert baseline.is_good is True
        assert "In 9 of 9 layers the error is lower" in baseline.text
        assert "the median is 50% of it" in baseline.text

    def test_no_loss_is_claimed_to_be_absent(self, samples) -> None:
        close = samples.result(samples.image_request(), dense=0.8, pruned=0.795)
        reason = explain_layers.evidence(close)[0]
        assert reason.is_good is None
        assert "no loss is proven, and none is ruled out" in reason.text
        better = samples.result(samples.text_request(), dense=30.0, pruned=20.0, half=0.5)
        assert explain_layers.evidence(better)[0].is_good is True

    def test_a_baseline_that_is_better_is_told(self, result) -> None:
        changes = [{"relative_error": 0.3}] * 9
        baseline = explain_layers.evidence(with_units(result, *changes))[1]
        assert baseline.is_good is False
        assert "In 0 of 9 layers" in baseline.text

    def test_the_baseline_is_not_compared_with_itself(self, result) -> None:
        own = with_units(result, spec={"method": Method.MAGNITUDE_REFIT})
        assert len(explain_layers.evidence(own)) == 1
        assert all(layer.baseline is None for layer in explain_layers.layers_of(own))

    def test_bounds_are_told_as_far_as_they_mean_something(self, result) -> None:
        mixed = with_units(
            result,
            {"is_proven": True, "gap": 0.0},
            {"gap": 0.02},
            {"gap": 0.04},
            {"gap": 1.0},
        )
        text = explain_layers.evidence(mixed)[2].text
        assert "In 1 of 9 layers no better choice of this size exists" in text
        assert "In 2 of 9 layers a better choice of this size would save at most 3.00%" in text
        assert "For 6 of 9 layers the bound is too loose" in text
        units = mixed.prune.units
        told = [explain_layers.gap_of(unit) for unit in units[:5]]
        assert told == [
            "none: proven best",
            "at most 2.00%",
            "at most 4.00%",
            "bound too loose to tell",
            "not bounded",
        ]
        whole = dataclasses.replace(units[0], kept=16, is_proven=False)
        assert explain_layers.gap_of(whole) == "nothing removed"

    def test_all_proven_speaks_for_the_run(self, result) -> None:
        proven = with_units(result, *([{"is_proven": True, "gap": 0.0}] * 9))
        reason = explain_layers.evidence(proven)[2]
        assert reason.is_good is True
        assert (
            reason.text == "In 9 of 9 layers no better choice of this size exists: that is proven."
        )


def brief_of(result, divergences: list[float]) -> SimpleNamespace:
    """Return what a survey says if cutting a unit by half costs so much."""
    curves = {
        unit.name: LossCurve(unit.name, unit.groups, (4, 8, 16), (3 * value, value, 0.0))
        for unit, value in zip(result.prune.units, divergences, strict=True)
    }
    return SimpleNamespace(curves=lambda: curves)


class TestOneLayer:
    def test_the_facts_are_those_of_the_report(self, result) -> None:
        changed = with_units(result, {"gap": 0.003})
        units, layers = changed.prune.units, explain_layers.layers_of(changed)
        facts = dict(explain_layers.facts(units[0], layers[0], changed, None))
        assert facts["Removed"] == "8 of 16 convolution channels (50.0%)"
        assert facts["Output error"] == "1.00%"
        assert facts["Magnitude baseline"] == "2.00%"
        assert facts["Gap to the best"] == "at most 0.300%"
        assert facts["Rank by error"] == "9 of 9"
        assert facts["Module"] == "`layer1.0.conv2`"
        assert "Protected" not in facts

    def test_with_a_survey_the_rank_is_by_sensitivity(self, result) -> None:
        brief = brief_of(result, [0.1, 0.5, 0.3, *[0.0] * 6])
        units, layers = result.prune.units, explain_layers.layers_of(result)
        ranks = [
            dict(explain_layers.facts(units[i], layers[i], result, brief))[
                "Rank by sensitivity, cut by half"
            ]
            for i in range(4)
        ]
        assert ranks == ["3 of 9", "1 of 9", "2 of 9", "4 of 9"]

    def test_a_survey_of_other_layers_does_not_count(self, result) -> None:
        brief = brief_of(result, [0.1] * 9)
        other = with_units(result, {"groups": 32})
        assert explain_layers.sensitivities(other.prune.units, brief) is None

    def test_protected_layers_are_marked(self, result) -> None:
        caps = (("layer1.*", 0.0), ("layer2.0.conv2", 0.5))
        protected = with_units(result, *([{"kept": 16}] * 3), spec={"caps": caps})
        layers = explain_layers.layers_of(protected)
        assert [layer.is_protected for layer in layers] == [True] * 3 + [False] * 6
        facts = dict(explain_layers.facts(protected.prune.units[0], layers[0], protected, None))
        assert facts["Protected"] == "nothing may be removed"


def test_the_table_has_every_number_of_the_report(result) -> None:
    rows = explain_layers.rows(with_units(result, {"kept": 5, "gap": 0.25}))
    assert len(rows) == 9
    first = rows[0]
    assert (first["Layer"], first["Before"], first["After"]) == ("layer1.0.conv2", 16, 5)
    assert first["Removed"] == "68.8%"
    assert first["Output error"] == pytest.approx(1.0)
    assert first["Magnitude baseline"] == pytest.approx(2.0)
    assert first["Gap to the best"] == "at most 25.0%"
    assert first["Which stay"] == f"0{DASH}4"
    assert rows[1]["Which stay"] == f"0{DASH}7"


def test_indices_are_drawn_together() -> None:
    assert explain_layers.ranges((0, 1, 2, 5, 7, 8)) == f"0{DASH}2, 5, 7{DASH}8"
    assert explain_layers.ranges(()) == ""


def test_the_solver_is_told_in_one_line(result) -> None:
    text = explain_facts.solver_facts(result)
    for part in ("reached 5.00% (median), 9.00% at most", "seed 0", "36 swaps", "900 MB"):
        assert part in text
    assert explain_facts.budget_facts(result) == ""
    budget = BudgetReport(Budget.LOSS_WEIGHTED, 0.0123, 0.0119, 64, 1.0, 1.0, 1.0)
    spread = dataclasses.replace(result, prune=dataclasses.replace(result.prune, budget=budget))
    text = explain_facts.budget_facts(spread)
    assert "sensitivity on 64 items" in text
    assert "divergence 0.0123 nats" in text
    assert "below 0.0119" in text


def test_provenance_names_data_digests_and_versions(home, samples, result) -> None:
    asked = samples.image_request()
    samples.write_run(home, "20260101-000000-000000", asked, result)
    run = RunStore(home).runs()[0]
    pairs = explain_facts.provenance(run, RunStore(home).result(run))
    values = " ".join(value for _, value in pairs)
    for expected in ("cd" * 32, "ab" * 32, "torch 2.14", "images:/nowhere/test", run.id):
        assert expected in values
