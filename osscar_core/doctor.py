"""Is this installation fit for work?

The decision hidden here: what can be wrong with a machine, how to find out, and the
remedy for each. A check never raises; what it finds is its result.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

from osscar_core.catalogue import hub_cache_folder
from osscar_core.diagnosis import NO_DISK, Check, Diagnosis, Status
from osscar_core.storage import free_bytes, workspace

_OLDEST_PYTHON = (3, 11)
_GIB = 2**30
_LITTLE_DISK = 5 * _GIB
_LITTLE_MEMORY = 4 * _GIB
_FEW_FILES = 1024
_INSTALL = "Run: pip install -r requirements.txt"


def diagnose(folder: Path | None = None) -> Diagnosis:
    """Check Python, packages, devices, memory, disk and the offline settings.

    Args:
        folder: Workspace to check; ``None`` for the usual one. It is not created.

    Returns:
        One result per check; nothing is raised for what is found.
    """
    return Diagnosis(
        (
            _python(),
            *_packages(requirement_lines()),
            _torch(),
            _vision(),
            *_devices(),
            _threads(),
            _limits(),
            _memory(),
            _workspace(folder or workspace()),
            _hub(),
        )
    )


def requirement_lines() -> tuple[str, ...]:
    """Return the requirements of this release, from the checkout or the installed package."""
    file = Path(__file__).resolve().parent.parent / "requirements.txt"
    if file.is_file():
        lines = [line.partition("#")[0].strip() for line in file.read_text("utf8").splitlines()]
        return tuple(line for line in lines if line)
    try:
        return tuple(importlib.metadata.requires("osscar-studio") or ())
    except importlib.metadata.PackageNotFoundError:
        return ()


def _python() -> Check:
    found = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info < _OLDEST_PYTHON:
        return Check("python", Status.FAIL, found, "Use Python 3.11 or newer")
    return Check("python", Status.OK, found)


def _packages(lines: tuple[str, ...]) -> Iterator[Check]:
    if not lines:
        yield Check("packages", Status.WARN, "the list of requirements was not found", _INSTALL)
    for line in lines:
        yield _package(line)


def _package(line: str) -> Check:
    name = re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Check(name, Status.FAIL, "not installed", _INSTALL)
    wanted = line.removeprefix(name).strip()
    try:
        from packaging.requirements import Requirement
    except ImportError:
        return Check(name, Status.WARN, f"{version}, not compared with {wanted}", _INSTALL)
    if not Requirement(line).specifier.contains(version, prereleases=True):
        return Check(name, Status.FAIL, f"{version}, but {wanted} is needed", _INSTALL)
    return Check(name, Status.OK, version)


def _torch() -> Check:
    try:
        import torch
    except (ImportError, OSError) as error:
        return Check("torch starts", Status.FAIL, _first_line(error), "Reinstall torch")
    return Check("torch starts", Status.OK, f"{torch.__version__}")


def _vision() -> Check:
    """Run an operator compiled against torch: versions that do not match have none."""
    name = "torchvision matches torch"
    try:
        import torch
        from torchvision.ops import nms

        nms(torch.zeros((1, 4)), torch.zeros(1), 0.5)
        versions = f"{importlib.metadata.version('torchvision')} with {torch.__version__}"
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        remedy = "Install the pair: pip install torch torchvision -c constraints.txt"
        return Check(name, Status.FAIL, _first_line(error), remedy)
    return Check(name, Status.OK, versions)


def _devices() -> Iterator[Check]:
    try:
        import torch
    except (ImportError, OSError):
        return
    if not torch.cuda.is_available():
        yield _no_gpu()
        return
    for index in range(torch.cuda.device_count()):
        yield _gpu(index)


def _gpu(index: int) -> Check:
    import torch

    name = f"cuda:{index}"
    try:
        free, total = torch.cuda.mem_get_info(index)
        found = f"{torch.cuda.get_device_name(index)}, {_gib(free)} of {_gib(total)} free"
    except RuntimeError as error:
        return Check(name, Status.FAIL, _first_line(error), "Check the driver with nvidia-smi")
    if free < total // 2:
        return Check(name, Status.WARN, found, "Other programs hold its memory; see nvidia-smi")
    return Check(name, Status.OK, found)


def _no_gpu() -> Check:
    if not Path("/proc/driver/nvidia/version").exists():
        return Check("gpu", Status.OK, "none; the CPU does the work")
    import torch

    found = "an NVIDIA driver is there, but torch sees no CUDA device"
    if torch.version.cuda is None:
        remedy = "This torch computes on CPUs only: pip install torch torchvision from PyPI"
        return Check("gpu", Status.WARN, found, remedy)
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        found = f"{found}: {_first_line(error)}"
        if "driver" in str(error).lower() and "too old" in str(error).lower():
            remedy = (
                f"Update the driver to one for CUDA {torch.version.cuda}, or install an older torch"
            )
            return Check("gpu", Status.WARN, found, remedy)
    return Check("gpu", Status.WARN, found, "Check nvidia-smi and CUDA_VISIBLE_DEVICES")


def _threads() -> Check:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    limit = os.environ.get("OMP_NUM_THREADS")
    found = f"{usable} cores usable" + (f", OMP_NUM_THREADS={limit}" if limit else "")
    if limit == "1" and (usable or 1) > 1:
        return Check(
            "threads", Status.WARN, found, "Unset OMP_NUM_THREADS to use all cores outside tests"
        )
    if limit and limit.isdecimal() and int(limit) > (usable or 1):
        remedy = "Set OMP_NUM_THREADS to the cores or less: threads that take turns cost time"
        return Check("threads", Status.WARN, found, remedy)
    return Check("threads", Status.OK, found)


def _limits() -> Check:
    """Look at what a process may have: files, memory, and how long a file may get."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files != resource.RLIM_INFINITY and files < _FEW_FILES:
        remedy = f"Run: ulimit -n {4 * _FEW_FILES}, or set LimitNOFILE of the service"
        return Check("limits", Status.WARN, f"{files} open files a process", remedy)
    for kind, what in ((resource.RLIMIT_AS, "memory"), (resource.RLIMIT_FSIZE, "a file")):
        most, _ = resource.getrlimit(kind)
        if most != resource.RLIM_INFINITY:
            remedy = "Lift it by ulimit or in the service: models take what their size says"
            return Check("limits", Status.WARN, f"{_gib(most)} at most for {what}", remedy)
    return Check("limits", Status.OK, "none that matters")


