"""Problems by name: "loss:dataset", "hard:instance", parameters in brackets behind the loss."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from dadapt_convex.oracle import nearest, shown
from problems.hard_instances import HARD
from problems.linear_models.linear_problem import linear_problem
from problems.linear_models.loss import Loss, losses
from problems.matrix import csr, dense, is_sparse
from problems.problem import Problem

NAME = re.compile(r"(?P<loss>[a-z_]+)(?:\[(?P<parameters>[^\]]*)\])?:(?P<data>.+)")
# What every linear model takes in brackets, beside its loss's own parameters.
COMMON = {"intercept": True, "l2": 0.0, "storage": "auto"}
ONE_CLASS = {"positive": None}  # for losses of two labels: this one against the rest
STORAGES: dict[str, Callable[[Any], Any]] = {"auto": lambda A: A, "dense": dense, "csr": csr}
LARGEST_DENSE = 10**9  # entries, 8 GB


def names(data_dir: Any = None) -> list[str]:
    """The names of problems that need no download: hard instances, and each loss on the data sets that fit it."""
    from problems import data

    found = [f"hard:{instance}" for instance in HARD]
    for loss in losses().values():
        fitting = (dataset for dataset in data.available(data_dir) if data.fits(dataset, loss.task, data_dir))
        found.extend(f"{loss.short}:{dataset}" for dataset in fitting)
    return found


def get(name: str, data_dir: Any = None) -> Problem:
    """The problem of this name: "loss:dataset" or "hard:instance", with parameters in brackets behind the first word.

    Parameters
    ----------
    name : str
        Losses and instances are those that names() lists; the data set is an embedded one, a file or a name of the
        catalogue of the LIBSVM site. Every loss takes the parameters

        - of its constructor: intercept (default true), l2 (default 0), and its own, as quantile takes tau;
        - storage: dense, csr or auto (the default: as the data come);
        - positive, for a loss of two labels on data of more classes: the label that becomes +1, the rest -1;

        and an instance the parameters of its function, as in "hard[m=1001]:drori_teboulle".
    data_dir : path, optional
        Where data files are looked for first; then $DADAPT_DATA, the cache and the current folder. Data of the
        catalogue that are found nowhere are downloaded into the cache.

    Returns
    -------
    Problem
        With x0, G >= ||g|| for every subgradient g, value(x), subgradient(x), and optimum(), which is certified.

    Raises
    ------
    ValueError
        For a name that is not understood, naming the nearest; for parameters and data that do not fit.

    Examples
    --------
    >>> import problems
    >>> problems.get("quantile[tau=0.9,intercept=false]:diabetes").p
    10
    >>> problems.get("hard[m=25]:drori_teboulle").p
    25
    """
    if not isinstance(name, str):
        raise ValueError(f"a problem's name is a string, got {shown(name)}; problems.names() lists them.")
    match = NAME.fullmatch(name.strip())
    if match is None:
        raise ValueError(
            f"a problem is named loss:dataset or hard:instance, got {name!r}.{_did_you_mean(name, data_dir)}"
        )
    loss_name, data_name = match["loss"], match["data"]
    parameters = _parameters(match["parameters"], name)
    if loss_name == "hard":
        return _hard(data_name, parameters, name, data_dir)
    known = losses()
    if loss_name not in known:
        raise ValueError(
            f"unknown loss {loss_name!r} in {name!r}; there are {', '.join(['hard', *known])}."
            f"{_did_you_mean(name, data_dir)}"
        )
    return _linear(known[loss_name], data_name, parameters, name, data_dir)


def _hard(instance: str, parameters: dict[str, Any], name: str, data_dir: Any) -> Problem:
    if instance not in HARD:
        hint = _did_you_mean(name, data_dir)
        raise ValueError(f"unknown hard instance in {name!r}; there are {', '.join(HARD)}.{hint}")
    accepted = inspect.signature(HARD[instance]).parameters
    _refuse_unknown(parameters, accepted, name)
    return HARD[instance](**parameters).renamed(name)


def _linear(loss: Loss, data_name: str, parameters: dict[str, Any], name: str, data_dir: Any) -> Problem:
    from problems import data

    if loss.task != "binary" and "positive" in parameters:
        why = "all classes" if loss.task == "multiclass" else "targets"
        raise ValueError(f"positive= is for losses with two labels, and {loss.short} takes {why}: {name!r}.")
    own = {parameter: known.default for parameter, known in loss.parameters.items()}
    accepted = {**COMMON, **(ONE_CLASS if loss.task == "binary" else {}), **own}
    _refuse_unknown(parameters, accepted, name)
    values = {**accepted, **parameters}
    storage, positive = values.pop("storage"), values.pop("positive", None)
    if storage not in STORAGES:
        raise ValueError(f"storage must be auto, dense or csr, got {storage!r} in {name!r}.")
    before = name.strip().removesuffix(data_name)
    dataset = data.resolve(data_name, "multiclass" if positive is not None else loss.task, data_dir, before)
    b = dataset.target
    facts: dict[str, Any] = {"source": dataset.source, "sha256": dataset.sha256, "notes": dataset.notes}
    if loss.task == "binary":
        example = before.replace("]:", ",positive={label}]:") if "[" in before else f"{loss.short}[positive={{label}}]:"
        remedy = f"take one against the rest with positive=... in brackets, e.g. {example}{data_name}"
        b, facts["labels"] = data.binary_labels(dataset.target, data_name, positive, remedy)
    return linear_problem(loss, _stored(dataset.A, storage, name), b, name=name, facts=facts, copy=False, **values)


def _stored(A: Any, storage: str, name: str) -> Any:
    m, p = A.shape
    if storage == "dense" and is_sparse(A) and m * p > LARGEST_DENSE:
        raise ValueError(f"storage=dense takes {8 * m * p / 1e9:.3g} GB for {m} x {p} entries: {name!r}; leave it out.")
    return STORAGES[storage](A)


def _parameters(text: str | None, name: str) -> dict[str, Any]:
    """Parse "tau=0.9,intercept=false"."""
    found: dict[str, Any] = {}
    for item in (text or "").split(","):
        if not item.strip():
            continue
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals or not value:
            raise ValueError(f"parameters in brackets are key=value, got {item.strip()!r} in {name!r}.")
        if key in found:
            raise ValueError(f"{key} stands twice in {name!r}.")
        found[key] = _literal(value)
    return found


def _literal(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if not text.isascii() or "_" in text:  # Python reads digits of any script, and 1_000
        return text
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() and "e" not in text.lower() and "." not in text else number


def _refuse_unknown(parameters: dict[str, Any], accepted: Any, name: str) -> None:
    for key, value in parameters.items():
        if key not in accepted:
            raise ValueError(f"{name!r} takes no parameter {key!r}; it takes {', '.join(accepted)}.")
        default = accepted[key].default if isinstance(accepted[key], inspect.Parameter) else accepted[key]
        kind = bool if isinstance(default, bool) else str if isinstance(default, str) else (int, float)
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            wanted = "true or false" if kind is bool else "a word" if kind is str else "a number"
            raise ValueError(f"{key} must be {wanted}, got {value!r} in {name!r}.")


def _did_you_mean(name: str, data_dir: Any) -> str:
    """A question for messages that begins with a space; empty where nothing is near. What it names can be had."""
    from problems.data.catalogue import catalogue

    loss, colon, data_name = name.partition(":")
    data_name = data_name if colon else name
    known = names(data_dir)
    of_data = {*catalogue(), *(known_name.partition(":")[2] for known_name in known)}
    close = _with_data(data_name, data_dir)
    if close and colon:
        words = {full.partition(":")[0]: full for full in close}
        near = nearest(loss.partition("[")[0], words, most=1)
        close = [words[word] for word in near] or close
    if not close:
        close = nearest(name, known)
    if not (close or colon):
        close = [n for near in nearest(name, sorted(of_data), most=1, cutoff=0.6) for n in _with_data(near, data_dir)]
    return f" Did you mean {' or '.join(filter(None, [', '.join(close[:-1]), close[-1]]))}?" if close else ""


def _with_data(data_name: str, data_dir: Any) -> list[str]:
    """Every problem that this data set, file or hard instance makes."""
    from problems import data

    serving = [loss.short for loss in losses().values() if data.serves(data_name, loss.task, data_dir)]
    return [f"{word}:{data_name}" for word in (["hard"] if data_name in HARD else []) + serving]
