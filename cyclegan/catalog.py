"""From a name to verified weights, and from weights to a network: a catalogue name, a weights file, a run folder."""

from pathlib import Path

import torch
from torch import nn

from cyclegan.checkpoint import Checkpoint, kind_of, said_of
from cyclegan.errors import CheckpointError, UsageError, did_you_mean, shown
from cyclegan.foreign import read_foreign
from cyclegan.networks import NETWORKS

RUNS = Path("runs")
EXPORTED = {
    ".onnx": "name the weights that it was made from",
    ".xml": "name the weights that it was made from",
    ".pt2": "it is for other programs: styl takes the weights it was made from, and .onnx",
}
LARGEST_OPTION = 4096  # no width, depth or count of ours comes near; a hostile file might


def shelf() -> dict[str, Path]:
    """Return the weights that come with the program, by name."""
    package = Path(__file__).parent
    folder = package / "weights" if (package / "weights").is_dir() else package.parent / "weights"  # wheel, checkout
    return {path.stem: path for path in sorted(folder.glob("*.safetensors"))}


def find(name: str | Path) -> Path:
    """Return the weights file that a name, a file or a run folder stands for.

    Of a run folder it is the best translators, by the KID of held-back pictures. Raises CheckpointError.
    """
    path = Path(name)
    if path.is_dir():
        return _of_run(path)
    if path.is_file():
        return path
    known = shelf()
    if str(name) in known:
        return known[str(name)]
    if path.suffix or len(path.parts) > 1:
        raise CheckpointError(f"{shown(path)}: no such file or run folder", hint="check the path, or name a run folder")
    names = [*known, *(str(run) for run in runs())]
    raise CheckpointError(f"{shown(path)}: no weights of that name", hint=did_you_mean(str(name), names))


def runs(root: Path = RUNS) -> list[Path]:
    """Return the run folders under `root` that have weights, the newest first."""
    files = sorted(root.glob("*/weights/*.safetensors"), key=lambda file: file.stat().st_mtime, reverse=True)
    return list(dict.fromkeys(file.parent.parent for file in files))


def newest_run(*, voices: bool = False) -> Path:
    """Return the run folder under runs/ whose translators, of pictures or of voices, were trained last.

    Raises CheckpointError without one.
    """
    found = [run for run in runs() if kind_of(_of_run(run)) != "sampler" and of_voices(run) == voices]
    if not found and voices:
        raise CheckpointError("no run of voices under runs/", hint="-m names weights; styl train makes some")
    if not found:
        raise CheckpointError(
            "no trained run under runs/", hint=f"-m names weights, for example -m {next(iter(shelf()), 'RUN')}"
        )
    return found[0]


def of_voices(name: str | Path) -> bool:
    """Tell whether weights say that they are for voices, and not for pictures; raises CheckpointError."""
    codec = said_of(find(name)).get("codec")
    return isinstance(codec, dict) and codec.get("name") == "voice"


def load_sampler(name: str | Path) -> Checkpoint:
    """Read and verify what draws pictures; raises CheckpointError."""
    return Checkpoint.load(find(name), kind="sampler")


def load(name: str | Path) -> Checkpoint:
    """Read and verify translators, ours or other people's; raises CheckpointError."""
    path = find(name)
    if path.suffix.lower() in EXPORTED:
        raise CheckpointError(f"{shown(path)}: an exported model, not weights", hint=EXPORTED[path.suffix.lower()])
    return Checkpoint.load(path, kind="translator") if path.suffix == ".safetensors" else adopt(path)


def adopt(path: Path, *, domains: tuple[str, str] = ("source", "target")) -> Checkpoint:
    """Read another project's generator as one of our translators, from the first domain to the second."""
    foreign = read_foreign(path)
    if foreign.network == "patchgan":
        raise CheckpointError(
            f"{shown(path)}: holds a critic, which translates nothing", hint="import the generator (G)"
        )
    about = {
        "kind": "translator",
        "domains": list(domains),
        "routes": [[*domains, "G"]],
        "networks": {"G": {"name": foreign.network, **foreign.options}},
        "codec": {"name": "pictures", "channels": foreign.options.get("channels_in", 3)},
        "images": None,
        "trained_at": 256,  # as all that these projects published
    }
    return Checkpoint(about, {f"G.{name}": tensor for name, tensor in foreign.state.items()})


def route(found: Checkpoint, to: str | None) -> tuple[str, str, str]:
    """Return source, target and network of the way to a domain (None: the first); raises UsageError."""
    routes = {target: (source, target, network) for source, target, network in found.about["routes"]}
    if to is None:
        return next(iter(routes.values()))
    if to not in routes:
        raise UsageError(f"--to {to}: these weights do not go there", hint=did_you_mean(to, routes))
    return routes[to]


def build(found: Checkpoint, name: str) -> nn.Module:
    """Build a saved network, first without memory; raises CheckpointError for tensors that are not exactly its own."""
    options = dict(found.about["networks"][name])
    kind = options.pop("name", None)
    if kind not in NETWORKS:
        raise CheckpointError(f"unknown network {kind!r}", hint=did_you_mean(str(kind), NETWORKS))
    if any(isinstance(v, int | float) and not 0 <= v <= LARGEST_OPTION for v in options.values()):
        raise CheckpointError(f"{kind} of an impossible size: {options}", hint="this file was not made by styl")
    state = {key.removeprefix(f"{name}."): t for key, t in found.tensors.items() if key.startswith(f"{name}.")}
    try:
        with torch.device("meta"):
            network = NETWORKS[kind](**options)
        network.load_state_dict(state, assign=True)
    except (RuntimeError, TypeError, AssertionError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{kind}: its weights do not fit: {reason}", hint="this file was not made by styl"
        ) from None
    return network


def _of_run(folder: Path) -> Path:
    for name in ("best", "last"):
        path = folder / "weights" / f"{name}.safetensors"
        if path.is_file():
            return path
    raise CheckpointError(
        f"{shown(folder)}: no weights in it", hint="name a run folder that styl train made, or a file"
    )
