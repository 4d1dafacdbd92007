"""The front door: what it shows, that it is explained and typed, and that opening it costs nothing."""

import importlib
import inspect
import json
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest

import cyclegan

PUBLIC = ["Checkpoint", "Experiment", "Objective", "StylError", "Trainer", "Translator", "Turn", "VoiceTranslator"]
PUBLIC += ["train"]
HEAVY = ["torch", "torchvision", "kornia", "albumentations", "cv2"]


def modules() -> list[str]:
    found = [m.name for m in pkgutil.walk_packages(cyclegan.__path__, "cyclegan.")]
    return [name for name in found if not name.endswith("__main__")]


def public(module: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a module defines itself under a name without an underscore: functions, classes and their methods."""
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(value):
            yield name, value
        elif inspect.isclass(value):
            yield name, value
            for inner, method in vars(value).items():
                method = getattr(method, "__func__", method)
                method = method.fget if isinstance(method, property) else method
                if not inner.startswith("_") and inspect.isfunction(method):
                    yield f"{name}.{inner}", method


def test_exactly_these_names_are_exported() -> None:
    assert cyclegan.__all__ == PUBLIC
    assert set(PUBLIC) <= set(dir(cyclegan))
    assert re.fullmatch(r"\d+\.\d+\.\d+", cyclegan.__version__)


@pytest.mark.parametrize("name", PUBLIC)
def test_each_export_is_there_and_explained(name: str) -> None:
    value = getattr(cyclegan, name)
    assert value.__name__ == name
    assert value.__module__.startswith("cyclegan.")
    assert inspect.getdoc(value)


def test_a_name_that_is_not_exported_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Translater'"):
        _ = cyclegan.Translater


@pytest.mark.parametrize("name", modules())
def test_everything_public_is_explained_and_typed(name: str) -> None:
    module = importlib.import_module(name)
    assert (inspect.getdoc(module) or "").strip(), f"{name} has no docstring"
    for label, value in public(module):
        if not _protocol(module, label):
            doc = value.__doc__ or ""
            assert doc.strip(), f"{name}.{label} has no docstring"
            assert not doc.startswith(f"{label}("), f"{name}.{label} has only the docstring Python made"
        if inspect.isfunction(value):
            signature = inspect.signature(value)
            assert signature.return_annotation is not inspect.Signature.empty, f"{name}.{label}: what does it return?"
            bare = [p.name for p in signature.parameters.values() if p.annotation is p.empty and p.name not in SELF]
            assert not bare, f"{name}.{label}: {bare} not annotated"


SELF = ("self", "cls")


def _protocol(module: Any, label: str) -> bool:
    """Whether this is a method of a protocol: the class says what it is for."""
    return "." in label and getattr(getattr(module, label.split(".")[0]), "_is_protocol", False)


@pytest.mark.parametrize("name", modules())
def test_booleans_are_named_where_they_are_passed(name: str) -> None:
    if name.startswith("cyclegan.cli."):
        return  # Typer hands its options over by name
    for label, value in public(importlib.import_module(name)):
        if inspect.isfunction(value):
            for parameter in inspect.signature(value).parameters.values():
                positional = parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
                assert not (positional and parameter.annotation in (bool, "bool")), f"{name}.{label}: {parameter}"


@pytest.mark.parametrize("statement", ["import cyclegan", "import cyclegan.cli", "from cyclegan import Experiment"])
def test_the_door_opens_without_the_heavy_libraries(statement: str) -> None:
    program = f"{statement}\nimport sys, json\nprint(json.dumps([m for m in {HEAVY} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout) == []


def test_types_are_marked_for_others() -> None:
    assert (resources.files("cyclegan") / "py.typed").is_file()
