"""Exported models as networks: ONNX through ONNX Runtime, OpenVINO through its own; nothing in a file is executed."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cyclegan import codecs
from cyclegan.devices import choose_device
from cyclegan.errors import CheckpointError, UsageError, did_you_mean, out_of_memory, shown
from cyclegan.reading import read_file
from cyclegan.translation.route import Route
from cyclegan.translation.sealed import AGAIN, Description, needed, onnx_entry, out_of_xml

SUFFIXES = {".onnx", ".xml"}
LARGEST = 2 << 30  # bytes of a file: ONNX can be no larger
PRODUCER = "styl"
UNKNOWN = "source", "target"
CAREFUL = 32  # multiple and, twice, least size of models that do not say theirs: published translators need no more
OTHERS = "styl takes what turns (N, C, H, W) of any size, float32 or uint8, into the same"
Run = Callable[[Any], Any]  # an array of what the model takes to an array of what it gives


class Exported(nn.Module):
    """An exported model in the place of a network: pictures (N, C, H, W) in [-1, 1] of the sizes it says, and back.

    It takes pictures whole: its layers cannot be computed in tiles.
    """

    def __init__(self, run: Run, *, about: Description) -> None:
        super().__init__()
        self.about, self._run, self.codec = (
            about,
            run,
            codecs.of_pictures(codecs.build(about.codec), what="an exported model"),
        )
        self.multiple, self.smallest = about.multiple, about.smallest

    def forward(self, x: Tensor) -> Tensor:
        """Return float32 of the shape of x; raises MemoryError, or CheckpointError where the model fails."""
        if self.about.uint8:
            return self.codec.encode(self.compute(self.codec.decode(x))).to(x.device)
        return self.compute(x.float()).to(x.device)

    def compute(self, values: Tensor) -> Tensor:
        """Return what the model makes of exactly what it takes, on the CPU."""
        try:
            return torch.from_numpy(self._run(values.cpu().contiguous().numpy()))
        except Exception as error:  # the runtimes' own types, which have no parent in common
            reason = " ".join(str(error).split())[:200]
            if out_of_memory(error):
                raise MemoryError(reason) from None
            size = " × ".join(map(str, values.shape))
            raise CheckpointError(f"{self.about.target}: the model fails on {size}: {reason}", hint=AGAIN) from None


def open_exported(path: Path, *, to: str | None, device: str, tell: Callable[[str], None]) -> tuple[Route, str]:
    """Read and verify an exported model; return its way, and the device that it computes on.

    Other people's ONNX files are taken where they turn pictures (N, C, H, W) of any size, float32 in [-1, 1] or uint8,
    into the same; a line tells of it. Raises CheckpointError, and UsageError for another domain or for a device that
    the runtime does not have.
    """
    try:
        blob = read_file(path, most=LARGEST)
        load = load_openvino if path.suffix.lower() == ".xml" else load_onnx
        beside = read_file(path.with_suffix(".bin"), most=LARGEST) if load is load_openvino else b""
        network, device = load(blob, beside, device=device)
    except OSError as error:
        raise CheckpointError(f"{shown(error.filename)}: {error.strerror}", hint="check the path") from None
    except CheckpointError as error:
        raise CheckpointError(f"{shown(path)}: {error.what}", hint=error.hint) from None
    about = network.about
    if (about.source, about.target) == UNKNOWN:
        tell(f"note: {shown(path)} does not say what it takes: numbers in [-1, 1], sides multiples of {about.multiple}")
    if to not in (None, about.target):
        raise UsageError(f"--to {to}: this file goes one way", hint=did_you_mean(str(to), [about.target]))
    return Route(about.source, about.target, network, network.codec, about.trained_at), device


def load_onnx(blob: bytes, beside: bytes = b"", *, device: str) -> tuple[Exported, str]:
    """Verify an ONNX file and make it ready; raises CheckpointError and UsageError."""
    with needed("onnx"):
        import onnx
        import onnxruntime as ort
    assert not beside, "all of it is in one file"
    try:
        model = onnx.load_model_from_string(blob)
    except Exception as error:  # protobuf's own
        if out_of_memory(error):
            raise
        raise CheckpointError(f"not ONNX, or damaged: {error}", hint=AGAIN) from None
    if any(_stored_elsewhere(model)):
        raise CheckpointError("keeps its weights in other files, which are not read", hint="save it as a single file")
    described = _described_in(model, blob)
    device = _device(device, cuda="CUDAExecutionProvider" in ort.get_available_providers(), package="onnxruntime-gpu")
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    options.log_severity_level = 4
    providers: list[Any] = ["CPUExecutionProvider"]
    if device != "cpu":
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": int(device.partition(":")[2] or 0)}))
    try:
        session = ort.InferenceSession(blob, options, providers=providers)
    except Exception as error:  # the library's own
        if out_of_memory(error):
            raise
        raise CheckpointError(f"onnxruntime: {' '.join(str(error).split())[:200]}", hint=AGAIN) from None
    about = described or _guessed(session)
    name = session.get_inputs()[0].name
    return Exported(lambda values: session.run(None, {name: values})[0], about=about), device


def load_openvino(xml: bytes, weights: bytes, *, device: str) -> tuple[Exported, str]:
    """Verify OpenVINO's pair of files and make it ready, in full precision; raises CheckpointError and UsageError."""
    with needed("openvino"):
        import openvino
    text, content = out_of_xml(xml)
    if text is None:
        raise CheckpointError("not an OpenVINO model of styl's", hint="styl export MODEL --format openvino makes one")
    about = Description.unsealed(text, content + weights)
    device = _device(device, cuda=False, package="")
    core = openvino.Core()
    exact = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    try:
        compiled = core.compile_model(core.read_model(model=xml, weights=weights), "CPU", exact)
    except RuntimeError as error:
        if out_of_memory(error):
            raise
        raise CheckpointError(f"openvino: {' '.join(str(error).split())[:200]}", hint=AGAIN) from None
    return Exported(lambda values: compiled(values)[0], about=about), device


