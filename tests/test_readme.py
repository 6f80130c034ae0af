"""The examples of the README and of docs/ run as written, and the files they name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = {path: re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL) for path in PAGES}
# The claims that a page itself refutes: where the first one fails.
REFUTED = {"README.md": ["first at k = 2"], "verdicts.md": ["first at k = 26"]}


@pytest.mark.parametrize("page", [path for path in PAGES if EXAMPLES[path]], ids=lambda path: path.name)
def test_the_examples_run_one_after_the_other(page, capsys):
    names: dict[str, object] = {}
    for number, block in enumerate(EXAMPLES[page]):
        exec(compile(block, f"{page.name}, example {number + 1}", "exec"), names)
    printed = capsys.readouterr().out
    violated = [line for line in printed.splitlines() if "VIOLATED" in line]
    expected = REFUTED.get(page.name, [])
    assert len(violated) == len(expected), violated
    for line, where in zip(violated, expected, strict=True):
        assert line.endswith(where), line
        assert where in " ".join(page.read_text(encoding="utf-8").split())
    if page == README:
        assert "VERIFIED" in printed
        assert re.search(r"last_iterate .* TIGHT", printed)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_the_files_and_pictures_it_names_exist(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text):
        assert (page.parent / target).is_file(), target
    for target in re.findall(r"`([\w./]+\.(?:md|cff|py))`", text):
        assert (ROOT / target).exists(), target
    for folder in re.findall(r"`((?:dadapt_convex|problems|experiments|docs|tests)/[\w/]*/)`", text):
        assert (ROOT / folder).is_dir(), folder


def test_every_declared_dependency_has_a_reason():
    declared = re.findall(r'^    "([a-z0-9-]+)>=', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    table = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    runtime = declared[: declared.index("pytest")]
    assert runtime
    for package in runtime:
        assert re.search(rf"\b{re.escape(package)}\b", table), package
