"""The LIBSVM reader: what it accepts, what it refuses and in which words, and the files of the data site."""

import bz2
import csv
import gzip
import hashlib
import io
import lzma
import os
import re
from pathlib import Path

import numpy as np
import pytest
from exhaustive import one_in
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, issparse

from problems.data import DataError, binary_labels, grammar, load_dataset, load_libsvm, parsed
from problems.data.grammar import read_plainly
from problems.data.parsed import Rows, parse_libsvm
from problems.data.streams import TextPieces
from problems.data.tokenizer import read_compiled

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


def dense(rows: Rows) -> np.ndarray:
    return csr_array((rows.values, rows.indices, rows.indptr), shape=(rows.target.size, rows.p)).toarray()


READERS = (read_plainly, read_compiled)


def parse_text(text: bytes, reader=read_plainly) -> Rows:
    return parsed.parse_text("case", TextPieces("case", io.BytesIO(text)), lambda _: reader)


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


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepted_forms_all_give_the_same_rows(text, reader):
    rows = parse_text(text, reader)
    assert rows.target.tolist() == [1, -1]
    assert dense(rows).tolist() == [[2, 0, 4], [0, 5, 0]]
    assert rows.index_base == 1
    assert rows.has_qid == (b"qid" in text)


NUMBERS = {
    b"5e-324": 5e-324,  # the smallest subnormal number
    b"2.4703282292062328e-324": 5e-324,  # just above half of it
    b"2.4703282292062327e-324": 0.0,
    b"1e-400": 0.0,
    b"-1e-400": 0.0,
    b"1.7976931348623158e308": 1.7976931348623157e308,
    b"9007199254740993": 9007199254740992.0,  # a tie, to even
    b"9007199254740993.00000000000000000000000000001": 9007199254740994.0,
    b"90071992547409920e-1": 9007199254740992.0,
    b"1e22": 1e22,  # the largest power of ten in float64
    b"1e23": 1e23,
    b"8.5e-22": 8.5e-22,
    b"0.3": 0.3,
    b"00000000000000000000000000000.1000000000000000000000000000000000": 0.1,
    b"0e99999999999999999999": 0.0,
    b"1e-99999999999999999999": 0.0,
    b"1" + b"0" * 400 + b"e-400": 1.0,
    b"." + b"0" * 5000 + b"1e5001": 1.0,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("text", "value"), NUMBERS.items(), ids=range(len(NUMBERS)))
def test_numbers_are_rounded_to_the_nearest(text, value, reader):
    rows = parse_text(b"%b 1:%b 2:-%b 3:1\n" % (text, text, text.removeprefix(b"-")), reader)
    assert rows.target.tolist() == [value]
    assert rows.values.tolist() == ([value, -value, 1] if value else [1])
    assert float(text) == value


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("zero", [b"-0", b"-0.0", b"-0e5", b"-1e-999"])
def test_minus_zero_is_zero(zero, reader):
    rows = parse_text(zero + b" 1:" + zero + b" 2:1\n", reader)
    assert not np.signbit(rows.target).any()
    assert rows.indices.tolist() == [1]


@pytest.mark.parametrize("reader", READERS)
def test_comments_may_hold_any_byte(reader):
    comment = bytes(set(range(256)) - {10})
    assert parse_text(b"1 1:2#" + comment + b"\n#" + comment + b"\n", reader).values.tolist() == [2]


@settings(max_examples=100, deadline=None)
@given(numbers=st.lists(st.from_regex(rb"[+-]?([0-9]{1,25}(\.[0-9]{0,25})?|\.[0-9]{1,25})(e[+-]?[0-9]{1,3})?",
                                      fullmatch=True).filter(lambda n: np.isfinite(float(n))), min_size=1))  # fmt: skip