def _memory() -> Check:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return Check("memory", Status.OK, "unknown on this system")
    if total < _LITTLE_MEMORY:
        return Check("memory", Status.WARN, _gib(total), "Prune small models only")
    return Check("memory", Status.OK, _gib(total))


def _workspace(folder: Path) -> Check:
    remedy = "Set OSSCAR_HOME to a directory that can be written"
    try:
        free = free_bytes(folder)
    except OSError as error:
        return Check("workspace", Status.FAIL, f"{folder}: {error.strerror}", remedy)
    found = f"{folder}, {_gib(free)} free"
    if free < NO_DISK:
        return Check("workspace", Status.FAIL, found, "Free some disk space, or set OSSCAR_HOME")
    if free < _LITTLE_DISK:
        return Check("workspace", Status.WARN, found, "Large models need more disk space")
    return Check("workspace", Status.OK, found)


def _hub() -> Check:
    cache = hub_cache_folder()
    models = sum(1 for _ in cache.glob("models--*")) if cache.is_dir() else 0
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
    found = f"{'offline' if offline else 'online'}, {models} models cached in {cache}"
    if offline and not models:
        remedy = "Unset HF_HUB_OFFLINE to load models by their hub name, or use local files"
        return Check("model hub", Status.WARN, found, remedy)
    return Check("model hub", Status.OK, found)


def _gib(amount: int) -> str:
    return f"{amount / _GIB:.1f} GiB"


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
