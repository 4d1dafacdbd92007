"""The command ``styl``, one file a verb. Typer and rich live here only; torch loads after the options are checked."""

import typer

from cyclegan.cli import bench, bring, demo, distill, evaluate, export, inspect, report, runs, sample, train, translate
from cyclegan.cli.edge import guarded

app = typer.Typer(
    name="styl",
    help="Translate pictures between two unpaired folders.",
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("train")(train.train)
app.command("distill")(distill.distill)
app.command("translate")(translate.translate)
app.command("inspect")(inspect.inspect)
app.command("sample")(sample.sample)
app.command("evaluate")(evaluate.evaluate)
app.command("runs")(runs.runs)
app.command("report")(report.report)
app.command("import")(bring.bring)
app.command("export")(export.export)
app.command("demo")(demo.demo)
app.command("bench")(bench.bench)


def main() -> None:
    """Run ``styl`` on the process's arguments and exit with the documented code."""
    guarded(app)