def test_every_number_is_what_float_makes_of_it(numbers):
    text = b"".join(number + b"\n" for number in numbers)
    for reader in READERS:
        assert parse_text(text, reader).target.tolist() == [float(number) for number in numbers]


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
    b"1 1:2\r\r\n": r"line 1: the value '2\\r' of",
    b"1 1:2 \r \n": r"line 1: expected index:value, got '\\r'",
    b"1 1:2\r# comment\n": r"line 1: the value '2\\r' of",
    b"1 1:2\r1 1:3\r": r"line 1: the value '2\\r1' of",
    b"1 1:1d5\n": r"line 1: the value '1d5' of feature '1' is not a decimal number",
    b"1 1:1,5\n": r"line 1: the value '1,5' of feature '1' is not a decimal number",
    b"1 1:+-1\n": r"line 1: the value '\+-1' of feature '1' is not a decimal number",
    b"1 1:1e\n": r"line 1: the value '1e' of feature '1' is not a decimal number",
    b"1 1:.\n": r"line 1: the value '\.' of feature '1' is not a decimal number",
    b"1 1:" + b"9" * 400 + b"\n": r"line 1: the value '9{37}\.\.\.' of feature '1' is too large",
    b"1 1:1\n" * 3 + b"x" * 10**6: r"line 4: the label 'x{37}\.\.\.' is not a decimal number",
    b"1 07:1 7:1\n": r"line 1: the index '7' occurs twice",
    b"1 1:2\x0c\n": r"line 1: the value '2\\x0c'",
    b"\x00 1:2\n": r"line 1: the label '\\x00' is not",
    b"1 1:2 # \n1 1:2\xa0\n": r"line 2: the value '2\\xa0'",
    b"1 qid:1 qid:2 1:1\n": r"line 1: the index 'qid' of 'qid:2'",
    b"1 qid: 1:1\n": r"line 1: the index 'qid' of 'qid:'",
    b"1 qid:-1 1:1\n": r"line 1: the index 'qid' of 'qid:-1'",
    b"1 QID:1 1:1\n": r"line 1: the index 'QID' of 'QID:1'",
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
    for reader in READERS:
        with pytest.raises(DataError, match=message) as again:
            parse_text(text, reader)
        assert str(again.value).removeprefix("case") == str(caught.value).removeprefix(str(path))


def test_first_fault_is_the_one_reported():
    with pytest.raises(DataError, match="line 2: the index '1' occurs twice"):
        parse_text(b"1 1:1\n1 1:1 1:1\n1 1:x\n")


@pytest.mark.parametrize("compress", [bz2.compress, lzma.compress, gzip.compress])
def test_compressed_file_cut_anywhere_is_refused(write, compress):
    whole = compress(b"".join(b"%d 1:%d 2:%d\n" % (i % 2, i, i * i % 97) for i in range(50)))
    for length in range(len(whole)):
        with pytest.raises(DataError, match=r"cut short or damaged|is empty|line 1: the label"):
            parse_libsvm(write(whole[:length]))


@pytest.mark.parametrize("suffix", ["", ".xz", ".bz2", ".gz"])
@pytest.mark.parametrize("compress", [bytes, bz2.compress, lzma.compress, gzip.compress])
def test_first_bytes_decide_the_compression_not_the_suffix(write, compress, suffix):
    text = ACCEPTED["plain"]
    data = load_dataset(write(compress(text), "a" + suffix))
    assert data.name == "a"
    assert data.target.tolist() == [1, -1]
    assert data.sha256 == hashlib.sha256(text).hexdigest()
    assert data.source == f"LIBSVM file a{suffix}"


def test_unreadable_file_is_a_data_error(write, monkeypatch):
    path = write(b"1 1:1\n")

    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    for read in (load_dataset, parse_libsvm):
        with pytest.raises(DataError, match="case cannot be read: Permission denied"):
            read(path)


# --- columns, storage, tasks


def test_n_features_fixes_the_columns(write):
    path = write(b"1 1:1 2:1\n-1 2:1 3:1\n")
    assert load_dataset(path).p == 3
    assert load_dataset(path, n_features=7).p == 7
    with pytest.raises(
        DataError, match="line 2: the index 3; the file uses 3 features, got n_features=2; give at least 3"
    ):
        load_dataset(path, n_features=2)
    with pytest.raises(ValueError, match="n_features must be an integer of at least 1, got 0"):
        load_dataset(path, n_features=0)


