"""The import rules: who may know whom, and where heavy or foreign libraries may appear.

The imports are read from the source. Those inside functions count as well, those under
``if TYPE_CHECKING`` do not, since they never run.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CORE = "osscar_core"

# What each part of the package may import of the others. A part is a module or a
# subpackage directly below the root; all may import the parts in BASE.
BASE = {"errors", "goals", "guards", "records", "progress", "shortage", "storage"}
LIBRARY = {
    "activations",
    "allotment",
    "brief",
    "latencies",
    "methods",
    "pricing",
    "tensorfile",
    "units",
    "widths",
    "adapters",
    "budget",
    "calibration",
    "catalogue",
    "checks",
    "guarded",
    "loadable",
    "checkpoint",
    "costs",
    "datasets",
    "estimates",
    "evaluation",
    "models",
    "driver",
    "machines",
    "moments",
    "networks",
    "placement",
    "planning",
    "preparation",
    "probe",
    "resources",
    "shapes",
    "shortage",
    "showcase",
    "explorer",
    "pruner",
    "pursuit",
    "sequential",
    "stopwatch",
    "survey",
    "solver",
    "surgery",
    "team",
    "together",
}
# What a decision is made and told with: arithmetic and words on measured records.
DECISION = {"difference", "notation", "phrases", "report", "savings", "verdict"}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "shortage": {"errors"},
    "storage": {"errors"},
    "progress": {"errors"},
    "records": {"errors", "goals", "guards", "resources"},
    "goals": {"errors"},
    "guards": {"errors"},
    "guarded": {"catalogue", "checks", "datasets", *BASE},
    "units": {"records"},
    "methods": {"records"},
    "widths": {"errors", "records", "units"},
    "latencies": {"errors", "records"},
    "loadable": {"errors", "records", "units", "widths"},
    "tensorfile": set(),
    "brief": {"budget", "costs", "estimates", "latencies", *BASE},
    "solver": {"errors", "records", "methods"},
    "networks": {"errors"},
    "driver": set(),
    "machines": {"errors"},
    "resources": set(),
    "shapes": {"catalogue", *BASE},
    "placement": {"machines", "notation", "resources", "shapes", *BASE},
    "planning": {
        "adapters",
        "catalogue",
        "driver",
        "evaluation",
        "machines",
        "models",
        "placement",
        "resources",
        "shapes",
        *BASE,
    },
    "catalogue": {"records", "errors", "storage"},
    "budget": {"records", "errors"},
    "estimates": {"records", "errors"},
    "showcase": {"records", "errors"},
    "adapters": {"records", "errors", "units"},
    "surgery": {"adapters", "methods", "units", *BASE},
    "datasets": BASE,
    "stopwatch": set(),
    "team": {"moments"},
    "together": {"pruner", "team", *BASE},
    "activations": {"resources", *BASE},
    "moments": {"solver", "surgery", *BASE},
    "calibration": {
        "activations",
        "models",
        "moments",
        "resources",
        "solver",
        "stopwatch",
        "team",
        "units",
        *BASE,
    },
    "models": {"adapters", "surgery", "networks", "catalogue", "tensorfile", *BASE},
    "evaluation": {
        "adapters",
        "datasets",
        "latencies",
        "models",
        "networks",
        "showcase",
        "surgery",
        "units",
        *BASE,
    },
    "costs": {"tensorfile", "units", *BASE},
    "pricing": {
        "adapters",
        "costs",
        "evaluation",
        "models",
        "surgery",
        "tensorfile",
        "units",
        *BASE,
    },
    "allotment": {
        "catalogue",
        "driver",
        "evaluation",
        "machines",
        "models",
        "placement",
        "planning",
        "resources",
        *BASE,
    },
    "preparation": {
        "catalogue",
        "datasets",
        "loadable",
        "methods",
        "models",
        "shapes",
        "units",
        *BASE,
    },
    "probe": {"calibration", *BASE},
    "checkpoint": {"adapters", "models", "surgery", *BASE},
    "sequential": {
        "adapters",
        "calibration",
        "checkpoint",
        "evaluation",
        "methods",
        "models",
        "resources",
        "solver",
        "stopwatch",
        "surgery",
        "team",
        "units",
        *BASE,
    },
    "survey": (LIBRARY - {"explorer", "pursuit", "pruner", "survey"}) | BASE,
    "explorer": {
        "brief",
        "budget",
        "costs",
        "estimates",
        "latencies",
        "loadable",
        "methods",
        "units",
        "widths",
        *BASE,
    },
    "pursuit": (LIBRARY - {"pruner", "pursuit"}) | BASE,
    "pruner": (LIBRARY - {"pruner"}) | BASE,
    "artifacts": BASE,
    "cluster": {"artifacts", *BASE},
    "spread": {"artifacts", "cluster", "estimates", "brief", "pruner", "survey", "sweep", *BASE},
    "sweep": {
        "cluster",
        "spread",
        "estimates",
        "evaluation",
        "explorer",
        "models",
        "pruner",
        "pursuit",
        "survey",
        *BASE,
    },
    "bench": {
        "allotment",
        "shapes",
        "checkpoint",
        "evaluation",
        "models",
        "pruner",
        "resources",
        "sequential",
        "solver",
        "stopwatch",
        "team",
        "together",
        "widths",
        *BASE,
    },
    "diagnosis": set(),
    "doctor": {"catalogue", "diagnosis", *BASE},
    "sample": {"catalogue", "showcase", *BASE},
    "notation": set(),
    "difference": {"records"},
    "savings": {"records", "errors"},
    "verdict": {"checks", "records", "savings"},
    "phrases": {"difference", "notation", "savings", "verdict", *BASE},
    "report": {"checks", "difference", "notation", "phrases", "savings", "verdict", *BASE},
    "checks": {"adapters", "datasets", "evaluation", "models", "networks", "showcase", *BASE},
    "tracing": {"models"},
    "export": {
        "datasets",
        "evaluation",
        "loadable",
        "models",
        "networks",
        "notation",
        "tracing",
        *BASE,
    },
    "monitoring": {"datasets", "evaluation", "models", "notation", "tracing", *BASE},
    "demo": {
        "brief",
        "catalogue",
        "datasets",
        "evaluation",
        "explorer",
        "latencies",
        "models",
        "pruner",
        "sample",
        "showcase",
        "survey",
        *BASE,
    },
    "figures": {"checks", *BASE},
    "studio": LIBRARY
    | DECISION
    | {
        "artifacts",
        "checks",
        "cluster",
        "diagnosis",
        "export",
        "figures",
        "monitoring",
        "sample",
        "sweep",
    }
    | BASE,
    "cli": LIBRARY
    | DECISION
    | {
        "checks",
        "cluster",
        "sweep",
        "diagnosis",
        "doctor",
        "bench",
        "export",
        "monitoring",
        "studio",
    }
    | BASE,
    "__main__": {"cli"},
}
# Answers to what-if questions need numbers only; the app gives them in its own process.
LIGHT = (
    *(
        "brief",
        "budget",
        "costs",
        "estimates",
        "explorer",
        "goals",
        "latencies",
        "loadable",
        "widths",
        "machines",
        "placement",
        "resources",
        "shapes",
    ),
    *sorted(DECISION),
)
HEAVY = {
    *("torch", "torchvision", "transformers", "accelerate", "datasets", "gguf"),
    *("onnx", "onnxruntime", "onnxscript"),
}
PAGE_PARTS = {"studio", "figures", "records", "errors"}


@dataclass(frozen=True)
class Import:
    """One import: the dotted module, the line, and whether it runs at import time."""

    module: str
    line: int
    is_eager: bool


def _module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {_module_of(path): path for path in sorted((ROOT / CORE).rglob("*.py"))}
SCREENS = {
    _module_of(path): path
    for path in [*ROOT.glob("app.py"), *sorted((ROOT / "pages").glob("*.py"))]
}


def _is_type_checking(node: ast.If) -> bool:
    return ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def _imports(tree: ast.AST, *, eager: bool = True) -> Iterator[Import]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and _is_type_checking(node):
            for other in node.orelse:
                yield from _imports(other, eager=eager)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, eager)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield Import(full if full in SOURCES else base, node.lineno, eager)
        else:
            is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports(node, eager=eager and not is_function)


def _read(path: Path) -> tuple[Import, ...]:
    return tuple(_imports(ast.parse(path.read_text(encoding="utf8"), str(path))))


IMPORTS = {module: _read(path) for module, path in {**SOURCES, **SCREENS}.items()}


def _part(module: str) -> str:
    pieces = module.split(".")
    return pieces[1] if len(pieces) > 1 else CORE


def _top(module: str) -> str:
    return module.partition(".")[0]


def _closure(start: str, *, eager_only: bool) -> dict[str, tuple[str, ...]]:
    """Return all modules that ``start`` imports, with the chain that leads to each.

    Importing ``a.b.c`` also runs ``a`` and ``a.b``.
    """
    chains: dict[str, tuple[str, ...]] = {start: (start,)}
    queue = [start]
    while queue:
        module = queue.pop()
        for found in IMPORTS.get(module, ()):
            if eager_only and not found.is_eager:
                continue
            pieces = found.module.split(".")
            for length in range(1, len(pieces) + 1):
                name = ".".join(pieces[:length])
                if name not in chains:
                    chains[name] = (*chains[module], name)
                    queue.append(name)
    return chains


def _core_edges(module: str) -> Iterator[Import]:
    return (found for found in IMPORTS[module] if _top(found.module) == CORE)


def test_every_part_has_its_rule() -> None:
    parts = {_part(module) for module in SOURCES} - {CORE}
    assert parts <= set(ALLOWED), f"add a rule for {sorted(parts - set(ALLOWED))}"


@pytest.mark.parametrize("module", sorted(SOURCES))
def test_imports_follow_the_design(module: str) -> None:
    part = _part(module)
    allowed = {part, *ALLOWED.get(part, set())}
    wrong = [
        f"{module}:{found.line} imports {found.module}"
        for found in _core_edges(module)
        if part != CORE and _part(found.module) not in {*allowed, CORE}
    ]
    assert wrong == []


@pytest.mark.parametrize("module", sorted(SOURCES))
def test_package_root_lends_only_its_version(module: str) -> None:
    """Its lazy names would be a hidden way around the rules above."""
    tree = ast.parse(SOURCES[module].read_text(encoding="utf8"))
    lent = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == CORE
        for alias in node.names
        if f"{CORE}.{alias.name}" not in SOURCES
    }
    assert lent <= {"__version__"}


# What may use the store as it is; pages use it as the person at them may.
STORE_USERS = {
    *("desk", "dispatcher", "identity", "jobs", "serve", "worker"),
    # What keeps the store as a whole, for whoever runs the server.
    *("backup", "checkup", "health", "retention"),
}
# What hands out or changes somebody's own, and by whom it is called.
GUARDED = re.compile(
    r"\b(owndata\.(keep|remove|mine|find)|takehome\.pack_\w+|pack_(model|kit|export))\("
)


@pytest.mark.parametrize("module", sorted({**SOURCES, **SCREENS}))
def test_pages_reach_the_store_through_the_desk_only(module: str) -> None:
    """Who may do what is decided in one place; nothing goes around it."""
    path = {**SOURCES, **SCREENS}[module]
    is_page = module in SCREENS or module.startswith(f"{CORE}.studio.")
    if not is_page or module.rpartition(".")[2] in STORE_USERS | {"owndata", "takehome"}:
        return
    text = path.read_text(encoding="utf8")
    assert "RunStore" not in text
    assert GUARDED.findall(text) == []


def test_families_do_not_know_each_other() -> None:
    families = [m for m in SOURCES if m.startswith(f"{CORE}.adapters.") and not m.endswith(".base")]
    assert len(families) >= 3
    for module in families:
        others = {f.module for f in _core_edges(module) if _part(f.module) == "adapters"}
        assert others <= {f"{CORE}.adapters.base"}, module


def test_calibration_and_surgery_know_no_family() -> None:
    for module in (f"{CORE}.calibration", f"{CORE}.moments", f"{CORE}.surgery"):
        named = {found.module for found in _core_edges(module) if _part(found.module) == "adapters"}
        assert named <= {f"{CORE}.adapters.base"}
    solver = {f.module for f in _core_edges(f"{CORE}.calibration") if _part(f.module) == "solver"}
    assert solver <= {f"{CORE}.solver.problem"}


def test_no_cycles_between_modules() -> None:
    """Checked on the imports that run at import time, package ``__init__`` files left out.

    Importing a submodule always runs its package first, which no rule here can change.
    """
    graph = {
        module: {f.module for f in _core_edges(module) if f.is_eager and f.module in SOURCES}
        for module in SOURCES
    }
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for other in graph[module] - {CORE, module}:
                visit(other, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("library", ["alembic", "streamlit", "sqlalchemy"])
def test_the_libraries_of_the_app_stay_in_it(library: str) -> None:
    users = {m for m in IMPORTS if any(_top(f.module) == library for f in IMPORTS[m])}
    assert users, f"the app uses {library} somewhere"
    stray = {m for m in users if m not in SCREENS and not m.startswith(f"{CORE}.studio")}
    assert stray == set()


def test_solver_is_linear_algebra_only() -> None:
    used: set[str] = set()
    for module, path in SOURCES.items():
        if _part(module) == "solver":
            tree = ast.parse(path.read_text(encoding="utf8"))
            for node in ast.walk(tree):
                if isinstance(node, ast.Import):
                    used |= {alias.name for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    used |= {f"{node.module}.{alias.name}" for alias in node.names}
                elif isinstance(node, ast.Attribute):
                    used.add(ast.unparse(node))
    assert any(name.startswith("torch") for name in used)
    assert {name for name in used if name == "torch.nn" or name.startswith("torch.nn.")} == set()
    assert {_top(name) for name in used} & (HEAVY - {"torch"}) == set()


def test_what_a_kit_carries_needs_torch_only() -> None:
    found = {_top(one.module) for one in IMPORTS[f"{CORE}.monitoring.kit.monitor"]}
    assert found - set(sys.stdlib_module_names) == {"torch", "tokenizers"}  # the latter is optional


def test_what_reads_an_export_back_needs_onnxruntime_and_numpy_only() -> None:
    for program in ("replay", "race"):
        found = {_top(one.module) for one in IMPORTS[f"{CORE}.export.{program}"]}
        assert found - set(sys.stdlib_module_names) == {"numpy", "onnxruntime"}


@pytest.mark.parametrize("screen", sorted(SCREENS))
def test_screens_import_the_public_face_only(screen: str) -> None:
    parts = {_part(found.module) for found in _core_edges(screen)}
    assert parts <= {CORE, *PAGE_PARTS}


@pytest.mark.parametrize(
    "module",
    sorted(
        {*SCREENS}
        | {
            m
            for m in SOURCES
            if m.startswith(f"{CORE}.studio") and not m.startswith(f"{CORE}.studio.worker")
        }
    ),
)
def test_app_process_never_reaches_torch(module: str) -> None:
    """Not even through an import inside a function: the model work is the worker's."""
    chains = _closure(module, eager_only=False)
    reached = [" -> ".join(chain) for name, chain in chains.items() if name in HEAVY]
    assert reached == []


