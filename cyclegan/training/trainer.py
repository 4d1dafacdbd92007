"""Plays any objective: an iterator of reports that optimises and does nothing else."""

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cyclegan.chance import seed_for
from cyclegan.experiment import Training
from cyclegan.networks.compiling import compile_in_place
from cyclegan.objectives import History, Objective, Turn
from cyclegan.training.ranks import Ranks


@dataclass(frozen=True)
class Report:
    """What one step did: pictures seen of each domain so far, the share of the budget used, the turns' terms.

    `skipped` is 1 where a loss or a gradient was not finite, so that nothing was learnt from the step, else 0.
    """

    images: int
    batch: int
    progress: float
    rate: float
    terms: Mapping[str, Tensor]
    skipped: Tensor

    def every(self, images: int) -> bool:
        """Say whether this step passed a multiple of `images`."""
        return self.images // images > (self.images - self.batch) // images


class Average:
    """A moving average of parameters whose half-life is counted in pictures (Karras et al. 2024, edm2, §3)."""

    def __init__(self, parameters: Iterable[Tensor], half_life: float) -> None:
        self.live = list(parameters)
        self.half_life = half_life
        self.kept = [p.detach().clone() for p in self.live]

    def update(self, images: int, batch: int, *, skipped: Tensor) -> None:
        """Take in the parameters after a step of `batch` pictures, unless it was skipped (1, else 0).

        Early on the memory is shorter.
        """
        half_life = min(self.half_life, 0.05 * images)
        weight = (1 - skipped) * (1 - 0.5 ** (batch / half_life))
        torch._foreach_lerp_(self.kept, [p.detach() for p in self.live], [weight] * len(self.kept))

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Put the average in the parameters' place for as long as the block lasts."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def _exchange(self) -> None:
        for live, kept in zip(self.live, self.kept, strict=True):
            live.data, kept.data = kept.data, live.data


