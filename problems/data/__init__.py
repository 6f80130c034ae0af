"""Data for the problems: LIBSVM files and embedded sets, all as `Dataset`."""

from problems.data.dataset import DataError, DataNotFound, Dataset, binary_labels
from problems.data.embedded import EMBEDDED, embedded
from problems.data.libsvm import load_dataset, load_libsvm
from problems.data.locate import available, find_file
from problems.data.resolve import fits, resolve

__all__ = [
    "EMBEDDED",
    "DataError",
    "DataNotFound",
    "Dataset",
    "available",
    "binary_labels",
    "embedded",
    "find_file",
    "fits",
    "load_dataset",
    "load_libsvm",
    "resolve",
]
