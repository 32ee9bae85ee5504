"""Learning by gradients: parameters as trees of numbers, optimisers, and a training loop.

``from tapegrad.learn import data, losses, nn, optim, plot, tree``. Parameters are any containers
that ``grad`` takes, and come back with their own static types. Arrays are used where the parameters
hold some, and numpy is not needed otherwise.

May import: ``optimize`` and what is left of it.
Start reading: ``tree``, then ``optim`` and ``training``; or ``nn``, then ``losses`` and ``data``.
To add an optimiser: a frozen class in ``rules``, which says how one number changes, a function in
``optim``, and a line in ``tests/optimiser_numbers.py``, which asks torch or optax. To add an
activation or a loss: one function of one number in ``activations`` or ``losses``.
"""

from tapegrad.learn import data, losses, nn, optim, plot, tree
from tapegrad.learn.training import Fit, Step, fit

__all__ = ["Fit", "Step", "data", "fit", "losses", "nn", "optim", "plot", "tree"]
