"""Memory that is used up: known in every library's words, told with the file's name, and the others go on."""

import errno
import json
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch
from films import Recipe, make
from PIL import Image
from test_batch import pictures
from test_cli import ROOT, Run, here, model, picture, styl, template  # noqa: F401 - fixtures
from test_translator import noise, shifting

from cyclegan.checkpoint import Checkpoint
from cyclegan.errors import InputError, OutOfMemory, StoppedEarly, memory_for, out_of_memory
from cyclegan.experiment import Experiment
from cyclegan.foreign import read_foreign
from cyclegan.media import container
from cyclegan.media.films.encoder import create_film_of_stills
from cyclegan.media.frames import Frame
from cyclegan.translation import batch
from cyclegan.translation.batch import translate_files
from cyclegan.translation.exported import Exported
from cyclegan.translation.settings import Settings

MEASURED: list[Exception] = [  # as the libraries say it; those of CUDA are from their sources and from reports
    MemoryError(),
    MemoryError("Unable to allocate 2.00 GiB for an array with shape (268435456,)"),
    cv2.error("OpenCV(5.0.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 108000000 bytes"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("unable to allocate shared memory(shm) for file </torch_1_2>: No space left on device (28)"),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    torch.AcceleratorError("CUDA error: out of memory"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)"),
    Exception("[ONNXRuntimeError] : 1 : FAIL : bfc_arena.cc:360 Failed to allocate memory for requested buffer"),
    Exception("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Failed to load model with error: std::bad_alloc"),
    RuntimeError("Exception from src/inference/src/cpp/core.cpp:84: Could not allocate memory at offset 42939"),
    RuntimeError("Cannot load library libopenvino.so: failed to map segment from shared object"),
    RuntimeError("can't start new thread"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    OSError("out of memory error when reading image file"),  # Pillow
    av.error.BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
    av.error.MemoryError(errno.ENOMEM, "Cannot allocate memory", "avcodec_open2(ffv1)"),
]
OTHERS: list[Exception] = [
    InputError("out of memory.png: cannot be decoded"),
    FileNotFoundError(errno.ENOENT, "No such file or directory", "bad_alloc.png"),
    OSError(errno.ENOSPC, "No space left on device"),
    RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"),
    cv2.error("OpenCV(5.0.0) resize.cpp:4152: error: (-215:Assertion failed) !ssize.empty()"),
    av.InvalidDataError(1094995529, "Invalid data found when processing input"),
    RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED"),
    torch.AcceleratorError("CUDA error: unspecified launch failure"),
    KeyError("allocated"),
]


def test_every_library_is_understood() -> None:
    assert [error for error in MEASURED if not out_of_memory(error)] == []
    assert [error for error in OTHERS if out_of_memory(error)] == []


REAL = """
import resource, sys
from fractions import Fraction
import av, cv2, numpy as np, torch
from PIL import Image
from pathlib import Path
from cyclegan.errors import out_of_memory
from cyclegan.media.films.encoder import Encoding, create_film_of_stills
from cyclegan.media.frames import Frame
from cyclegan.media.films.video import open_film
from cyclegan.media.image import read_picture
folder, said = Path(sys.argv[1]), []
grey, wide = np.zeros((6000, 6000), np.uint8), np.zeros((1152, 2048, 3), np.uint8)

def film(codec, suffix):
    path, encoding = folder / f"{codec}{suffix}", Encoding(codec=codec)
    with create_film_of_stills(path, width=2048, height=1152, rate=Fraction(24), encoding=encoding) as film:
        for place in range(40):
            film.write(Frame(wide, pts=place, duration=1))

def decode():
    with open_film(folder / "large.mkv") as film:
        held = [(frame, frame.pixels.repeat(9, 0)) for frame in film]
    raise AssertionError("it fits")

ATTEMPTS = {
    "numpy": (50, lambda: np.ones(1 << 28)),
    "torch": (50, lambda: torch.zeros(1 << 28)),
    "cv2": (50, lambda: cv2.merge([grey] * 3)),
    "Pillow": (50, lambda: Image.new("RGB", (20000, 20000))),
    "a PNG": (40, lambda: read_picture(folder / "large.png")),
    "x264": (250, lambda: film("h264", ".mp4")),
    "x264, at once": (30, lambda: film("h264", ".mkv")),
    "vp9": (60, lambda: film("vp9", ".webm")),
    "decoding": (90, decode),
}
torch.zeros(2), cv2.merge([grey[:9, :9]] * 3)
for name, (spare, attempt) in ATTEMPTS.items():
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + (spare << 20), resource.RLIM_INFINITY))
    try:
        attempt()
        said.append(f"{name}: fits")
    except Exception as error:
        if not out_of_memory(error):
            said.append(f"{name}: {type(error)} {error}")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(said, [p.name for p in folder.iterdir() if not p.name.startswith("large")])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="sets a limit that only Linux keeps")
def test_real_shortages_are_understood_and_leave_nothing(tmp_path: Path) -> None:
    Image.new("L", (9000, 9000)).save(tmp_path / "large.png", compress_level=1)
    with create_film_of_stills(tmp_path / "large.mkv", width=1920, height=1080, rate=Fraction(24)) as film:
        for place in range(8):
            film.write(Frame(np.zeros((1080, 1920, 3), np.uint8), pts=place, duration=1))
    command = [sys.executable, "-c", REAL, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout.strip() == "[] []", done.stdout + done.stderr


# --- one file of many


def failing_at(name: str, error: Exception, real: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that fails where one of its arguments is, or is made of, a file of this name."""

    def call(*given: Any, **named: Any) -> Any:
        if any(getattr(path, "name", "") == name for path in given):
            raise error
        return real(*given, **named)

    return call


@pytest.mark.parametrize("error", [MemoryError(), MEASURED[2], MEASURED[3]], ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("where", ["open_still", "save"])
def test_a_picture_that_is_too_much_is_named_and_the_others_are_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, where: str
) -> None:
    jobs = pictures(tmp_path / "in", 6)
    real = getattr(batch, where)
    monkeypatch.setattr(batch, where, failing_at("3.png", error, real))
    summary = translate_files(shifting(10), jobs, settings=Settings(batch=2))
    assert [path.name for path in summary.done] == ["0.png", "1.png", "2.png", "4.png", "5.png"]
    assert summary.failed == [(jobs[3].source, f"{jobs[3].source}: not enough memory")]
    assert summary.short_of_memory


def test_pictures_that_are_too_much_together_are_done_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, translator = pictures(tmp_path / "in", 12), shifting(10)
    Image.fromarray(noise(40, 40)).save(jobs[5].source)
    whole = translator.paint._whole

    def scarce(frames: Any) -> Any:
        if len(frames) > 1 or frames.shape[-1] == 40:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return whole(frames)

    monkeypatch.setattr(translator.paint, "_whole", scarce)
    summary = translate_files(translator, jobs, settings=Settings(batch=4))
    assert sorted(path.name for path in summary.done) == sorted(j.source.name for j in jobs if j != jobs[5])
    assert summary.failed == [(jobs[5].source, f"{jobs[5].source}: 40 × 40 pixels: not enough memory")]


def test_a_film_that_is_too_much_is_named_and_nothing_of_it_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = pictures(tmp_path / "in", 2)
    film = make(tmp_path / "in" / "a.mp4", Recipe())
    jobs = [type(jobs[0])(film, tmp_path / "out" / "a.mp4"), *jobs]
    monkeypatch.setattr(cv2, "remap", lambda *_, **__: (_ for _ in ()).throw(MEASURED[2]))
    summary = translate_files(shifting(3), jobs)
    assert [path.name for path in summary.done] == ["0.png", "1.png"]
    assert summary.failed == [(film, f"{film}: not enough memory")]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.png", "1.png"]


@pytest.mark.usefixtures("here")
def test_the_command_says_that_it_can_go_on(styl: Run, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(batch, "open_still", failing_at("1.png", MEASURED[2], batch.open_still))
    code, out, err = styl("translate", "horses", "-m", "model.safetensors", "-o", "out", "--json")
    assert code == 3
    assert [entry["path"] for entry in json.loads(out)["failed"]] == ["horses/1.png"]
    assert "failed: horses/1.png: not enough memory; close other programs" in err
    assert json.loads(Path("out/summary.json").read_text())["failed"] == json.loads(out)["failed"]
    monkeypatch.undo()


@pytest.mark.usefixtures("here")
def test_a_picture_that_is_too_much_to_measure_is_named(styl: Run, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    from cyclegan.translation import evaluate

    monkeypatch.setattr(evaluate, "read_rgb", failing_at("1.png", MEASURED[2], evaluate.read_rgb))
    code, _, err = styl("evaluate", "--source", "horses", "--target", "zebras")
    assert code == 3
    assert err.splitlines()[-2] == "error: horses/1.png: not enough memory"


# --- what had been taken for something else


def test_damaged_films_may_say_so_without_being_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = MEASURED[-1]
    container.raise_shortage(asked)  # there is enough: the file asks for what no machine has
    monkeypatch.setattr(container, "_starved", lambda: True)
    container.raise_shortage(OTHERS[5])
    with pytest.raises(MemoryError):
        container.raise_shortage(asked)


def refuse(error: Exception) -> Callable[..., Any]:
    def call(*_: Any, **__: Any) -> Any:
        raise error

    return call


def test_no_memory_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import safetensors.torch

    blob = Checkpoint({"kind": "state"}, {"a": torch.zeros(2)}).encode()
    torch.save({"a": torch.zeros(2)}, tmp_path / "a.pth")
    monkeypatch.setattr(safetensors.torch, "load", refuse(MEASURED[3]))
    with pytest.raises(RuntimeError, match="can't allocate"):
        Checkpoint.decode(blob)
    monkeypatch.setattr(torch, "load", refuse(MEASURED[3]))
    with pytest.raises(RuntimeError, match="can't allocate"):
        read_foreign(tmp_path / "a.pth")


@pytest.mark.parametrize("error", [MEASURED[11], MEASURED[12], MEASURED[13]], ids=["onnx", "onnx, loading", "openvino"])
def test_exported_models_without_memory_are_not_damaged(error: Exception) -> None:
    from cyclegan.translation.sealed import Description

    codec = {"name": "pictures", "channels": 3}
    about = Description("a", "b", codec, 3, None, multiple=4, smallest=4, uint8=False, images=None)
    with pytest.raises(MemoryError):
        Exported(refuse(error), about=about)(torch.zeros(1, 3, 8, 8))


def test_a_training_stops_for_memory_in_any_words() -> None:
    from cyclegan.training.run import explained

    class Still:
        images, device = 7, "cpu"

    stopped: Any = explained
    for error in MEASURED:
        with (
            pytest.raises(StoppedEarly, match="not enough memory for 64 pixels"),
            stopped(Still(), Experiment.load("tiny")),
        ):
            raise error


def test_what_is_named_once_is_not_named_twice() -> None:
    with pytest.raises(OutOfMemory) as caught, memory_for("a.png"):
        raise OutOfMemory("9 × 9 pixels: not enough memory", hint="smaller")
    assert (caught.value.what, caught.value.hint) == ("a.png: 9 × 9 pixels: not enough memory", "smaller")
    with pytest.raises(InputError, match=r"^out of memory\.png"), memory_for("a.png"):
        raise OTHERS[0]
