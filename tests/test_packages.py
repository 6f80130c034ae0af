"""The packages: who imports whom, what an import costs, and what the files say."""

from __future__ import annotations

import ast
import doctest
import functools
import graphlib
import importlib
import inspect
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import dadapt_convex as dc
import problems
from dadapt_convex import methods as methods_by_name

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("dadapt_convex", "problems", "experiments")
SOURCES = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
METHOD_FILES = [path for path in (ROOT / "dadapt_convex" / "methods").glob("*.py") if not path.stem.startswith("_")]
HEAVY = ("numba", "cvxpy", "scipy", "pandas", "sklearn", "matplotlib")
# What problems may use of dadapt_convex: the contract, and the formulas and instructions that kernels call.
CONTRACT = {"dadapt_convex.oracle", "dadapt_convex.vector", "dadapt_convex.lanes"}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(source: str, package: str) -> set[str]:
    """Every module that the source imports, by statement at any depth or by import_module("...")."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            found.add(package)
        elif isinstance(node, ast.ImportFrom):
            # `from dadapt_convex import oracle` may name a module or an attribute: the longer name decides
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            first = node.args[0]
            if isinstance(first, ast.JoinedStr):
                first = first.values[0]
            if isinstance(first, ast.Constant):
                found.add(str(first.value))
    return found


def wrong_arrows(source: str, package: str) -> list[str]:
    """The imports that go against experiments -> problems -> dadapt_convex.oracle."""

    def allowed(module: str) -> bool:
        target = module.split(".")[0]
        if package == "dadapt_convex":
            return target not in ("problems", "experiments")
        if package == "problems":
            contract = any(module == name or module.startswith(f"{name}.") for name in CONTRACT)
            return target != "experiments" and (target != "dadapt_convex" or contract)
        return True

    return sorted(module for module in imported(source, package) if not allowed(module))


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_imports_follow_the_arrows(path):
    assert wrong_arrows(path.read_text("utf-8"), path.relative_to(ROOT).parts[0]) == []


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("dadapt_convex", "import problems"),
        ("dadapt_convex", "def f():\n    from problems.problem import Optimum"),
        ("dadapt_convex", "import importlib\nimportlib.import_module('experiments.run')"),
        ("dadapt_convex", "from importlib import import_module\nimport_module(f'problems.{name}')"),
        ("problems", "import dadapt_convex as dc"),
        ("problems", "from dadapt_convex import solve"),
        ("problems", "from dadapt_convex.solve import solve"),
        ("problems", "from dadapt_convex.oracles import x"),
        ("problems", "from experiments import run"),
    ],
)
def test_an_import_against_an_arrow_is_noticed(package, source):
    assert wrong_arrows(source, package)


def circle(sources: Mapping[str, str]) -> list[str]:
    """Modules that import each other in a circle, the first one again at the end; imports inside functions count."""
    arrows = {}
    for module, source in sources.items():
        names = imported(source, module)
        # the longest name that is a file: the rest is an attribute
        files = {name if name in sources else name.rpartition(".")[0] for name in names}
        arrows[module] = files & sources.keys()
    try:
        graphlib.TopologicalSorter(arrows).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def module_name(path: Path) -> str:
    return relative(path).removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def test_no_files_import_each_other_in_a_circle():
    assert circle({module_name(path): path.read_text("utf-8") for path in SOURCES}) == []


def test_folders_of_certificates_are_layers():
    """Folders below problems/optimum, and files beside them, import each other in one order."""
    layers: dict[str, str] = {}
    for path in (path for path in SOURCES if "optimum" in path.parts):
        layer = ".".join(module_name(path).split(".")[:3])
        names = {".".join(name.split(".")[:3]) for name in imported(path.read_text("utf-8"), layer)} - {layer}
        layers[layer] = "\n".join([layers.get(layer, ""), *(f"import {name}" for name in sorted(names))])
    assert {"problems.optimum.arithmetic", "problems.optimum.smooth", "problems.optimum.certify"} <= layers.keys()
    assert circle(layers) == []


@pytest.mark.parametrize(
    "back", ["from p.a import x", "import p.a as a", "def f():\n    from p import a", "from p import c"]
)
def test_a_circle_of_files_is_noticed(back):
    sources = {"p": "", "p.a": "from p.b import y", "p.b": back, "p.c": "from p import a, d"}
    found = circle(sources)
    assert found[0] == found[-1]
    assert {"p.a", "p.b"} <= set(found)
    assert circle({**sources, "p.b": "from p import x\nimport p"}) == []


# Attributes of scipy's matrices, and functions, that tell how a matrix is stored or change it.
STORAGE = {"tocsr", "tocsc", "toarray", "todense", "issparse", "isspmatrix", "isspmatrix_csr"}


def asks_for_storage(source: str) -> bool:
    """Whether the source tells sparse matrices from dense ones, or makes one of the other."""
    fields = ("attr", "id", "name", "value")  # of attributes, variables, imports and texts
    return any({getattr(node, field, None) for field in fields} & STORAGE for node in ast.walk(ast.parse(source)))


def test_only_one_file_knows_how_matrices_are_stored():
    found = [relative(path) for path in SOURCES if asks_for_storage(path.read_text("utf-8"))]
    assert found == ["problems/matrix.py"]


@pytest.mark.parametrize(
    "source",
    [
        "hasattr(A, 'tocsr')",
        "A.toarray()",
        "from scipy.sparse import issparse",
        "scipy.sparse.issparse(A)",
        "A.T.tocsc()",
    ],
)
def test_a_question_for_storage_is_noticed(source):
    assert asks_for_storage(source)
    assert not asks_for_storage("from problems.matrix import dense, is_sparse\ndense(A) if is_sparse(A) else A")


@pytest.mark.parametrize(
    "statement",
    [
        "import dadapt_convex",
        "import problems",
        "import dadapt_convex as dc; [dc.get_method(name) for name in dc.methods()]",
        "import problems; problems.names()",
        "import problems; problems.get('hard:abs'), problems.get('hard:drori_teboulle')",
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(statement):
    code = f"import sys; {statement}; print(*(set({HEAVY}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_look_for_heavy_imports_finds_one():
    code = f"import sys; import scipy; print(*(set({HEAVY}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["scipy"]


@pytest.mark.parametrize("path", METHOD_FILES, ids=lambda path: path.stem)
def test_a_file_in_methods_defines_the_method_of_its_name(path):
    method = importlib.import_module(f"dadapt_convex.methods.{path.stem}").METHOD
    assert isinstance(method, dc.Method)
    assert method.name == path.stem
    assert method.reference
    assert method.summary


def test_methods_lists_the_files_and_nothing_else():
    assert methods_by_name() == sorted(path.stem for path in METHOD_FILES)


# ---------------------------------------------------------------------------------------------------------
# What a user's package manager, type checker and help() find

OPTIONAL = {"torch", "dadaptation"}  # imported where a user has them


@functools.cache
def distributions() -> Mapping[str, list[str]]:
    """The distributions that provide each module here."""
    return packages_distributions()


def undeclared(sources: dict[str, str], declared: set[str]) -> set[str]:
    """The distributions, or modules of none, that the sources import and that are not declared; by their package."""
    modules = {m.split(".")[0] for package, source in sources.items() for m in imported(source, package)}
    modules -= {*sys.stdlib_module_names, *PACKAGES, *OPTIONAL}
    providers = distributions()
    return {m for m in modules if not {name.lower().replace("_", "-") for name in providers.get(m, [m])} & declared}


def declared_dependencies() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [
        text for extra, texts in project.get("optional-dependencies", {}).items() if extra != "test" for text in texts
    ]
    return {re.split(r"[^\w-]", text)[0].lower() for text in [*project["dependencies"], *extras]}


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_what_is_imported_is_declared(path):
    package = path.relative_to(ROOT).parts[0]
    assert undeclared({package: path.read_text("utf-8")}, declared_dependencies()) == set()


@pytest.mark.parametrize("statement", ["import idna", "from yaml import load", "def f():\n    import pytest.mark as m"])
def test_an_import_that_is_not_declared_is_noticed(statement):
    assert undeclared({"problems": statement}, declared_dependencies())


@pytest.mark.parametrize("package", PACKAGES)
def test_type_checkers_are_told_that_a_package_has_types(package):
    assert (ROOT / package / "py.typed").is_file()


CONSTRUCTORS = [
    function for name in problems.__all__ if inspect.isfunction(function := getattr(problems, name)) and name != "names"
]


@pytest.mark.parametrize("function", CONSTRUCTORS, ids=lambda function: function.__name__)
def test_the_help_of_a_constructor_is_complete_by_itself(function):
    text = inspect.getdoc(function)
    parameters = list(inspect.signature(function).parameters)
    described = [name for names in re.findall(r"^([\w, ]+) : ", text, re.MULTILINE) for name in names.split(", ")]
    assert described[: len(parameters)] == parameters
    for section in ("Parameters", "Raises", "Examples"):
        assert f"{section}\n{'-' * len(section)}\n" in text
    assert not re.search(r"\bsee\b", text, re.IGNORECASE)


@pytest.mark.parametrize("function", CONSTRUCTORS, ids=lambda function: function.__name__)
def test_the_examples_of_a_constructor_are_right(function):
    [example] = doctest.DocTestFinder(recurse=False).find(function, globs={})
    assert doctest.DocTestRunner().run(example) == (0, len(example.examples))
    assert example.examples


# ---------------------------------------------------------------------------------------------------------
# What the repository holds is the same on every machine

ABSOLUTE = re.compile(r"(?<![\w./:])/(?:root|home|Users|work|tmp|mnt|opt|private|srv)/|[A-Z]:\\Users")
INDEX_HOST = re.compile(r"(?:pypi|pythonhosted|anaconda|npmjs|crates)\.(?:org|com|io)")


def tracked_texts() -> list[Path]:
    git = shutil.which("git")
    if git is None:
        pytest.skip("git is absent")
    listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("the tests are not run from a git repository")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("pattern", [ABSOLUTE, INDEX_HOST], ids=["absolute path", "host of a package index"])
def test_no_tracked_file_names_one_machine(pattern):
    found = []
    for path in tracked_texts():
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:  # an image
            continue
        found.extend(f"{relative(path)}: {match[0]}" for match in pattern.finditer(text))
    assert found == []


def test_the_patterns_find_what_they_look_for():
    assert ABSOLUTE.search("open('/" + "home/someone/data')")
    assert INDEX_HOST.search("https://files.python" + "hosted.org/packages")
    assert not ABSOLUTE.search("https://example.com/" + "home/page and results/" + "tmp/x")


# ---------------------------------------------------------------------------------------------------------
# Tests speak of behaviour

TESTS = sorted((ROOT / "tests").glob("*.py"))
PRIVATE = re.compile(r"_[A-Za-z]\w*")
PRIVATE_PATH = re.compile(rf"(?:{'|'.join(PACKAGES)})(?:\.\w+)*\.(_[A-Za-z]\w*)")
PUBLIC = {"_fields", "_replace", "_asdict", "_make"}  # of named tuples


def private_names(source: str) -> set[str]:
    """Private names of the packages that a test imports, reads from a module or value of theirs, or patches."""
    tree, ours, found = ast.parse(source), set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None) or ""
            for alias in node.names:
                path = f"{module}.{alias.name}".strip(".").split(".")
                if path[0] in PACKAGES:
                    ours.add((alias.asname or alias.name).split(".")[0])
                    found.update(filter(PRIVATE.fullmatch, path))
        elif isinstance(node, ast.Assign) and "import_module(" in ast.unparse(node.value):
            ours.update(target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and (m := PRIVATE_PATH.match(node.value)):
            found.add(m[1])
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and PRIVATE.fullmatch(node.attr):
            inner: ast.AST = node.value
            while isinstance(inner, ast.Attribute | ast.Call | ast.Subscript):
                inner = inner.func if isinstance(inner, ast.Call) else inner.value
            if isinstance(inner, ast.Name) and inner.id in ours:
                found.add(node.attr)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("setattr", "getattr", "delattr")):
            of, name = [*map(ast.unparse, node.args), "", ""][:2]
            text = name.strip("'\"")
            if of.split(".")[0] in ours and PRIVATE.fullmatch(text):
                found.add(text)
    return found - PUBLIC


def edited_source(source: str) -> list[int]:
    """The lines of functions that run source text with a piece of it replaced."""

    def called(node: ast.AST) -> set[str]:
        return {ast.unparse(n.func).split(".")[-1] for n in ast.walk(node) if isinstance(n, ast.Call)}

    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    return [f.lineno for f in functions if called(f) & {"exec", "eval"} and called(f) & {"sub", "replace"}]


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_a_test_uses_no_private_name_and_edits_no_source(path):
    source = path.read_text("utf-8")
    assert private_names(source) == set()
    assert edited_source(source) == []


@pytest.mark.parametrize(
    "source",
    [
        "from dadapt_convex.method import _x",
        "from dadapt_convex.methods._x import y",
        "import dadapt_convex.methods._x",
        "import dadapt_convex as dc\ndc.method._x",
        "import problems\nproblems.get('a').model._x",
        "patch.setattr('dadapt_convex.method._x', {})",
        "m = import_module('problems.optimum')\nm._x",
        "from problems import optimum\npatch.setattr(optimum, '_x', 1)",
    ],
)
def test_a_private_name_in_a_test_is_noticed(source):
    assert private_names(source) == {"_x"}


def test_source_that_a_test_edits_is_noticed():
    assert edited_source("def f(s):\n    exec(compile(s.replace('a', 'b'), 'x', 'exec'))") == [1]
    assert edited_source("def f(s):\n    exec(compile(s, 'x', 'exec'))") == []
