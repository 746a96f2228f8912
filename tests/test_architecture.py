"""Who may name whom: the arrows, the doors and the homes of libraries, read from the imports themselves.

Standard ``ast`` only. Every import counts: inside functions, under ``TYPE_CHECKING``, and relative ones.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import casebase

PACKAGE = Path(casebase.__file__).parent
ROOMS = frozenset({"networks", "indexer", "storage", "explain", "evaluate"})
WIRING, API, CLI, WEB, CORE = "wiring", "api", "cli", "web", "core"

# part -> the other parts it may name as deep as it likes
MAY: Mapping[str, frozenset[str]] = {
    CORE: frozenset(),
    "indexer": frozenset({CORE}),
    "storage": frozenset({CORE}),
    "networks": frozenset({CORE}),
    "explain": frozenset({CORE, "networks"}),
    "evaluate": frozenset({CORE, "networks", "explain"}),
    WIRING: frozenset({CORE}) | ROOMS,
    API: frozenset({CORE, WIRING}),
    CLI: frozenset({CORE, WIRING, API}),
    WEB: frozenset({CORE, WIRING, API}),
}
# these may also use what a room's __init__ exports, and nothing deeper
AT_THE_FRONT = frozenset({API, CLI, WEB})
# (module, part): each an import inside a function, or for types only
DOORS = frozenset({("casebase", API), ("casebase.__main__", CLI), ("casebase.cli.serve_cmd", WEB)})

EVERYWHERE = frozenset({"numpy", "PIL"})
HOMES: Mapping[str, frozenset[str]] = {
    "torch": frozenset({"networks", "explain", "evaluate"}),
    "torchvision": frozenset({"networks"}),
    "open_clip": frozenset({"networks"}),
    "timm": frozenset({"networks"}),
    "threadpoolctl": frozenset({"networks"}),  # BLAS threads while the linear head is fitted
    "onnxruntime": frozenset({"networks"}),
    "openvino": frozenset({"networks"}),
    "safetensors": frozenset({"networks"}),
    "diffusers": frozenset({"networks"}),
    "huggingface_hub": frozenset({"networks"}),  # timm's and open_clip's own downloader: told when to stay offline
    "sklearn": frozenset({"networks", "evaluate"}),
    "chromadb": frozenset({"storage"}),
    "sqlalchemy": frozenset({"storage"}),
    "alembic": frozenset({"storage"}),
    "filelock": frozenset({"storage"}),
    "torchcam": frozenset({"explain"}),
    "captum": frozenset({"explain"}),
    "shap": frozenset({"explain"}),
    "lime": frozenset({"explain"}),
    "skimage": frozenset({"explain"}),  # scikit-image comes with lime: the superpixels that LIME hides
    "umap": frozenset({"explain"}),
    "jinja2": frozenset({"explain"}),
    "markupsafe": frozenset({"explain"}),  # comes with jinja2: the type of text that is already escaped
    "scipy": frozenset({"evaluate"}),
    "matplotlib": frozenset({"evaluate"}),
    "imagehash": frozenset({"evaluate"}),
    "typer": frozenset({CLI}),
    "rich": frozenset({CLI}),
}
# (module, function, library): where a library may be named away from home, and why
AWAY: Mapping[tuple[str, str, str], str] = {
    ("casebase.wiring.machine", "environment", "torch"): "`doctor` tells whether torch and torchvision fit together",
    ("casebase.wiring.machine", "environment", "torchvision"): "the same",
}
BY_STRING = frozenset({"casebase.networks.backbones"})  # a user's own module:factory
HEAVY = (
    "torch", "torchvision", "torchcam", "chromadb", "sklearn", "timm", "open_clip", "diffusers", "scipy", "matplotlib",
    "captum", "shap", "lime", "skimage", "umap",
)  # fmt: skip


@dataclass(frozen=True)
class Import:
    """One imported name: ``target`` is the module it comes from, ``name`` what is taken from it (None: the module)."""

    module: str
    line: int
    target: str
    name: str | None
    function: str | None
    typing_only: bool


@dataclass
class Tree:
    """Every module below a package folder: its imports, and what its ``__all__`` says."""

    root: Path
    files: dict[str, Path] = field(default_factory=dict)
    imports: list[Import] = field(default_factory=list)
    exports: dict[str, set[str]] = field(default_factory=dict)
    bound: dict[str, set[str]] = field(default_factory=dict)
    by_string: list[tuple[str, int]] = field(default_factory=list)

    @classmethod
    def read(cls, root: Path) -> Tree:
        tree = cls(root)
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root.parent).with_suffix("").parts
            tree.files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
        parses = {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in tree.files.items()}
        for module, parsed in parses.items():
            tree.exports[module] = _exported(parsed)
            tree.bound[module] = _bound(parsed)
        for module, parsed in parses.items():
            path = tree.files[module]
            _Walker(tree, module, is_package=path.name == "__init__.py").visit(parsed)
        return tree


def _exported(parsed: ast.Module) -> set[str]:
    for node in parsed.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            return set(ast.literal_eval(node.value))
    return set()


def _bound(parsed: ast.Module) -> set[str]:
    """Names a package binds to what it took out of its modules, such as the function ``stats`` of ``stats.py``."""
    taken = [node for node in parsed.body if isinstance(node, ast.ImportFrom) and "." in (node.module or "")]
    return {alias.asname or alias.name for node in taken for alias in node.names}


class _Walker(ast.NodeVisitor):
    def __init__(self, tree: Tree, module: str, *, is_package: bool) -> None:
        self.tree, self.module, self.is_package = tree, module, is_package
        self.functions: list[str] = []
        self.typing_only = False

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.functions.append(node.name)
        self.generic_visit(node)
        self.functions.pop()

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def visit_If(self, node: ast.If) -> None:
        before = self.typing_only
        test = node.test
        name = test.id if isinstance(test, ast.Name) else test.attr if isinstance(test, ast.Attribute) else ""
        self.typing_only = before or name == "TYPE_CHECKING"
        for child in node.body:
            self.visit(child)
        self.typing_only = before
        for child in node.orelse:
            self.visit(child)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(node.lineno, alias.name, None)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = node.module or ""
        if node.level:
            above = self.module.split(".")
            above = above[: len(above) - node.level + self.is_package]
            base = ".".join([*above, *([base] if base else [])])
        for alias in node.names:
            whole = f"{base}.{alias.name}"
            hidden = alias.name in self.tree.bound.get(base, ())
            if whole in self.tree.files and not hidden:  # a module of ours, named through its package
                self._add(node.lineno, whole, None)
            else:
                self._add(node.lineno, base, alias.name)

    def visit_Call(self, node: ast.Call) -> None:
        called = node.func
        name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
        if name in ("import_module", "__import__", "run_module", "run_path"):
            self.tree.by_string.append((self.module, node.lineno))
        self.generic_visit(node)

    def _add(self, line: int, target: str, name: str | None) -> None:
        function = self.functions[0] if self.functions else None
        self.tree.imports.append(Import(self.module, line, target, name, function, self.typing_only))


def part_of(module: str) -> str:
    """The part a module of ours belongs to."""
    below = module.split(".")[1:2]
    return below[0] if below and below[0] in {*ROOMS, WIRING, API, CLI, WEB} else CORE


def faults(tree: Tree) -> Iterator[str]:
    """Every import that the two tables do not allow, in words."""
    package = tree.root.name
    for one in tree.imports:
        where = f"{one.module}, line {one.line}"
        top = one.target.split(".")[0]
        if top == package:
            said = _arrow(tree, one)
        elif top in sys.stdlib_module_names or top in EVERYWHERE or (one.module, one.function, top) in AWAY:
            said = None
        elif top not in HOMES:
            said = f"{top!r} has no home"
        else:
            part = part_of(one.module)
            said = None if part in HOMES[top] else f"{part} may not name {top!r}"
        if said is not None:
            yield f"{where}: {said}"
    for module, line in tree.by_string:
        if module not in BY_STRING:
            yield f"{module}, line {line}: an import by string"


def _arrow(tree: Tree, one: Import) -> str | None:
    here, there = part_of(one.module), part_of(one.target)
    if here == there or there in MAY[here]:
        return None
    if (one.module, there) in DOORS:
        inside = one.function is not None or one.typing_only
        return None if inside else f"the door to {there} must be inside a function"
    if here in AT_THE_FRONT and there in ROOMS:
        if one.target != f"{tree.root.name}.{there}" or one.name is None:
            return f"{here} reaches into {one.target}; only what casebase.{there} exports is public"
        return None if one.name in tree.exports[one.target] else f"{one.target} does not export {one.name!r}"
    return f"{here} may not name {there}"


OURS = Tree.read(PACKAGE)


def test_every_import_follows_the_arrows_and_every_library_is_at_home() -> None:
    assert not list(faults(OURS))


def test_no_file_was_overlooked() -> None:
    found = {Path(folder) / name for folder, _, names in os.walk(PACKAGE) for name in names if name.endswith(".py")}
    assert set(OURS.files.values()) == found
    rooms = {part_of(module) for module in OURS.files}
    assert {"networks", "indexer", "storage", "explain", CLI, WIRING, API, CORE} <= rooms
    assert len(OURS.imports) > 500


def test_every_exception_is_still_needed() -> None:
    """An exception nobody uses is a hole nobody sees."""
    seen = {(one.module, one.function, one.target.split(".")[0]) for one in OURS.imports}
    assert set(AWAY) <= seen
    doors = {(one.module, part_of(one.target)) for one in OURS.imports if one.target.startswith("casebase")}
    later = {("casebase.cli.serve_cmd", WEB)}
    assert doors >= DOORS - later


GOOD = {
    "__init__.py": "def open():\n    from casebase.api import Base\n",
    "cases.py": "import numpy\n",
    "api.py": "from casebase.storage import verify\nfrom casebase import wiring\n",
    "wiring.py": "from casebase.storage.chroma import build\n",
    "storage/__init__.py": "from casebase.storage.chroma import build\nverify = build\n__all__ = ['verify']\n",
    "storage/chroma.py": "def build():\n    import chromadb\n",
    "networks/__init__.py": "",
    "networks/heads.py": "import torch\nfrom .. import cases\n",
    "explain/__init__.py": "",
    "indexer/__init__.py": "",
    "cli/__init__.py": "",
}


def _sample(folder: Path, name: str, text: str) -> Tree:
    root = folder / "casebase"
    for path, content in {**GOOD, name: text}.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content, encoding="utf-8")
    return Tree.read(root)


def test_a_good_sample_passes(tmp_path: Path) -> None:
    assert not list(faults(_sample(tmp_path, "clock.py", "import time\n")))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("cases.py", "from casebase.storage import verify", "core may not name storage"),
        ("cases.py", "from .storage import chroma", "core may not name storage"),
        ("cases.py", "def f():\n    import casebase.networks.heads", "core may not name networks"),
        ("cases.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from casebase import api", "name api"),
        ("cases.py", "import torch", "core may not name 'torch'"),
        ("cases.py", "import scipy.stats", "core may not name 'scipy'"),
        ("cases.py", "import casebase_helpers", "'casebase_helpers' has no home"),
        ("cases.py", "import indexer", "'indexer' has no home"),
        ("cases.py", "import importlib\nimportlib.import_module('torch')", "an import by string"),
        ("cases.py", "__import__('torch')", "an import by string"),
        ("storage/rows.py", "from casebase.networks import heads", "storage may not name networks"),
        ("storage/rows.py", "from ..networks.heads import x", "storage may not name networks"),
        ("storage/rows.py", "import torch", "storage may not name 'torch'"),
        ("networks/heads.py", "import chromadb", "networks may not name 'chromadb'"),
        ("networks/heads.py", "from casebase.explain import x", "networks may not name explain"),
        ("networks/heads.py", "from casebase import wiring", "networks may not name wiring"),
        ("explain/saliency/cams.py", "from casebase.storage import verify", "explain may not name storage"),
        ("indexer/service.py", "async def f():\n    import torch", "indexer may not name 'torch'"),
        ("wiring.py", "from casebase.api import Base", "wiring may not name api"),
        ("wiring.py", "def other():\n    import torch", "wiring may not name 'torch'"),
        ("api.py", "from casebase.storage.chroma import build", "api reaches into casebase.storage.chroma"),
        ("api.py", "from casebase.storage import chroma", "api reaches into casebase.storage.chroma"),
        ("api.py", "import casebase.storage", "api reaches into casebase.storage"),
        ("api.py", "from casebase.storage import secret", "does not export 'secret'"),
        ("api.py", "from casebase.cli import main", "api may not name cli"),
        ("cli/main.py", "from casebase.networks.heads import x", "cli reaches into casebase.networks.heads"),
        ("cli/main.py", "import jinja2", "cli may not name 'jinja2'"),
        ("cli/main.py", "from casebase.web import app", "cli may not name web"),
        ("__init__.py", "from casebase.api import Base", "must be inside a function"),
        ("__main__.py", "from casebase.cli.main import run", "must be inside a function"),
    ],
)
def test_a_bad_sample_is_caught(tmp_path: Path, name: str, text: str, said: str) -> None:
    tree = _sample(tmp_path, name, text + "\n")
    if "web" in text:  # a room that does not exist yet
        tree = _sample(tmp_path, "web/__init__.py", "")
    found = list(faults(tree))
    assert len(found) == 1
    assert said in found[0]


@pytest.mark.parametrize(
    "code",
    [
        "import casebase",
        "import casebase.api",
        "import casebase.networks, casebase.indexer, casebase.storage, casebase.explain",
        "from casebase.cli.main import invoke; assert invoke(['--help']) == 0",
        "from casebase.cli.main import invoke; assert invoke(['index', '--help']) == 0",
    ],
)
def test_no_heavy_library_is_loaded_before_it_is_needed(code: str) -> None:
    said = "import sys; print('loaded:', sorted(set(sys.modules) & set(sys.argv[1:])))"
    command = [sys.executable, "-c", f"{code}; {said}", *HEAVY]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PACKAGE.parent, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded: []"


def test_help_loads_neither_the_database_nor_the_templates() -> None:
    said = "import sys; print([name for name in ('sqlalchemy', 'jinja2', 'casebase.api') if name in sys.modules])"
    code = f"from casebase.cli.main import invoke; invoke(['--help']); {said}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"
