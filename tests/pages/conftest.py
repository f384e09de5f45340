"""Fixtures for the tests of the pages."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from streamlit.components.v2 import manifest_scanner
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.testing.v1 import AppTest

from osscar_core.catalogue import ASSETS_VARIABLE
from osscar_core.records import to_json
from osscar_core.sample import sample_folder, write_sample_run
from osscar_core.studio import frame, takehome, texts
from osscar_core.studio.jobs import RunStore
from test_sample import sample, with_showcases

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session", autouse=True)
def _packages_searched_once() -> Iterator[None]:
    """Let every `AppTest` share one search of all installed packages for components.

    A server makes it once when it starts; it takes half of the time of a test of a page.
    """
    search = manifest_scanner.scan_component_manifests
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", functools.cache(search))
        yield


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "workspace"
    monkeypatch.setenv("OSSCAR_HOME", str(folder))
    return folder


@pytest.fixture
def no_assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Hide the demo models and the sample run that come with the project."""
    folder = tmp_path / "assets"
    monkeypatch.setenv(ASSETS_VARIABLE, str(folder))
    return folder


@pytest.fixture
def sample_run(no_assets: Path) -> Path:
    """Put made-up sample runs of both demo models in the place of the real ones."""
    for model in ("demo/resnet50", "demo/opt"):
        write_sample_run(with_showcases(sample(model)), sample_folder())
    return no_assets


@pytest.fixture
def finished_run(home: Path, samples: ModuleType) -> str:
    asked = samples.image_request(0.5)
    samples.write_run(home, "20260101-000000-000000", asked, samples.result(asked))
    return "20260101-000000-000000"


@pytest.fixture
def with_model(finished_run: str, home: Path) -> Path:
    """Put a pruned model, made up, into the finished run."""
    folder = home / "runs" / finished_run
    (folder / "model").mkdir()
    (folder / "model" / "model.safetensors").write_bytes(b"weights" * 100)
    (folder / "model" / "config.json").write_text("{}")
    result = RunStore().result(RunStore().get(finished_run))
    record = takehome.model_record(takehome.digests(folder / "model"), result.pruned)
    (folder / takehome.RECORD).write_text(to_json(record))
    return folder


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    latest: list[AppTest] = []
    in_a_run = frame._language_here

    def of_the_page() -> str:
        """Between two runs the harness makes labels itself; they are in the page's language."""
        if get_script_run_ctx(suppress_warning=True) is not None or not latest:
            return in_a_run()
        return latest[-1].session_state.get("g_lang", "en")

    monkeypatch.setattr(texts, "_source", of_the_page)

    def opened(
        page: str = "",
        context: dict[str, object] | None = None,
        user: dict[str, object] | None = None,
        secrets: dict[str, object] | None = None,
        **query: str,
    ) -> AppTest:
        at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=30)
        latest.append(at)
        at.context.update(context or {})
        at.user = user or at.user
        at.secrets = secrets or at.secrets
        for key, value in query.items():
            at.query_params[key] = value
        at.run()
        if page:
            at.switch_page(f"pages/{page}.py").run()
        return at

    return opened
