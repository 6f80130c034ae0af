"""Data for the problems: LIBSVM files and embedded sets, all as `Dataset`."""

from problems.data.catalogue import Entry, catalogue, find
from problems.data.dataset import DataError, DataNotFound, Dataset, binary_labels
from problems.data.download import DownloadFailed, fetch
from problems.data.embedded import EMBEDDED, embedded
from problems.data.libsvm import load_dataset
from problems.data.locate import available, find_file
from problems.data.resolve import fits, load_libsvm, resolve, serves

__all__ = [
    "EMBEDDED",
    "DataError",
    "DataNotFound",
    "Dataset",
    "DownloadFailed",
    "Entry",
    "available",
    "binary_labels",
    "catalogue",
    "embedded",
    "fetch",
    "find",
    "find_file",
    "fits",
    "load_dataset",
    "load_libsvm",
    "resolve",
    "serves",
]
