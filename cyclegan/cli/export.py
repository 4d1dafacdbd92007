"""styl export: a translator as a file for other programs."""

from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from cyclegan.cli.edge import result
from cyclegan.errors import UsageError, did_you_mean, shown

SUFFIXES = {"onnx": ".onnx", "pt2": ".pt2", "openvino": ".xml"}

Model = Annotated[str, Argument(help="A name, a weights file or a run folder.")]
Format = Annotated[
    str | None,
    Option("--format", help="One of onnx, pt2, openvino.  [default: what the output's name says, else onnx]"),
]
Output = Annotated[
    Path | None, Option("-o", "--output", help="The file; of OpenVINO the .xml.  [default: MODEL-to-DOMAIN.onnx]")
]
To = Annotated[str | None, Option(help="The domain to translate to.  [default: the weights' first way]")]
Levels = Annotated[bool, Option("--uint8", help="Take and give levels of 0 to 255 instead of numbers in [-1, 1].")]
Json = Annotated[bool, Option("--json", help="Print a summary for programs.")]


def export(
    model: Model,
    format_: Format = None,
    output: Output = None,
    to: To = None,
    uint8: Levels = False,
    as_json: Json = False,
) -> int:
    """Write one way of a translator for other programs: any number and size of pictures, compared with torch first."""
    format_ = _format(format_, output)

    from cyclegan.translation.export import export

    made = export(model, output, format=format_, to=to, uint8=uint8)
    result(_line(made), summary={"model": model, **made.encode()}, as_json=as_json)
    return 0


def _format(wanted: str | None, output: Path | None) -> str:
    """Return the format that is asked for by name, or by the name of the output."""
    if wanted is not None and wanted not in SUFFIXES:
        raise UsageError(f"--format {wanted}: there is no such format", hint=did_you_mean(wanted, SUFFIXES))
    if output is None:
        return wanted or "onnx"
    meant = {suffix: name for name, suffix in SUFFIXES.items()}.get(output.suffix)
    if meant is None or wanted not in (None, meant):
        asked = f"files of --format {wanted} end in {SUFFIXES[wanted]}" if wanted else ".onnx, .pt2 or .xml"
        raise UsageError(f"{shown(output)}: of another format", hint=asked)
    return meant


def _line(made: Any) -> str:
    files = ", ".join(map(shown, made.files))
    way = f"{made.source} to {made.target}, {made.size / 1e6:.1f} MB"
    return f"{files}: {way}; within {made.agreement} of torch on {len(made.agreement.shapes)} sizes"
