"""styl report: one run as a page to read."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from cyclegan.cli.edge import result
from cyclegan.errors import InputError, shown

Directory = Annotated[Path, Argument(metavar="RUN", help="A run folder.")]
Output = Annotated[Path | None, Option("-o", "--output", help="The page's file.  [default: RUN/report.html]")]
Json = Annotated[bool, Option("--json", help="Print a summary for programs.")]


def report(run: Directory, output: Output = None, as_json: Json = False) -> int:
    """Write one page that needs nothing else: best examples, curves, every preview, settings, what to do next."""
    from cyclegan.files import write_atomic
    from cyclegan.reporting.report import report as page_of
    from cyclegan.reporting.runs import read_run

    read, target = read_run(run), output or run / "report.html"
    if target.is_dir():
        raise InputError(f"{shown(target)}: a folder", hint="-o names a file, such as page.html")
    page = page_of(read)
    write_atomic(target, page)
    line = f"{shown(run)}: {read.state}; {shown(target)}, {len(page) / 1e6:.1f} MB"
    result(line, summary={"page": shown(target), "bytes": len(page)} | read.encode(), as_json=as_json)
    return 0
