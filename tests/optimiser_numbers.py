"""Writes ``tests/optimiser_numbers.json``: what torch's and optax's optimisers do, step by step.

``python tests/optimiser_numbers.py``, where torch, jax and optax are installed; they are no
dependency of the tests, which read the file.
"""

# Torch and optax are not installed where mypy runs.
# mypy: ignore-errors

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

START: Final = [0.7, -1.3, 2.0]
STEPS: Final = 25
FILE: Final = Path(__file__).with_name("optimiser_numbers.json")


def slopes(xs: Sequence[float]) -> list[float]:
    """The gradient of a loss with several minima."""
    return [math.cos(3.0 * x + place) * 3.0 + 0.5 * x for place, x in enumerate(xs)]


def of_torch(make: Callable[[Any], Any], rates: Callable[[Any], Any] | None = None) -> Any:
    """The parameters after each step of an optimiser, and perhaps a schedule, of torch's."""
    import torch

    parameter = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    optimizer = make([parameter])
    schedule = rates(optimizer) if rates else None
    for _ in range(STEPS):
        parameter.grad = torch.tensor(slopes(parameter.tolist()), dtype=torch.float64)
        optimizer.step()
        if schedule:
            schedule.step()
        yield parameter.tolist()


def of_optax(optimizer: Any) -> Iterator[list[float]]:
    """The parameters after each step of an optimiser of optax's."""
    import jax
    import optax

    parameters = jax.numpy.array(START)
    state = optimizer.init(parameters)
    for _ in range(STEPS):
        gradient = jax.numpy.array(slopes(parameters.tolist()))
        updates, state = optimizer.update(gradient, state, parameters)
        parameters = optax.apply_updates(parameters, updates)
        yield parameters.tolist()


def by_torch() -> dict[str, Any]:
    """Our spelling of each optimiser, as Python's source, and torch's trajectory."""
    from torch import optim
    from torch.optim import lr_scheduler as schedules

    return {
        "sgd(0.1)": of_torch(lambda p: optim.SGD(p, 0.1)),
        "sgd(0.05, momentum=0.9)": of_torch(lambda p: optim.SGD(p, 0.05, momentum=0.9)),
        "sgd(0.05, momentum=0.8, nesterov=True, weight_decay=0.1)": of_torch(
            lambda p: optim.SGD(p, 0.05, momentum=0.8, nesterov=True, weight_decay=0.1)
        ),
        "adam(0.1)": of_torch(lambda p: optim.Adam(p, 0.1)),
        "adam(0.1, beta1=0.8, beta2=0.9, eps=1e-3, weight_decay=0.2)": of_torch(
            lambda p: optim.Adam(p, 0.1, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.2)
        ),
        "adamw(0.1)": of_torch(lambda p: optim.AdamW(p, 0.1)),
        "adamw(0.1, weight_decay=0.3)": of_torch(lambda p: optim.AdamW(p, 0.1, weight_decay=0.3)),
        "rmsprop(0.02)": of_torch(lambda p: optim.RMSprop(p, 0.02)),
        "rmsprop(0.02, decay=0.9, eps=1e-4, momentum=0.5, weight_decay=0.1)": of_torch(
            lambda p: optim.RMSprop(p, 0.02, alpha=0.9, eps=1e-4, momentum=0.5, weight_decay=0.1)
        ),
        "adam(cosine(0.1, 20))": of_torch(
            lambda p: optim.Adam(p, 0.1), lambda o: _held(schedules.CosineAnnealingLR(o, 20), 20)
        ),
        "sgd(exponential(0.1, 0.9))": of_torch(
            lambda p: optim.SGD(p, 0.1), lambda o: schedules.ExponentialLR(o, 0.9)
        ),
    }


def _held(schedule: Any, steps: int) -> Any:
    """A schedule of torch's that stays where it is after so many steps; its cosine rises again."""
    step, count = schedule.step, iter(range(steps))
    schedule.step = lambda: next(count, None) is not None and step()
    return schedule


def _in_doubles(schedule: Any) -> Any:
    """A schedule of optax's, whose numbers are else float32, as its count of steps is int32."""
    import jax

    return lambda count: schedule(jax.numpy.float64(count))


def by_optax() -> dict[str, Any]:
    """Our spelling of each optimiser, as Python's source, and optax's trajectory."""
    import jax
    import optax

    jax.config.update("jax_enable_x64", True)

    return {
        "sgd(0.05, momentum=0.8, nesterov=True)": of_optax(
            optax.sgd(0.05, momentum=0.8, nesterov=True)
        ),
        "adam(0.1)": of_optax(optax.adam(0.1)),
        "adamw(0.1, weight_decay=0.3)": of_optax(optax.adamw(0.1, weight_decay=0.3)),
        "rmsprop(0.02)": of_optax(optax.rmsprop(0.02, decay=0.99, eps_in_sqrt=False)),
        "lion(0.02)": of_optax(optax.lion(0.02, weight_decay=0.0)),
        "lion(0.02, beta1=0.8, beta2=0.95, weight_decay=0.1)": of_optax(
            optax.lion(0.02, b1=0.8, b2=0.95, weight_decay=0.1)
        ),
        "clipped(adam(0.1), norm=1.5)": of_optax(
            optax.chain(optax.clip_by_global_norm(1.5), optax.adam(0.1))
        ),
        "clipped(sgd(0.1), value=0.7)": of_optax(optax.chain(optax.clip(0.7), optax.sgd(0.1))),
        "sgd(cosine(0.1, 20, end=0.01))": of_optax(
            optax.sgd(_in_doubles(optax.cosine_decay_schedule(0.1, 20, 0.1)))
        ),
        "adamw(linear(0.1, 0.02, 15), weight_decay=0.1)": of_optax(
            optax.adamw(_in_doubles(optax.linear_schedule(0.1, 0.02, 15)), weight_decay=0.1)
        ),
        "sgd(exponential(0.1, 0.5, every=4), momentum=0.7)": of_optax(
            optax.sgd(_in_doubles(optax.exponential_decay(0.1, 4, 0.5)), momentum=0.7)
        ),
        "lion(piecewise({0: 0.04, 7: 0.02, 15: 0.002}))": of_optax(
            optax.lion(optax.piecewise_constant_schedule(0.04, {7: 0.5, 15: 0.1}), weight_decay=0.0)
        ),
    }


def main() -> None:
    import jax
    import optax
    import torch

    found = {
        "versions": {
            "torch": torch.__version__,
            "jax": jax.__version__,
            "optax": optax.__version__,
        },
        "torch": {spelling: list(steps) for spelling, steps in by_torch().items()},
        "optax": {spelling: list(steps) for spelling, steps in by_optax().items()},
    }
    FILE.write_text(json.dumps(found).replace("]], ", "]],\n") + "\n")


if __name__ == "__main__":
    main()
