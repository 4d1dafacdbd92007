"""The formats that other programs read: a network traced once, and written as ONNX, OpenVINO or torch.export."""

import copy
import io
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from cyclegan.codecs import Pictures
from cyclegan.translation.exported import PRODUCER, load_onnx, load_openvino
from cyclegan.translation.sealed import Description, into_xml, needed, onnx_entry

SUFFIXES = {"onnx": (".onnx",), "pt2": (".pt2",), "openvino": (".bin", ".xml")}  # the last stands for all
AXES = {0: "batch", 2: "height", 3: "width"}
Blobs = tuple[bytes, ...]  # a file each
Compute = Callable[[Tensor], Tensor]


class Levels(nn.Module):
    """A network between levels of 0 to 255, with the very numbers of its codec."""

    def __init__(self, network: nn.Module, *, codec: Pictures) -> None:
        super().__init__()
        self.network, self.codec = network, codec

    def forward(self, frames: Tensor) -> Tensor:
        """Translate uint8 (N, C, H, W) to the same."""
        return self.codec.decode(self.network(self.codec.encode(frames)))


def written(network: nn.Module, *, format: str, codec: Pictures, about: Description) -> tuple[Blobs, Compute]:
    """Return the files of a format, in the order of SUFFIXES, and what computes with exactly these, on the CPU.

    Raises UsageError where a package is not installed.
    """
    return {"onnx": _onnx, "pt2": _pt2, "openvino": _openvino}[format](network, codec, about)


def _pt2(network: nn.Module, codec: Pictures, about: Description) -> tuple[Blobs, Compute]:
    file = io.BytesIO()  # a zip, which has a checksum for each part: the description's digest is of itself alone
    torch.export.save(_traced(network, codec, about), file, extra_files={"styl": about.sealed()})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given buffer is not writable")  # torch 2.11, of itself
        read = torch.export.load(io.BytesIO(file.getvalue())).module()
    return (file.getvalue(),), lambda values: read(values)


def _onnx(network: nn.Module, codec: Pictures, about: Description) -> tuple[Blobs, Compute]:
    with needed("onnx"):
        import onnx  # noqa: F401 - all before the work begins; torch asks for onnxscript
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    blob = _model(network, codec, about)
    blob += onnx_entry(about.sealed(blob))
    return (blob,), load_onnx(blob, device="cpu")[0].compute


def _openvino(network: nn.Module, codec: Pictures, about: Description) -> tuple[Blobs, Compute]:
    with needed("openvino"):
        import onnxscript  # noqa: F401
        import openvino
    # Through ONNX, as OpenVINO's own converter of torch programs can report its use over the network.
    made = openvino.Core().read_model(_model(network, codec, about))
    made.set_rt_info("", "styl")
    with tempfile.TemporaryDirectory() as folder:
        xml, weights = Path(folder, "model.xml"), Path(folder, "model.bin")
        openvino.serialize(made, str(xml), str(weights))
        content, values = xml.read_bytes(), weights.read_bytes()
    content = into_xml(content, about.sealed(content + values))
    return (values, content), load_openvino(content, values, device="cpu")[0].compute


def _model(network: nn.Module, codec: Pictures, about: Description) -> bytes:
    """Return a network as ONNX in one piece, without the names of this machine's files."""
    program = _traced(network, codec, about)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)  # torch 2.11, of itself
        made: Any = torch.onnx.export(
            program, dynamo=True, input_names=["input"], output_names=["output"], verbose=False
        )
    model = made.model_proto  # made anew whenever it is asked for
    graph = model.graph
    model.producer_name = PRODUCER
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
    del graph.value_info[:]
    for end in (*graph.input, *graph.output):
        for place, name in AXES.items():
            end.type.tensor_type.shape.dim[place].dim_param = name
    blob: bytes = model.SerializeToString()
    return blob


def _traced(network: nn.Module, codec: Pictures, about: Description) -> ExportedProgram:
    """Trace a network with number, height and width free, and without a word about this machine."""
    plain = _plain(network)
    multiple, least = about.multiple, -(-about.smallest // about.multiple)
    free = {0: Dim("batch"), 2: multiple * Dim("rows", min=least), 3: multiple * Dim("columns", min=least)}
    # Two pictures and sides that differ: what is 1, or equal, would be taken for a constant.
    sample = torch.zeros(2, about.channels, multiple * (least + 1), multiple * (least + 2))
    traced, sample = (Levels(plain, codec=codec), sample.to(torch.uint8)) if about.uint8 else (plain, sample)
    program = torch.export.export(traced, (sample,), dynamic_shapes=(free,))
    program.example_inputs = None  # would be saved, and is larger than many a network
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    return program


def _plain(network: nn.Module) -> nn.Module:
    """Return a copy whose instance norms are torch's own: ours choose a kernel by device, which a file must not."""
    plain = copy.deepcopy(network)
    for name, layer in list(plain.named_modules()):
        if isinstance(layer, nn.InstanceNorm2d):
            norm = nn.InstanceNorm2d(layer.num_features, eps=layer.eps, affine=layer.affine)
            norm.load_state_dict(layer.state_dict())
            plain.set_submodule(name, norm.eval().requires_grad_(False))
    return plain
