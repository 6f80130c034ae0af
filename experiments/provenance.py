"""The origin of results: versions, commit, machine, and a fingerprint of the code that makes the numbers."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# The numbers may depend on these; the rest draws and stores.
COMPUTING = ("numpy", "scipy", "numba", "cvxpy", "clarabel")
STORING = ("pandas", "pyarrow", "matplotlib", "scikit-learn", "joblib", "threadpoolctl", "rich", "jinja2")


def version(package: str) -> str:
    """The installed version of a package."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def versions(packages: tuple[str, ...] = COMPUTING + STORING) -> dict[str, str]:
    """Installed versions by package."""
    return {package: version(package) for package in packages}


@functools.cache
def code_fingerprint(*more: str) -> str:
    """A hash of the sources of dadapt_convex and problems, and of more files: other code may give other numbers."""
    digest = hashlib.sha256()
    paths = [path for package in ("dadapt_convex", "problems") for path in sorted((ROOT / package).rglob("*.py"))]
    for path in paths + [ROOT / name for name in more]:
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def environment() -> dict[str, str]:
    """The versions that a results directory must share throughout, beside the code."""
    return {"dadapt-convex": version("dadapt-convex"), "python": platform.python_version(), **versions(COMPUTING)}


def commit() -> dict[str, Any]:
    """The commit of the working copy, and whether files differ from it; empty outside one."""
    if not (ROOT / ".git").exists():  # installed elsewhere: a repository around it is not this project's
        return {}
    try:
        head = _git("rev-parse", "HEAD")
        return {"commit": head, "modified": bool(_git("status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return {}


def _git(*arguments: str) -> str:
    result = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=10, check=True)
    return result.stdout.strip()


def machine() -> dict[str, Any]:
    """Processor, cores and memory; no names."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_model(),
        "cores": available_cores(),
        "memory_gb": _memory_gb(),
    }


def available_cores() -> int:
    """The cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (OSError, ValueError):
        return None
