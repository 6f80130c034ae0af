"""The README's examples run as written, and what it names exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_examples_run_one_after_the_other(capsys):
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(blocks) >= 4
    names: dict[str, object] = {}
    for number, block in enumerate(blocks):
        exec(compile(block, f"README block {number + 1}", "exec"), names)
    printed = capsys.readouterr().out
    assert "VERIFIED" in printed
    violated = [line for line in printed.splitlines() if "VIOLATED" in line]
    assert len(violated) == 1, violated  # the conjecture that the README itself refutes
    assert "first at k = 29" in violated[0]


def test_the_files_and_pictures_it_names_exist():
    for target in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README):
        assert (ROOT / target).is_file(), target
    for target in re.findall(r"`([\w./]+\.(?:md|cff|py))`", README):
        assert (ROOT / target).exists(), target
    for folder in re.findall(r"`((?:dadapt_convex|problems|experiments)/[\w/]*/)`", README):
        assert (ROOT / folder).is_dir(), folder


def test_every_declared_dependency_has_a_reason():
    declared = re.findall(r'^    "([a-z0-9-]+)>=', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    table = README.split("## Dependencies")[1].split("## ")[0]
    runtime = declared[: declared.index("pytest")]
    assert runtime
    for package in runtime:
        assert re.search(rf"\b{re.escape(package)}\b", table), package