class Trainer:
    """Minimises each turn's loss over its player's parameters only, one optimiser a player.

    `images` counts pictures seen of each domain, by all `ranks` together. Chance inside a step (dropout, places,
    augmentation) is a function of the seed, of `images`, of the turn and of the micro-batch: a step can be repeated
    alone, a resume needs no generator's state, and N ranks play as one process does that accumulates N micro-batches.
    """

    def __init__(
        self,
        objective: Objective,
        training: Training,
        *,
        seed: int = 0,
        device: str = "cpu",
        ranks: Ranks | None = None,
    ) -> None:
        # channels last is what fast convolutions of CPUs and of CUDA read; torch lays the gradients out alike
        fast = objective.channels_last and device != "mps"
        self.layout = torch.channels_last if fast else torch.contiguous_format
        self.objective = objective.to(device).to(memory_format=self.layout).train()
        self.training, self.seed, self.device, self.ranks = training, seed, device, ranks or Ranks()
        if training.compile == "on" or (training.compile == "auto" and device.startswith("cuda")):
            for name in sorted({name for networks in objective.players.values() for name in networks}):
                compile_in_place(objective.get_submodule(name))
        self.histories = [module for module in objective.modules() if isinstance(module, History)]
        for history in self.histories:
            history.gather, history.rank = self.ranks.gather, self.ranks.rank
        self.images, self.seconds = 0, 0.0
        self.parameters = {
            player: [p for name in networks for p in objective.get_submodule(name).parameters()]
            for player, networks in objective.players.items()
        }
        self.buffers = [  # running statistics of batch norms, a VAE's noise: what passes by changes them
            b for networks in objective.players.values() for n in networks for b in objective.get_submodule(n).buffers()
        ]
        self.optimizers = {
            player: torch.optim.Adam(parameters, lr=training.learning_rate, betas=training.betas, fused=True)
            for player, parameters in self.parameters.items()
        }
        averaged = [p for name in objective.averaged for p in objective.get_submodule(name).parameters()]
        self.average = Average(averaged, training.ema) if training.ema else None
        self.bf16 = training.precision == "bf16"

    @property
    def progress(self) -> float:
        """The share of the budget that is used, 0 to 1."""
        if self.training.minutes:
            return min(1.0, self.seconds / (60 * self.training.minutes))
        return min(1.0, self.images / self.training.images)

    def reports(self, batches: Iterable[Sequence[Tensor]]) -> Iterator[Report]:
        """Play batches, one tensor (N, C, H, W) in [-1, 1] a domain, until the budget is used; report each step."""
        source = iter(batches)
        while self.progress < 1:
            start = time.monotonic()
            micro_batches = list(itertools.islice(source, self.training.accumulate))
            report = self.play(micro_batches)
            self.seconds = self.ranks.largest(self.seconds + time.monotonic() - start)
            yield dataclasses.replace(report, progress=self.progress)  # now that the step's time counts too

    def play(self, micro_batches: Sequence[Sequence[Tensor]]) -> Report:
        """Play one step; the turns of several micro-batches are played in lockstep and their gradients averaged.

        From the first loss or gradient on that is not finite, nobody moves; averages, histories of fakes and buffers
        stay as they were. The device decides that: nothing here waits for it, but for histories that are being filled.
        """
        rate, seen = self._set_rate(), self.ranks.count * sum(len(batch[0]) for batch in micro_batches)
        self.objective.progress, self.objective.step = self.progress, self.images // seen
        terms: dict[str, Tensor] = {}
        skipped = torch.zeros((), device=self.device)
        laid_out = [[domain.to(memory_format=self.layout) for domain in batch] for batch in micro_batches]
        games = [self.objective.turns(*batch) for batch in laid_out]
        before = [buffer.clone() for buffer in self.buffers]
        for number in itertools.count():
            turn = self._turn(games, terms, number)
            if turn is None:
                break
            player, broken = turn
            skipped = self._move(player, broken=skipped + broken)
        self.images += seen
        if self.average:
            self.average.update(self.images, seen, skipped=skipped)
        for history in self.histories:
            history.settle(skipped)
        for buffer, old in zip(self.buffers, before, strict=True):
            buffer.copy_(torch.where(skipped > 0, old, buffer))
        return Report(self.images, seen, self.progress, rate, terms, skipped)

    def _turn(
        self, games: Sequence[Iterator[Turn]], terms: dict[str, Tensor], number: int
    ) -> tuple[str, Tensor] | None:
        """Advance every game by one turn, add up gradients and terms; return whose turn it was, None at the end.

        Beside the player is 0, or more where the loss or a term was not finite. Each graph is walked back before the
        next one grows: memory follows the micro-batch, not their number.
        """
        player, broken = "", torch.zeros((), device=self.device)
        for place, game in enumerate(games):
            among_all = place * self.ranks.count + self.ranks.rank
            torch.manual_seed(seed_for(self.seed, "turn", self.images, number, among_all))
            with torch.autocast(torch.device(self.device).type, dtype=torch.bfloat16, enabled=self.bf16):
                turn = next(game, None)
            if turn is None:
                return None
            if not player:
                player = turn.player
                self.optimizers[player].zero_grad(set_to_none=True)
            torch.autograd.backward(turn.loss / len(games), inputs=self.parameters[player])
            broken += not_finite([turn.loss, *turn.terms.values()])
            for name, term in turn.terms.items():
                terms[name] = terms.get(name, 0) + term.detach() / len(games)
        return player, broken

    def _move(self, player: str, *, broken: Tensor) -> Tensor:
        """Take the player's step, unless this rank or another has something `broken`, or a gradient is not finite.

        Return 1 where it was not taken, else 0. The optimiser decides on the device, without waiting.
        """
        gradients = [p.grad for p in self.parameters[player] if p.grad is not None]
        self.ranks.average_([*gradients, broken])
        skipped = ((broken > 0) | (not_finite(torch._foreach_norm(gradients)) > 0)).float()
        optimizer = self.optimizers[player]
        optimizer.found_inf = skipped  # type: ignore[attr-defined]  # as torch.amp.GradScaler tells it
        optimizer.step()
        return skipped

    def _set_rate(self) -> float:
        """Hold the step, then let it fall in a line to zero over the last share of the budget."""
        left, decay = 1 - self.progress, self.training.decay
        rate = self.training.learning_rate * (min(1.0, left / decay) if decay else 1.0)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = rate
        return rate

    def follow_first(self) -> None:
        """Take over what rank 0 has: fresh weights, or the state it took up."""
        if self.ranks.count > 1:
            progress = {"images": torch.tensor(self.images), "seconds": torch.tensor(self.seconds, dtype=torch.float64)}
            state = self.ranks.shared(self.state() | progress)
            images, seconds = int(state.pop("images")), float(state.pop("seconds"))
            if not self.ranks.first:
                self.restore(state, images=images, seconds=seconds)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Show the networks people will use, as they are: the averaged ones, where an average is kept."""
        with (
            torch.compiler.set_stance("force_eager"),
            self.average.shown() if self.average else contextlib.nullcontext(),
        ):
            yield

    def state(self) -> dict[str, Tensor]:
        """Return every tensor that a resume needs, by name."""
        state = {f"objective.{name}": t for name, t in self.objective.state_dict().items()}
        for player, optimizer in self.optimizers.items():
            for i, slots in optimizer.state_dict()["state"].items():
                state |= {f"optimizer.{player}.{i}.{slot}": t for slot, t in slots.items()}
        if self.average:
            state |= {f"average.{i}": t for i, t in enumerate(self.average.kept)}
        return state

    def state_size(self, *, fake: int) -> int:
        """Return how many bytes the state comes to once Adam has moved and histories, of `fake` bytes a picture, are
        full."""
        coming = sum(
            2 * p.nbytes
            for player, optimizer in self.optimizers.items()
            for p in self.parameters[player]
            if p not in optimizer.state
        )
        histories = [module for module in self.objective.modules() if isinstance(module, History)]
        coming += sum((history.size - len(history.kept)) * fake for history in histories)
        return coming + sum(tensor.nbytes for tensor in self.state().values())

    def restore(self, state: Mapping[str, Tensor], *, images: int, seconds: float) -> None:
        """Take up a state where it was left."""
        parts: dict[str, dict[str, Tensor]] = {}
        for name, tensor in state.items():
            part, _, rest = name.partition(".")
            parts.setdefault(part, {})[rest] = tensor
        self.objective.load_state_dict(parts["objective"])
        for player, optimizer in self.optimizers.items():
            slots: dict[int, dict[str, Tensor]] = {}
            for name, tensor in parts.get("optimizer", {}).items():
                owner, number, slot = name.split(".")
                if owner == player:
                    slots.setdefault(int(number), {})[slot] = laid_out_like(
                        self.parameters[player][int(number)], tensor
                    )
            optimizer.load_state_dict({**optimizer.state_dict(), "state": slots})
        if self.average:
            for i, kept in enumerate(self.average.kept):
                kept.copy_(parts["average"][str(i)])
        self.images, self.seconds = images, seconds


def not_finite(numbers: Iterable[Tensor]) -> Tensor:
    """Return 1 where any of some scalars is infinite or NaN, else 0, on their device."""
    return (~torch.stack([number.detach() for number in numbers]).isfinite().all()).float()


def laid_out_like(parameter: Tensor, tensor: Tensor) -> Tensor:
    """Return a tensor in the parameter's layout: the fused Adam takes the numbers as they lie, without a word."""
    return torch.empty_like(parameter).copy_(tensor) if tensor.shape == parameter.shape else tensor
