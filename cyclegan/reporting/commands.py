"""What to type next, with paths that hold where the report was asked for."""

from pathlib import Path

from cyclegan.files import plain
from cyclegan.reporting.runs import Run
from cyclegan.reporting.shell import quoted, typed
from cyclegan.reporting.words import printable


def commands(run: Run, *, anew: bool, here: Path) -> dict[str, str]:
    """Return what to type in the folder `here`, by what it is for; `anew` offers to begin again more gently."""
    return _onwards(run, here) | (_gentler(run, here) if anew else {}) | _uses(run, here)


def _onwards(run: Run, here: Path) -> dict[str, str]:
    again, minutes = _again(run, here), run.amount("training.minutes")
    if run.state == "finished":
        further = f"--minutes {2 * minutes:g}" if minutes else f"--images {2 * run.images}"
        return {"Go further": f"{again} {further} -o {typed(run.directory, here=here)}"}
    if run.state not in ("stopped", "failed", "training"):
        return {}
    what = "Go on, should it be stopped" if run.state == "training" else "Go on"
    return {what: f"{again} -o {typed(run.directory, here=here)}"}


def _gentler(run: Run, here: Path) -> dict[str, str]:
    rate, whole = run.amount("training.learning_rate"), run.directory.absolute()
    beside = typed(whole.with_name(f"{whole.name}-2"), here=here)
    lower = f"{_again(run, here)} --set training.learning_rate={rate / 2:g} -o {beside}"
    return {"Begin anew, more gently": lower} if rate else {}


def _again(run: Run, here: Path) -> str:
    """The run's own experiment names the folders and all that was set."""
    return f"styl train --preset {typed(run.directory / 'experiment.toml', here=here)}"


def _uses(run: Run, here: Path) -> dict[str, str]:
    """Return how the weights are used: the best, or the last where nothing was measured."""
    weights = run.directory / "weights"
    best = run.log.best is not None and (weights / "best.safetensors").is_file()
    if not best and not (weights / "last.safetensors").is_file():
        return {}
    model, which = typed(weights / "best.safetensors" if best else run.directory, here=here), " with the best" * best
    if run.draws:
        return {f"Draw{which}": f"styl sample {model} -o samples"}
    targets = run.log.domains or run.domains[1:]
    return {f"Translate to {printable(to)}{which}": _translation(run, to, model, here) for to in targets}


def _translation(run: Run, target: str, model: str, here: Path) -> str:
    """Return how the folder that was learnt from is translated."""
    folders, domains = run.option("data.folders"), run.domains
    known = isinstance(folders, list) and len(folders) == len(domains) == 2 and target in domains
    source = typed(Path(str(folders[1 - domains.index(target)])), here=here) if known else run.things.upper()
    return f"styl translate {source} -m {model} --to {quoted(target)} -o {quoted(f'to-{plain(target)}')}"
