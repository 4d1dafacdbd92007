"""styl import: other people's weights become ours."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from cyclegan.cli.edge import result
from cyclegan.errors import UsageError, shown
from cyclegan.experiment import two_names
from cyclegan.media.folder import not_there

File = Annotated[Path, Argument(help="A generator of pytorch-CycleGAN-and-pix2pix, CUT or GAN Compression (.pth).")]
Domains = Annotated[tuple[str, str], Option(help="What it translates from and to, as in: --domains horse zebra")]
Output = Annotated[Path | None, Option("-o", "--output", help="The weights file.  [default: FROM2TO.safetensors]")]
Json = Annotated[bool, Option("--json", help="Print a summary for programs.")]


def bring(file: File, domains: Domains, output: Output = None, as_json: Json = False) -> int:
    """Convert another project's checkpoint to safe, self-describing weights. Nothing in it is executed."""
    two_names(domains)
    target = output or Path(f"{domains[0]}2{domains[1]}.safetensors")
    if target.suffix != ".safetensors":
        raise UsageError(
            f"{shown(target)}: weights are .safetensors files", hint="for example -o horse2zebra.safetensors"
        )
    if not file.is_file():
        raise not_there(file)
    if target.exists() and target.samefile(file):
        raise UsageError(f"{shown(target)}: would overwrite the input", hint="choose another -o")

    from cyclegan.catalog import adopt

    adopted = adopt(file, domains=domains)
    adopted.save(target)
    network = adopted.about["networks"]["G"]
    parameters = sum(t.numel() for t in adopted.tensors.values())
    line = f"{shown(target)}: {network['name']}, {parameters:,} parameters, {domains[0]} to {domains[1]}"
    summary = {"weights": str(target), "network": network, "parameters": parameters, "domains": list(domains)}
    result(line, summary=summary, as_json=as_json)
    return 0
