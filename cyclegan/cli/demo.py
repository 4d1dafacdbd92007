"""styl demo: no data, no download, stripes in a few minutes."""

from pathlib import Path
from typing import Annotated

from typer import Option

from cyclegan.cli.display import Display
from cyclegan.cli.edge import result, say
from cyclegan.errors import shown

Output = Annotated[Path, Option("-o", "--output", help="The run folder; scenes and contact sheet go there too.")]
Set = Annotated[list[str] | None, Option("--set", help="Change any option of the training, as in seed=1; repeatable.")]
Device = Annotated[str, Option(help="auto, cpu, cuda, cuda:1 or mps.")]
Json = Annotated[bool, Option("--json", help="Print a summary for programs.")]


def demo(
    output: Output = Path("runs/painted-horses"), set_: Set = None, device: Device = "auto", as_json: Json = False
) -> int:
    """Paint horses and zebras, learn to translate between them, and show the result."""
    from cyclegan.experiment import Experiment

    experiment = Experiment.load("tiny", overrides=set_ or [])

    from cyclegan.demo.show import learn, present
    from cyclegan.devices import choose_device

    device = choose_device(device)
    say("painting two folders of scenes, horses in one, zebras in the other")
    with Display() as display:
        outcome = learn(experiment, output, device=device, tell=display.show)
    if outcome.signal:
        say(f"{shown(output)}: saved at {outcome.images:,} images; the same command goes on")
        return 128 + outcome.signal
    seen = present(experiment, output, device=device)
    errors = ", ".join(f"to {name} {share:.0%}" for name, share in seen.errors.items())
    say(f"error left, where 100 % is the picture as it was and 0 % the true counterpart: {errors}")
    summary = {"sheet": str(seen.sheet), "run": str(output), "errors": seen.errors}
    result(f"contact sheet: {shown(seen.sheet)}", summary=summary, as_json=as_json)
    return 0
