"""The LIBSVM reader: what it accepts, what it refuses and in which words, and the files of the data site."""

import bz2
import csv
import gzip
import hashlib
import io
import lzma
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, issparse

from problems.data import DataError, binary_labels, load_dataset, load_libsvm
from problems.data import libsvm as reader

SHARED = Path(os.environ.get("DADAPT_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "libsvm"
HAVE_FILES = (SHARED / "INDEX.csv").is_file()
needs_files = pytest.mark.skipif(
    not HAVE_FILES, reason="no LIBSVM files: DADAPT_SHARED names the folder that holds libsvm/INDEX.csv"
)
INDEX = (
    list(csv.DictReader(io.StringIO((SHARED / "INDEX.csv").read_text("utf-8")))) if HAVE_FILES else [{"name": "absent"}]
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DADAPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DADAPT_DATA", raising=False)


@pytest.fixture
def write(tmp_path):
    """Write bytes to a file and return its path."""

    def write_bytes(content: bytes, name: str = "case") -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write_bytes


def dense(rows: reader.Rows) -> np.ndarray:
    return csr_array((rows.values, rows.indices, rows.indptr), shape=(rows.target.size, rows.p)).toarray()


def parse_text(text: bytes) -> reader.Rows:
    return reader._parse("case", text)


# --- what is accepted


ACCEPTED = {
    "plain": b"1 1:2 3:4\n-1 2:5\n",
    "comments": b"# head\n1 1:2 3:4 # 9:9 nan\n-1 2:5#tail\n",
    "carriage returns": b"1 1:2 3:4\r\n-1 2:5\r\n",
    "no final newline": b"1 1:2 3:4\n-1 2:5",
    "blank lines": b"\n1 1:2 3:4\n \t\n\r\n-1 2:5\n\n",
    "plus sign of a label": b"+1 1:2 3:4\n-1 2:5\n",
    "tabs and runs of blanks": b" 1\t1:2   3:4 \t\n-1  2:5 \n",
    "query ids": b"1 qid:7 1:2 3:4\n-1 qid:8 2:5\n",
    "number forms": b"1.0 01:+2. 3:.4e+1\n-1e0 2:50E-1\n",
}


@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepted_forms_all_give_the_same_rows(text):
    rows = parse_text(text)
    assert rows.target.tolist() == [1, -1]
    assert dense(rows).tolist() == [[2, 0, 4], [0, 5, 0]]
    assert rows.index_base == 1
    assert rows.has_qid == (b"qid" in text)


def test_query_ids_are_noted(write):
    assert "qid" in load_dataset(write(ACCEPTED["query ids"])).notes
    assert load_dataset(write(ACCEPTED["plain"])).notes == ""


def test_qid_in_a_comment_is_no_query_id():
    assert not parse_text(b"1 1:2 # qid:3\n").has_qid


def test_row_without_features_is_a_row_of_zeros(write):
    data = load_dataset(write(b"1\n-1 1:1 2:1\n1 #\n"))
    assert data.A.toarray().tolist() == [[0, 0], [1, 1], [0, 0]]


def test_index_zero_makes_the_file_count_from_zero(write):
    data = load_dataset(write(b"1 1:3\n-1 0:5\n"))
    assert data.index_base == 0
    assert (data.A if not issparse(data.A) else data.A.toarray()).tolist() == [[0, 3], [5, 0]]


def test_written_zeros_fix_the_columns_and_are_not_stored(write):
    data = load_dataset(write(b"1 1:3 9:0\n-1 1:-0.0\n"))
    assert data.A.shape == (2, 9)
    assert data.A.nnz == 1


def test_underflow_is_zero():
    assert parse_text(b"1 1:1e-400 2:1\n").values.tolist() == [1.0]


def test_very_long_row_is_read():
    n = 300_000  # the grammar is one pattern for the whole row
    rows = parse_text(b"1 " + b" ".join(b"%d:1" % j for j in range(1, n + 1)))
    assert rows.p == rows.values.size == n


def test_largest_index_fits(write):
    data = load_dataset(write(b"1 2147483646:1\n-1 1:1\n"))
    assert data.A.shape == (2, 2**31 - 2)
    assert data.A.indices.dtype == np.int32


# --- what is refused, and the words


REFUSED = {
    b"": r"case is empty",
    b"\n \n# only a comment\n": r"case is empty",
    b"1:2 2:3\n": r"line 1: the label is missing, the line begins with '1:2'",
    b"1 1:1\n 1:2 2:3\n": r"line 2: the label is missing",
    b"one 1:2\n": r"line 1: the label 'one' is not a decimal number",
    b"1 1:2\n\n1 1:abc\n": r"line 3: the value 'abc' of feature '1' is not a decimal number",
    b"1 1:2\n1 7\n": r"line 2: expected index:value, got '7'",
    b"1 1:\n": r"line 1: the value '' of feature '1'",
    b"1 1: 2\n": r"line 1: the value '' of feature '1'",
    b"1 :2\n": r"line 1: the index '' of ':2' is not a whole number",
    b"1 1.5:2\n": r"line 1: the index '1.5' of '1.5:2' is not a whole number",
    b"1 +1:2\n": r"line 1: the index '\+1' of",
    b"1 1:2:3\n": r"line 1: the value '2:3' of feature '1'",
    b"1 1:nan\n": r"line 1: the value 'nan' of feature '1' is not finite",
    b"1 1:1\n1 1:-Inf\n": r"line 2: the value '-Inf' of feature '1' is not finite",
    b"1 1:infinity\n": r"line 1: the value 'infinity' of feature '1' is not finite",
    b"nan 1:1\n": r"line 1: the label 'nan' is not finite",
    b"+inf 1:1\n": r"line 1: the label '\+inf' is not finite",
    b"1 1:1e400\n": r"line 1: the value '1e400' of feature '1' is too large for float64",
    b"-1e999 1:1\n": r"line 1: the label '-1e999' is too large for float64",
    b"1 1:1 3:1\n1 3:1 2:1\n": r"line 2: the index '2' comes after 3; indices must ascend",
    b"1 2:1 2:1\n": r"line 1: the index '2' occurs twice",
    b"1 1:1 0:1\n": r"line 1: the index '0' comes after 1",
    b"1 -1:2\n": r"line 1: the index '-1' is negative",
    b"1 2147483647:1\n": r"line 1: the index '2147483647' is above 2\*\*31 - 2",
    b"1 1:1 " + b"9" * 5000 + b":1\n": r"line 1: the index '9{37}\.\.\.' is above",
    b"1,2 1:1\n": r"line 1: several labels '1,2'; multilabel files are not supported",
    b"1 1:0x10\n": r"line 1: the value '0x10'",
    b"1 1:1_0\n": r"line 1: the value '1_0'",
    b"1 1_0:1\n": r"line 1: the index '1_0'",
    b"1_0 1:1\n": r"line 1: the label '1_0'",
    b"1 1:1 qid:3\n": r"line 1: the index 'qid' of 'qid:3'",
    b"1 qid:a 1:1\n": r"line 1: the index 'qid' of 'qid:a'",
    b"1 1:2\x00\n": r"line 1: the value '2\\x00'",
    b"1 1:2\x0c2:3\n": r"line 1: the value '2\\x0c2:3'",
    b"\r 1 1:2\n": r"line 1: the label '\\r' is not",
    b"1 1:2\r2 2:1\r": r"line 1: the value '2\\r2'",
    b"\xef\xbb\xbf1 1:2\n": r"line 1: the label '\\xef\\xbb\\xbf1'",
    "\u0661 1:2\n".encode(): r"line 1: the label .* is not a decimal number",
    "1 1:\u0662\n".encode(): r"line 1: the value .* is not a decimal number",
}


@pytest.mark.parametrize(("text", "message"), REFUSED.items(), ids=range(len(REFUSED)))
def test_refusal_names_file_line_and_token(write, text, message):
    path = write(text)
    with pytest.raises(DataError, match=message) as caught:
        load_dataset(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300 + len(str(path))


def test_first_fault_is_the_one_reported():
    with pytest.raises(DataError, match="line 2: the index '1' occurs twice"):
        parse_text(b"1 1:1\n1 1:1 1:1\n1 1:x\n")


@pytest.mark.parametrize("compress", [bz2.compress, lzma.compress, gzip.compress])
def test_compressed_file_cut_anywhere_is_refused(write, compress):
    whole = compress(b"".join(b"%d 1:%d 2:%d\n" % (i % 2, i, i * i % 97) for i in range(50)))
    for length in range(len(whole)):
        with pytest.raises(DataError, match=r"cut short or damaged|is empty|line 1: the label"):
            reader.parse_libsvm(write(whole[:length]))


@pytest.mark.parametrize("suffix", ["", ".xz", ".bz2", ".gz"])
@pytest.mark.parametrize("compress", [bytes, bz2.compress, lzma.compress, gzip.compress])
def test_first_bytes_decide_the_compression_not_the_suffix(write, compress, suffix):
    text = ACCEPTED["plain"]
    data = load_dataset(write(compress(text), "a" + suffix))
    assert data.name == "a"
    assert data.target.tolist() == [1, -1]
    assert data.sha256 == hashlib.sha256(text).hexdigest()
    assert data.source == f"LIBSVM file a{suffix}"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="everyone may read every file here")
def test_unreadable_file_is_a_data_error(write):
    path = write(b"1 1:1\n")
    path.chmod(0)
    with pytest.raises(DataError, match="cannot be read"):
        load_dataset(path)


# --- columns, storage, tasks


def test_n_features_fixes_the_columns(write):
    path = write(b"1 1:1 2:1\n-1 2:1 3:1\n")
    assert load_dataset(path).p == 3
    assert load_dataset(path, n_features=7).p == 7
    with pytest.raises(DataError, match="uses 3 features, got n_features=2; give at least 3"):
        load_dataset(path, n_features=2)
    with pytest.raises(ValueError, match="n_features must be at least 1, got 0"):
        load_dataset(path, n_features=0)


def test_file_without_any_feature_needs_n_features(write):
    path = write(b"1\n-1\n")
    with pytest.raises(DataError, match="has no features in any of its 2 rows"):
        load_dataset(path)
    assert load_dataset(path, n_features=2).A.shape == (2, 2)


def test_dense_only_above_half_full(write):
    half = load_dataset(write(b"1 1:1\n-1 2:1\n", "half"))
    above = load_dataset(write(b"1 1:1 2:1\n-1 2:1\n", "above"))
    assert issparse(half.A)
    assert isinstance(above.A, np.ndarray)
    assert issparse(load_dataset(write(b"1 1:1 2:1\n-1 2:1\n"), n_features=6).A)


TASKS = {
    b"1 1:1\n2 1:2\n": ("binary", (1.0, 2.0)),
    b"0.5 1:1\n1.5 1:2\n": ("binary", (0.5, 1.5)),
    b"1 1:1\n2 1:2\n3 1:1\n": ("multiclass", (1.0, 2.0, 3.0)),
    b"1 1:1\n2 1:2\n3.5 1:1\n": ("regression", None),
}


@pytest.mark.parametrize(("text", "expected"), TASKS.items(), ids=range(len(TASKS)))
def test_task_is_guessed_from_the_targets(write, text, expected):
    data = load_dataset(write(text))
    assert (data.task, data.classes) == expected


def test_any_numeric_target_serves_regression(write):
    for text in TASKS:
        assert load_dataset(write(text), task="regression").classes is None


def test_fractions_are_refused_as_labels(write):
    with pytest.raises(DataError, match=r"3 distinct targets such as 3\.5, which are no class.*lad:case"):
        load_dataset(write(b"1 1:1\n2 1:2\n3.5 1:1\n"), task="binary")


def test_unknown_task_is_refused(write):
    with pytest.raises(ValueError, match="task must be one of binary, multiclass, regression, got 'ranking'"):
        load_dataset(write(b"1 1:1\n"), task="ranking")


def test_load_libsvm_maps_two_classes_only(write):
    _, b = load_libsvm(write(b"1 1:1\n2 1:2\n1 1:3\n"))
    assert b.tolist() == [-1, 1, -1]
    _, b = load_libsvm(write(b"1 1:1\n2 1:2\n3 1:3\n"))
    assert b.tolist() == [1, 2, 3]
    _, b = load_libsvm(write(b"4 1:1\n4 1:2\n"))
    assert b.tolist() == [4, 4]


# --- properties

values = st.floats(allow_nan=False, allow_infinity=False)
rows_of_numbers = st.lists(
    st.tuples(values, st.dictionaries(st.integers(0, 60), values, max_size=8)), min_size=1, max_size=12
)
blanks = st.sampled_from([b" ", b"  ", b"\t", b" \t "])
endings = st.sampled_from([b"\n", b"\r\n", b" \n", b" # 1:2 x\n", b"\n\n", b"\n# between\n"])


@settings(max_examples=150, deadline=None)
@given(rows=rows_of_numbers, base=st.sampled_from([0, 1]), data=st.data())
def test_what_is_written_is_read_back(rows, base, data):
    text = b""
    for label, features in rows:
        pairs = [b"%d:%s" % (j + base, repr(v).encode()) for j, v in sorted(features.items())]
        text += data.draw(blanks).join([repr(label).encode(), *pairs]) + data.draw(endings)
    read = parse_text(text)
    used = {j + base for _, features in rows for j in features}
    assert read.index_base == (0 if 0 in used else 1)
    assert read.p == (max(used) + 1 - read.index_base if used else 0)
    assert read.target.tolist() == [label for label, _ in rows]  # repr gives back the same float
    for i, (_, features) in enumerate(rows):
        entries = slice(read.indptr[i], read.indptr[i + 1])
        stored = dict(zip(read.indices[entries].tolist(), read.values[entries].tolist(), strict=True))
        shift = base - read.index_base
        assert stored == {j + shift: v for j, v in features.items() if v != 0}


tokens = st.sampled_from(
    b"1 -1 +1 0 1: :1 1:1 2:1 2:-1e3 3:.5 0:1 -1:1 10:1e400 3:nan inf 1,2 qid:3 qid:x 4:1_0 5:0x1 1:2:3 "
    b"2147483647:1 2147483646:1 4.:1 4:. 4:1.e 4:e1 x \x00 # \r \r\n \x0b".split(b" ")
)
messy_text = st.lists(st.tuples(tokens, st.sampled_from([b" ", b"\n", b"\n", b"\t", b""])), max_size=14).map(
    lambda parts: b"".join(token + gap for token, gap in parts)
)


@settings(max_examples=800, deadline=None)
@given(text=messy_text)
def test_fast_reader_and_line_by_line_explanation_agree(text):
    lines = [line.partition(b"#")[0] for line in text.split(b"\n")]
    in_order = all(reader._explain(line) is None for line in lines)
    has_rows = any(line.strip(b" \t\r") for line in lines)
    if in_order and has_rows:
        parse_text(text)
    else:
        with pytest.raises(DataError):
            parse_text(text)


@settings(max_examples=150, deadline=None)
@given(text=messy_text)
def test_scikit_learn_reads_the_same_wherever_the_text_is_accepted(text):
    try:
        rows = parse_text(text)
    except DataError:
        return
    assert_equal_to_scikit_learn(rows, text)


def assert_equal_to_scikit_learn(rows: reader.Rows, text: bytes) -> None:
    from sklearn.datasets import load_svmlight_file

    A, target = load_svmlight_file(io.BytesIO(text), zero_based=rows.index_base == 0)
    A.eliminate_zeros()
    np.testing.assert_array_equal(target, rows.target)
    np.testing.assert_array_equal(A.indptr, rows.indptr)
    np.testing.assert_array_equal(A.indices, rows.indices)
    np.testing.assert_array_equal(A.data, rows.values)  # both round correctly: equal to the last bit
    assert A.shape[1] == max(rows.p, 1)  # scikit-learn gives a file without features one column


def test_scikit_learn_is_silent_where_this_reader_is_not():
    from sklearn.datasets import load_svmlight_file

    for text in [b"", b"1 1:nan\n", b"inf 1:1\n", b"1 1:1e400\n", b"1 1:1_0\n", b"1 qid:a 1:2\n"]:
        load_svmlight_file(io.BytesIO(text))  # the reason for a reader of our own
        with pytest.raises(DataError):
            parse_text(text)


# --- the files of the data site


def decompressed(path: Path) -> bytes:
    openers = {".xz": lzma.open, ".bz2": bz2.open}
    with openers.get(path.suffix, open)(path, "rb") as file:
        return file.read()


@needs_files
@pytest.mark.parametrize("row", INDEX, ids=[row["name"] for row in INDEX])
def test_every_indexed_file_has_its_rows_features_and_classes(row):
    path = SHARED / row["file"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == row["sha256"]
    data = load_dataset(row["name"], data_dir=SHARED, task=row["task"])
    features = int(row["features"])
    assert data.m == int(row["rows"])
    assert data.p <= features
    assert data.index_base == 1
    assert data.name == row["name"]
    assert data.task == row["task"]
    if row["task"] == "regression":
        assert data.classes is None
    else:
        assert len(data.classes) == int(row["classes"])
    text = decompressed(path)
    assert data.sha256 == hashlib.sha256(text).hexdigest()
    if data.p < features:
        assert load_dataset(row["name"], data_dir=SHARED, n_features=features).p == features
    if len(text) < 3_000_000:  # the larger ones would add seconds and no new kind of file
        assert_equal_to_scikit_learn(reader._parse(path, text), text)


@needs_files
def test_large_file_comes_from_the_cache_the_second_time(monkeypatch):
    first = load_dataset("a9a", data_dir=SHARED)

    def refuse(*_):
        raise AssertionError("parsed again")

    monkeypatch.setattr(reader, "_parse", refuse)
    second = load_dataset("a9a", data_dir=SHARED)
    for part in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(first.A, part), getattr(second.A, part))
        assert getattr(first.A, part).dtype == getattr(second.A, part).dtype
    np.testing.assert_array_equal(first.target, second.target)
    assert first.sha256 == second.sha256
    assert (first.task, first.classes, first.notes, first.index_base) == (
        second.task, second.classes, second.notes, second.index_base)  # fmt: skip


@needs_files
def test_two_classes_become_signs_in_ascending_order():
    data = load_dataset("breast-cancer", data_dir=SHARED)
    b, mapping = binary_labels(data.target, data.name)
    assert mapping == {2.0: -1, 4.0: 1}
    np.testing.assert_array_equal(load_libsvm("breast-cancer", data_dir=SHARED)[1], b)


# --- the cache of parsed files


@pytest.fixture
def large(write, monkeypatch):
    """A file the reader finds worth caching, and the folder of its cache."""
    monkeypatch.setattr(reader, "CACHE_ABOVE", 10)
    return write(b"1 1:2 3:4\n-1 2:5\n0 qid:1\n", "large"), Path(os.environ["DADAPT_CACHE"]) / "libsvm"


def test_changed_source_is_parsed_anew(large):
    path, folder = large
    assert load_dataset(path).m == 3
    path.write_bytes(b"1 1:2 3:4\n-1 2:6\n")
    assert load_dataset(path).m == 2
    assert len(list(folder.iterdir())) == 2


def test_n_features_applies_to_cached_rows_too(large):
    path, _ = large
    assert [load_dataset(path, n_features=n).p for n in (None, 5, None)] == [3, 5, 3]


@pytest.mark.parametrize("damage", [lambda raw: raw[: len(raw) // 2], lambda raw: b"", lambda raw: b"\0" * 100])
def test_damaged_cache_is_rebuilt(large, damage):
    path, folder = large
    expected = load_dataset(path).A.toarray()
    (stored,) = folder.iterdir()
    whole = stored.read_bytes()
    stored.write_bytes(damage(whole))
    np.testing.assert_array_equal(load_dataset(path).A.toarray(), expected)
    assert stored.read_bytes() == whole


def test_cache_of_another_format_is_rebuilt(large, monkeypatch):
    path, folder = large
    load_dataset(path)
    (stored,) = folder.iterdir()
    before = stored.read_bytes()
    monkeypatch.setattr(reader, "FORMAT", reader.FORMAT + 1)
    assert load_dataset(path).m == 3
    assert stored.read_bytes() != before


def test_small_files_are_not_cached(write):
    load_dataset(write(ACCEPTED["plain"]))
    assert list((Path(os.environ["DADAPT_CACHE"]) / "libsvm").iterdir()) == []


def test_unwritable_cache_changes_nothing(large, monkeypatch, tmp_path):
    path, folder = large
    expected = load_dataset(path)
    shutil.rmtree(folder)
    (tmp_path / "a file").touch()
    monkeypatch.setenv("DADAPT_CACHE", str(tmp_path / "a file" / "cache"))
    assert load_dataset(path).sha256 == expected.sha256
