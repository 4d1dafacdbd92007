"""styl evaluate: how far translations are from real pictures, in figures that others can compare with."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from cyclegan.cli.display import Display
from cyclegan.cli.edge import result
from cyclegan.errors import UsageError, shown
from cyclegan.files import Job, plan_outputs
from cyclegan.media.folder import collect

Model = Annotated[
    str | None, Argument(help="A name, a weights file or a run folder.  [default: none, the pictures as they are]")
]
SourceFolder = Annotated[Path, Option("--source", help="Pictures to translate: a test folder the training never saw.")]
TargetFolder = Annotated[Path, Option("--target", help="Real pictures of the other domain, to compare with.")]
To = Annotated[str | None, Option(help="The domain to translate to.  [default: the weights' first way]")]
FeaturesName = Annotated[
    str,
    Option(
        "--features",
        help="Seen by: inception, own, or a file of Inception or SqueezeNet; auto: $STYL_FEATURES, or own.",
    ),
]
Resize = Annotated[str, Option(help="How Inception gets its 299 pixels: pytorch-fid, clean-fid or torch-fidelity.")]
Side = Annotated[
    int | None,
    Option("--size", min=0, help="Pixels of the middle square; 0: as they are.  [default: the training's, else 0]"),
]
KidSize = Annotated[int, Option(min=0, help="Also the published mean KID over 100 subsets of so many pictures.")]
Save = Annotated[Path | None, Option(help="A folder that keeps the translated pictures as PNG.")]
Device = Annotated[str, Option(help="auto, cpu, cuda, cuda:1 or mps.")]
Json = Annotated[bool, Option("--json", help="Print a summary for programs.")]


def evaluate(
    source: SourceFolder,
    target: TargetFolder,
    model: Model = None,
    to: To = None,
    features: FeaturesName = "auto",
    resize: Resize = "pytorch-fid",
    size: Side = None,
    kid_size: KidSize = 0,
    save: Save = None,
    device: Device = "auto",
    as_json: Json = False,
) -> int:
    """Measure translations: KID and FID from real pictures, before and after, and the error of coming back."""
    if model is None and (to or save):
        raise UsageError(f"--{'to' if to else 'save'} needs a model", hint="styl evaluate MODEL --source … --target …")
    jobs, targets = _jobs(source, save), [found.path for found in collect([target])]

    from cyclegan.devices import choose_device
    from cyclegan.metrics.features import load_features
    from cyclegan.translation import evaluate as evaluation

    device = choose_device(device)
    with Display() as display:
        there, back = evaluation.load_ways(model, to=to, device=device) if model else (None, None)
        seen = evaluation.Size(size or 0) if size is not None or not model else evaluation.size_of(model)
        made = load_features(features, resize=resize, device=device, tell=display.note)
        passed = display.passed_over([source, target])
        display.note(f"{shown(model or source)}: {len(jobs):,} and {len(targets):,} pictures, {made.protocol}")
        start = partial(evaluation.evaluate, jobs, targets, there=there, back=back, features=made, size=seen)
        found = start(kid_size=kid_size, save=bool(save), progress=display)
        for line in found.damaged:
            display.note(f"left out: {line}")
    way = {"from": there.source, "to": there.target} if there else {"from": None, "to": None}
    protocol = {"pictures": f"{seen}, 8 bits", "resize": resize, "features": made.name, "protocol": made.protocol}
    about = {"model": model, **way, "source": str(source), "target": str(target), "passed_over": passed}
    result(_line(found), summary=about | found.encode() | {"protocol": protocol}, as_json=as_json)
    return 1 if found.damaged else 0


def _jobs(source: Path, save: Path | None) -> Sequence[Job]:
    sources = collect([source])
    return plan_outputs(sources, save, writable={".png"}) if save else [Job(s.path, s.path) for s in sources]


def _line(found: Any) -> str:
    """Return the figures as people publish them: KID × 1000 and FID."""
    parts = [f"KID {1000 * found.kid:.2f} ± {1000 * found.kid_std:.2f} (× 1000), FID {found.fid:.2f}"]
    if found.change is not None:
        before = found.untranslated
        parts += [f"untranslated {1000 * before['kid']:.2f} and {before['fid']:.2f}"]
    if found.kid_subsets:
        each = found.kid_subsets
        parts += [f"over subsets of {each['size']}: {1000 * each['mean']:.2f} ± {1000 * each['std']:.2f}"]
    if found.cycle is not None:
        parts += [f"coming back is off by {found.cycle:.1f} of 255"]
    return f"{'; '.join(parts)}; {found.sources:,} and {found.targets:,} pictures"
