"""styl translate: pictures and folders through a trained network."""

import json
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from cyclegan.cli.display import Display
from cyclegan.cli.edge import result, say
from cyclegan.errors import shown
from cyclegan.files import plan_outputs, write_atomic
from cyclegan.media.folder import collect
from cyclegan.media.image import PICTURE_SUFFIXES

Inputs = Annotated[list[Path], Argument(help="Pictures, and folders of pictures.")]
Model = Annotated[
    str | None, Option("-m", "--model", help="A name, a weights file or a run folder.  [default: the newest run]")
]
To = Annotated[str | None, Option(help="The domain to translate to.  [default: the weights' second domain]")]
Output = Annotated[Path, Option("-o", "--output", help="A folder; or a file, where there is one picture.")]
Batch = Annotated[int, Option(min=1, help="Pictures of one size translated together.")]
Device = Annotated[str, Option(help="auto, cpu, cuda, cuda:1 or mps.")]
Quality = Annotated[int, Option(min=1, max=100, help="Of JPEG and WebP.")]
Json = Annotated[bool, Option("--json", help="Print a summary for programs.")]


def translate(
    inputs: Inputs,
    model: Model = None,
    to: To = None,
    output: Output = Path("translated"),
    batch: Batch = 8,
    device: Device = "auto",
    quality: Quality = 95,
    as_json: Json = False,
) -> int:
    """Translate pictures: the same size out, folders mirrored, inputs never touched."""
    jobs = plan_outputs(collect(inputs), output, writable=PICTURE_SUFFIXES)

    from cyclegan.catalog import newest_run
    from cyclegan.translation.batch import translate_files
    from cyclegan.translation.translator import Translator

    name = model or str(newest_run())
    translator = Translator.load(name, to=to, device=device)
    say(f"{shown(name)}: {translator.source} to {translator.target}, {len(jobs)} pictures, on {translator.device}")
    with Display() as display:
        done = translate_files(translator, jobs, batch=batch, quality=quality, tell=display.note, count=display.count)
    summary = {"model": name, "from": translator.source, "to": translator.target} | done.encode()
    if done.failed and output.is_dir():
        write_atomic(output / "summary.json", json.dumps(summary, indent=2).encode())
    where = shown(jobs[0].target if len(jobs) == 1 else output)
    failed = f", {len(done.failed)} failed" if done.failed else ""
    result(f"{len(done.done)} translated to {translator.target}{failed}: {where}", summary=summary, as_json=as_json)
    return 1 if done.failed else 0
