"""The command ``styl``, one file a verb. Typer and rich live here only; torch loads after the options are checked."""

import typer

from cyclegan.cli import bring, demo, evaluate, report, runs, train, translate
from cyclegan.cli.edge import guarded

app = typer.Typer(
    name="styl",
    help="Translate pictures between two unpaired folders.",
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("train")(train.train)
app.command("translate")(translate.translate)
app.command("evaluate")(evaluate.evaluate)
app.command("runs")(runs.runs)
app.command("report")(report.report)
app.command("import")(bring.bring)
app.command("demo")(demo.demo)


def main() -> None:
    """Run ``styl`` on the process's arguments and exit with the documented code."""
    guarded(app)
