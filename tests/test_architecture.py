"""The house keeps its shape: imports only go down, doors to third parties are few, rooms stay small."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "cyclegan"
MODULES = sorted(PACKAGE.rglob("*.py"))
TOOLS = sorted((ROOT / "tools").rglob("*.py"))

# A room may import rooms that stand further down, and itself. Rooms of one floor do not know each other, but for the
# neighbours named below.
FLOORS = [
    {"__main__"},
    {"cli"},
    {"demo", "reporting", "bench"},
    {"training", "translation"},
    {"metrics", "curation"},
    {"catalog"},
    {"checkpoint"},
    {"foreign", "objectives", "codecs"},
    {"layouts"},
    {"networks", "media"},
    {"experiment", "devices"},
    {"recipes"},
    {"tables", "files", "reading", "locks", "hangup", "errors", "chance", "thresholds"},
]
NEIGHBOURS = {("tables", "errors"), ("files", "errors"), ("locks", "errors")}

DOORS = {  # third parties, and the rooms that may talk to them
    "PIL": {"media", "demo"},
    "safetensors": {"checkpoint", "foreign"},
    "typer": {"cli"},
    "rich": {"cli"},
    "jinja2": {"reporting"},
    "kornia": {"objectives"},
    "albumentations": {"training"},
    "cv2": {"training", "translation"},
    "av": {"media"},
    "psutil": {"translation"},
    "pyworld": {"codecs"},
    "scipy": {"codecs"},
    "onnx": {"translation"},
    "onnxscript": {"translation"},
    "onnxruntime": {"translation"},
    "openvino": {"translation"},
    "torchvision": {"training", "metrics"},
    "pickle": set(),
    "dill": set(),
    "cloudpickle": set(),
    "marshal": set(),
    "shelve": set(),
    "joblib": set(),
    "yaml": set(),
    "requests": set(),
    "urllib": {"metrics"},
    "http": {"metrics"},
}
STANDARD_ONLY = {"experiment", "recipes", "tables", "files", "reading", "locks", "hangup"}
STANDARD_ONLY |= {"errors", "chance", "thresholds"}
NO_TORCH = STANDARD_ONLY | {"media", "cli", "reporting"}
NO_FILES = {"networks", "objectives"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load"}
FORBIDDEN_METHODS = {"extractall", "unpack_archive"}


@functools.cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), filename=str(path))


def room(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


@functools.cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(parse(path)))


def imported(path: Path) -> Iterator[str]:
    """Yield the full dotted name of everything a file imports, at the top or inside a function."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path.name}: relative imports hide where they go"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_imported(path: Path) -> set[str]:
    parts = (name.split(".") for name in imported(path))
    return {p[1] for p in parts if p[0] == "cyclegan" and len(p) > 1}


def parties_imported(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(path)}


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in nodes(path) if isinstance(node, ast.Call))


def floor(name: str) -> int:
    found = [number for number, names in enumerate(FLOORS) if name in names]
    assert found, f"{name}: a room without a floor; give it one in FLOORS"
    return found[0]


def each(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=lambda p: p.relative_to(ROOT).as_posix())


def test_there_is_something_to_look_at() -> None:
    assert len(MODULES) > 40
    assert {room(path) for path in MODULES} >= {"cli", "training", "media", "networks", "checkpoint"}


@each([path for path in MODULES if path != PACKAGE / "__init__.py"])
def test_imports_only_go_down(path: Path) -> None:
    here = room(path)
    for there in rooms_imported(path) - {here, "__version__"}:
        down = floor(there) > floor(here) or (here, there) in NEIGHBOURS
        assert down, f"{here} imports {there}, which does not stand below it"


def test_the_cli_enters_the_training_by_its_front_door_only() -> None:
    allowed = ("cyclegan.training.run", "cyclegan.training.summary", "cyclegan.training.student")
    allowed += ("cyclegan.training.inspection",)
    for path in (PACKAGE / "cli").glob("*.py"):
        for name in imported(path):
            if name.startswith("cyclegan.training"):
                assert name.startswith(allowed), f"{path.name} imports {name}"