def test_line_of_an_index_beyond_n_features_is_found_among_comments_and_query_ids(write):
    path = write(b"# 9:9\n1 qid:99 1:1 # 7:7\n\n-1 qid:5 2:1 " + b"0" * 5000 + b"4:0\n1 5:1\n")
    with pytest.raises(DataError, match="line 4: the index 4; the file uses 5 features, got n_features=3"):
        load_dataset(path, n_features=3)


def test_index_base_can_be_given(write):
    path = write(b"1 1:1 2:1\n-1 2:2\n")  # a test file without the 0 its training file has
    data = load_dataset(path, index_base=0)
    assert data.index_base == 0
    assert np.asarray(data.A.todense() if issparse(data.A) else data.A).tolist() == [[0, 1, 1], [0, 0, 2]]
    assert load_dataset(path, index_base=0, n_features=4).p == 4
    assert load_libsvm(path, index_base=0)[0].shape == (2, 3)
    assert load_dataset(path, index_base=1).p == load_dataset(path).p == 2
    with pytest.raises(DataError, match="line 1: the index 2; the file uses 3 features, got n_features=2"):
        load_dataset(path, index_base=0, n_features=2)


def test_index_zero_is_refused_where_indices_count_from_one(write):
    path = write(b"1 1:3\n-1 0:5\n")
    with pytest.raises(DataError, match="line 2: the index 0, got index_base=1; leave it out or give 0"):
        load_dataset(path, index_base=1)
    assert load_dataset(path, index_base=0).p == 2
    with pytest.raises(ValueError, match="index_base must be 0 or 1, got 2"):
        load_dataset(path, index_base=2)


@pytest.mark.parametrize("index_base", [0, 1])
def test_largest_index_fits_whatever_the_base(write, index_base):
    A = load_dataset(write(b"1 2147483646:1\n-1 1:1\n"), index_base=index_base).A
    assert A.shape == (2, 2**31 - 1 - index_base)
    assert A.indices.tolist() == [2147483646 - index_base, 1 - index_base]
    assert A.indices.dtype == np.int32


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
    path = write(b"1 1:1\n2 1:2\n3.5 1:1\n")
    said = rf"3 distinct targets such as 3\.5, which are no class.*e\.g\. lad:{re.escape(str(path))} or"
    with pytest.raises(DataError, match=said):
        load_dataset(path, task="binary")


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
    read = parse_text(text, data.draw(st.sampled_from(READERS)))
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


@settings(max_examples=400, deadline=None)
@given(text=messy_text)
def test_readers_and_line_by_line_explanation_agree(text):
    rows = grammar.split_rows(text)
    in_order = all(grammar.explain(row) is None for row in rows)
    has_rows = any(row.strip(b" \t") for row in rows)
    for reader in READERS:
        if in_order and has_rows:
            parse_text(text, reader)
        else:
            with pytest.raises(DataError):
                parse_text(text, reader)


@settings(max_examples=150, deadline=None)
@given(text=messy_text)
def test_scikit_learn_reads_the_same_wherever_the_text_is_accepted(text):
    try:
        rows = parse_text(text)
    except DataError:
        return
    assert_equal_to_scikit_learn(rows, text)


def assert_equal_to_scikit_learn(rows: Rows, text: bytes) -> None:
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
@pytest.mark.parametrize("row", one_in(4, INDEX), ids=[row["name"] for row in INDEX])
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
    for reader in READERS:
        # scikit-learn's reader and the plain one take a second for the larger files, and see no new kind of file
        if len(text) < 3_000_000 or reader is read_compiled:
            rows = parse_text(text, reader)
            assert (rows.p, rows.target.size, rows.text_bytes) == (data.p, data.m, len(text))
            if len(text) < 3_000_000:
                assert_equal_to_scikit_learn(rows, text)


@needs_files
def test_two_classes_become_signs_in_ascending_order():
    data = load_dataset("breast-cancer", data_dir=SHARED)
    b, mapping = binary_labels(data.target, data.name)
    assert mapping == {2.0: -1, 4.0: 1}
    np.testing.assert_array_equal(load_libsvm("breast-cancer", data_dir=SHARED)[1], b)