def _stored_elsewhere(message: Any) -> Iterator[bool]:
    """Tell of every tensor in an ONNX message, however deep, whether its values are in another file."""
    for field, value in message.ListFields():
        if field.name == "data_location":
            yield value == message.EXTERNAL
        elif field.message_type is not None:
            for inner in [value] if hasattr(value, "ListFields") else value:
                yield from _stored_elsewhere(inner)


def _described_in(model: Any, blob: bytes) -> Description | None:
    texts = [entry.value for entry in model.metadata_props if entry.key == "styl"]
    if texts:
        return Description.unsealed(texts[0], blob.replace(onnx_entry(texts[0]), b"", 1))
    if model.producer_name == PRODUCER:
        raise CheckpointError("damaged: its description is gone", hint=AGAIN)
    return None


def _guessed(session: Any) -> Description:
    """Describe another program's model by the shapes of its input and output."""
    ends = [*session.get_inputs(), *session.get_outputs()]
    types, shapes = {end.type for end in ends}, [end.shape for end in ends]
    known = len(ends) == 2 and len(types) == 1 and types <= {"tensor(float)", "tensor(uint8)"}
    if not known or any(len(shape) != 4 or not isinstance(shape[1], int) for shape in shapes):
        what = ", ".join(f"{end.name}: {end.type} {end.shape}" for end in ends)
        raise CheckpointError(f"not a translator of pictures: {what}", hint=OTHERS)
    if any(isinstance(side, int) for shape in shapes for side in (shape[0], *shape[2:])):
        raise CheckpointError(f"takes one size only, {shapes[0]}", hint=OTHERS)
    codec = {"name": "pictures", "channels": shapes[0][1]}
    sizes = {"channels": shapes[0][1], "multiple": CAREFUL, "smallest": 2 * CAREFUL}
    return Description(*UNKNOWN, codec, **sizes, trained_at=None, uint8=types == {"tensor(uint8)"}, images=None)


def _device(wanted: str, *, cuda: bool, package: str) -> str:
    """Return the device a runtime computes on: CUDA where it can, else the CPU; raises UsageError."""
    if wanted == "auto":
        return "cuda" if cuda and torch.cuda.is_available() else "cpu"
    device = choose_device(wanted)
    if device != "cpu" and not (cuda and device.startswith("cuda")):
        hint = f"pip install {package}, or --device cpu" if package and device != "mps" else "--device cpu"
        raise UsageError(f"--device {wanted}: this model's runtime cannot use it", hint=hint)
    return device