@each(MODULES)
def test_third_parties_have_their_doors(path: Path) -> None:
    for party in parties_imported(path) & DOORS.keys():
        assert room(path) in DOORS[party], f"{party} belongs in {sorted(DOORS[party])}"


def test_one_file_talks_to_the_network() -> None:
    talking = {path.name for path in MODULES if parties_imported(path) & {"urllib", "http"}}
    assert talking == {"download.py"}


@each([path for path in MODULES if room(path) in NO_TORCH])
def test_rooms_without_torch(path: Path) -> None:
    assert not {p for p in parties_imported(path) if p.startswith("torch") or p in ("kornia", "safetensors")}


@each([path for path in MODULES if room(path) in STANDARD_ONLY])
def test_rooms_of_the_standard_library(path: Path) -> None:
    import sys

    assert parties_imported(path) <= sys.stdlib_module_names | {"cyclegan"}


@each([path for path in MODULES if room(path) in NO_FILES])
def test_networks_and_objectives_know_neither_files_nor_output(path: Path) -> None:
    assert not parties_imported(path) & {"os", "pathlib", "io", "shutil", "json", "tempfile", "sys", "logging"}
    assert not rooms_imported(path) & {"files", "media", "checkpoint", "training"}
    called = {dotted(call.func) for call in calls(path)}
    assert not called & {"open", "print", "torch.save", "torch.load"}


@each([path for path in MODULES if room(path) == "objectives"])
def test_objectives_know_neither_devices_nor_optimisers(path: Path) -> None:
    names = {node.attr for node in nodes(path) if isinstance(node, ast.Attribute)}
    assert not names & {"optim", "cuda", "item", "tolist", "numpy", "backward", "zero_grad"}


def test_the_trainer_opens_no_file() -> None:
    trainer = PACKAGE / "training" / "trainer.py"
    assert not parties_imported(trainer) & {"os", "pathlib", "io", "json", "shutil"}
    assert "open" not in {dotted(call.func).rsplit(".", 1)[-1] for call in calls(trainer)}


@each(MODULES)
def test_only_main_prints_or_the_cli(path: Path) -> None:
    if room(path) != "cli":
        assert "print" not in {dotted(call.func) for call in calls(path)}


@each(MODULES)
def test_the_package_needs_no_tools_and_no_tests(path: Path) -> None:
    assert not parties_imported(path) & {"tools", "tests", "pytest", "hypothesis"}


@each(MODULES + TOOLS)
def test_nothing_that_runs_code_from_data(path: Path) -> None:
    for call in calls(path):
        name = dotted(call.func)
        assert name not in FORBIDDEN_CALLS, f"line {call.lineno}: {name}"
        assert name.rsplit(".", 1)[-1] not in FORBIDDEN_METHODS, f"line {call.lineno}: {name}"
        given = {k.arg: k.value.value for k in call.keywords if isinstance(k.value, ast.Constant)}
        assert given.get("shell") is not True, f"line {call.lineno}: a shell"
        assert given.get("weights_only") is not False, f"line {call.lineno}: a pickle that may run code"
        assert given.get("allow_pickle") is not True, f"line {call.lineno}: a pickle that may run code"
        if name == "torch.load":
            assert path == PACKAGE / "foreign.py", f"line {call.lineno}: pickles pass through foreign.py only"
            assert given.get("weights_only") is True, f"line {call.lineno}: said aloud, not by default"
    assert not parties_imported(path) & {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}


@each(MODULES)
def test_rooms_stay_small(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 300
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            lines = node.end_lineno - node.lineno + 1
            assert lines <= 40, f"{node.name}: {lines} lines"


@each(MODULES)
def test_names_say_what_is_inside(path: Path) -> None:
    assert not {path.stem, path.parent.name} & {"util", "utils", "misc", "helpers", "common", "base", "manager"}


@each(MODULES)
def test_errors_are_not_swallowed(path: Path) -> None:
    for node in nodes(path):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno}: except without a kind"
            wide = dotted(node.type) in ("Exception", "BaseException")
            silent = all(isinstance(s, ast.Pass | ast.Continue) for s in node.body)
            assert not (wide and silent), f"line {node.lineno}: a silent except"
