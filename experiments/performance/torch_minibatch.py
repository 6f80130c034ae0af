"""Multinomial logistic regression trained by the released package in PyTorch: the ordinary loop, in float64.

Nothing else imports them: the project depends on neither.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import dadaptation
import numpy as np
import torch

from dadapt_convex.oracle import Vector
from experiments.performance.cases import BATCH_SIZE
from experiments.performance.numpy_minibatch import Outcome


def dadapt_adam(A: Vector, labels: Any, classes: int, d0: float) -> Callable[[Iterable[Any], int], Outcome]:
    """(orders, steps) -> Outcome, a training from zero, once; tensors, model and optimizer are made before.

    A: (m, p), the last column ones, for which the model has its bias; labels: (m,) integers; orders: of the rows, one
    for each epoch.
    """
    torch.set_num_threads(1)
    features, classes_of_rows = torch.from_numpy(A[:, :-1].copy()), torch.from_numpy(labels)
    model = torch.nn.Linear(features.shape[1], classes, dtype=torch.float64)
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    optimizer = dadaptation.DAdaptAdam(model.parameters(), d0=d0)

    def train(orders: Iterable[Any], steps: int) -> Outcome:
        batches = (rows for order in orders for rows in torch.from_numpy(order).split(BATCH_SIZE))
        total = 0.0
        for rows in itertools.islice(batches, steps):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(features[rows]), classes_of_rows[rows])
            loss.backward()
            optimizer.step()
            total += loss.item()
        x = np.vstack([model.weight.detach().numpy().T, model.bias.detach().numpy()])
        return Outcome(x.ravel(), float(optimizer.param_groups[0]["d"]), total / steps)

    return train