@pytest.mark.parametrize("part", LIGHT)
def test_answers_need_no_torch(part: str) -> None:
    chains = _closure(f"{CORE}.{part}", eager_only=False)
    assert [" -> ".join(chain) for name, chain in chains.items() if name in HEAVY] == []


@pytest.mark.parametrize("module", [CORE, f"{CORE}.__main__", f"{CORE}.cli", f"{CORE}.catalogue"])
def test_light_modules_start_light(module: str) -> None:
    chains = _closure(module, eager_only=True)
    slow = HEAVY | {
        "numpy",
        "pandas",
        "pyarrow",
        "plotly",
        "sqlalchemy",
        "streamlit",
        "tqdm",
        "alembic",
    }
    reached = [" -> ".join(chain) for name, chain in chains.items() if name in slow]
    assert reached == []


def test_app_has_at_least_two_screens() -> None:
    assert "app" in SCREENS
    assert len(SCREENS) >= 2


@pytest.mark.parametrize("screen", sorted(SCREENS))
def test_every_screen_calls_frame_first(screen: str) -> None:
    """A deep link runs a page without ``app.py``, so each has to set up the frame itself."""
    tree = ast.parse(SCREENS[screen].read_text(encoding="utf8"))
    harmless = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    statements = [
        node
        for node in tree.body
        if not isinstance(node, harmless)
        and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        and not (isinstance(node, ast.If) and _is_type_checking(node))
    ]
    first = statements[0]
    value = getattr(first, "value", None)
    assert isinstance(first, ast.Expr | ast.Assign)
    assert isinstance(value, ast.Call)
    assert ast.unparse(value.func).rpartition(".")[2] == "frame"


def _modules_after(code: str) -> set[str]:
    script = f"import json, sys\n{code}\nsys.stderr.write(json.dumps(sorted(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True
    )
    return {_top(name) for name in json.loads(result.stderr)}


@pytest.mark.parametrize(
    "code",
    [
        "import osscar_core; osscar_core.PruneSpec; osscar_core.OsscarError",
        "from osscar_core.cli import main; assert main(['models', '--json']) == 0",
    ],
)
def test_light_paths_import_nothing_heavy(code: str) -> None:
    loaded = _modules_after(code)
    assert CORE in loaded
    assert loaded & (HEAVY | {"numpy", "pandas", "sqlalchemy", "streamlit"}) == set()
