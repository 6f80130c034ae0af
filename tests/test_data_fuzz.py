"""The LIBSVM readers against a slow one written from the grammar alone (see fuzz_libsvm.py)."""

import bz2
import gzip
import lzma
import random

import fuzz_libsvm as fuzz
import libsvm_reference as reference
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from problems.data import grammar, parsed, tokenizer

PLAIN, GZIP = b"1 1:2 3:4\n-1 2:5\n", gzip.compress(b"1 1:2\n", mtime=0)

# Inputs that were once read wrongly, and their neighbours.
CASES = [
    # the kind of compression was looked for in the first piece alone, which may be shorter than the magic bytes
    bz2.compress(PLAIN),
    lzma.compress(PLAIN),
    GZIP,
    # text after a stream was passed over, and with it a second stream whose first byte was damaged
    bz2.compress(PLAIN) + b"\x00" + bz2.compress(PLAIN)[1:],
    lzma.compress(PLAIN) + b"more",
    # a carriage return was taken for a blank at the end of a row, not only of a line
    b"1 1:2\r # comment\n",
    b"1 1:2 \r\r\n",
    # a label of -0 kept its sign, and the order of rows decided how the class was written
    b"-0 1:1\n0 1:2\n",
    # exponents were counted up to 10000 only, and a fraction of as many digits brought them back to 0
    b"1 1:." + b"0" * 9999 + b"1e99999\n",
    b"1 1:1" + b"0" * 9999 + b"e-99999\n",
    b"1 1:." + b"0" * 9999 + b"1e10000\n",
    # the message quoted forty bytes twice, each as four characters
    b"0 " + b"\xab" * 39 + b":1\n",
    b"\xab" * 1000,
    # two indices of 309 digits and more, each infinite in float64: NumPy warned of their difference
    b"1 " + b"9" * 400 + b":1 " + b"9" * 401 + b":1\n",
    # a multiplication by 10**-22 instead of a division
    b"1 1:8.5e-22 2:0.3 3:1e-22\n",
    b"",
    b"\r",
    b"#",
    b"1",
    b"1\r",
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ\x00",
    b"1 qid:",
    b"1 q",
    b"1 1",
    b"1 1:",
    b"1 1:+",
    b"1 1:1e",
    b"1 1:1e-",
    b"e1 1:1",
]


@pytest.mark.parametrize("file", CASES, ids=range(len(CASES)))
def test_kept_cases(file):
    for seed in range(8):  # pieces of other lengths
        fuzz.check(file, random.Random(seed))


def test_some_seconds_of_fuzzing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DADAPT_CACHE", str(tmp_path))
    monkeypatch.setattr(parsed, "CACHE_ABOVE", 0)
    counts = fuzz.fuzz(seed=2, seconds=4, corpus=fuzz.corpus_from(None))
    assert capsys.readouterr().out == ""  # findings are printed
    assert counts["findings"] == 0
    assert min(counts["accepted"], counts["refused"]) > 20


DEFECTS = {
    "a wrong power of ten": (tokenizer, "decimals", lambda text: grammar.decimals(text) * (1 + 2**-52)),
    "zeros are kept": (grammar, "without_zeros", lambda piece: piece),
    "a rule is forgotten": (grammar, "_IS_ROW", grammar.re.compile(rb".*")),
    "a line too late": (parsed, "first_fault", lambda text: (1 + grammar.first_fault(text)[0], "fault")),
}


@pytest.mark.parametrize("defect", DEFECTS.values(), ids=DEFECTS.keys())
def test_fuzzing_finds_a_defect(defect, monkeypatch, capsys):
    monkeypatch.setattr(*defect)
    counts = fuzz.fuzz(seed=3, seconds=1.5, corpus=fuzz.MADE)
    assert counts["findings"] > 0
    assert "--seed 3 --only " in capsys.readouterr().out


def test_a_finding_can_be_made_again(capsys):
    for number in range(100):
        assert len({fuzz.make(fuzz.MADE, random.Random(f"5 {number}")) for _ in range(2)}) == 1
    assert sum(fuzz.fuzz(5, 10, fuzz.MADE, only=17).values()) == 1
    assert capsys.readouterr().out == ""


characters = st.text(alphabet="0123456789 \t\n\r:.+-eE#qidx\x00", max_size=40).map(str.encode)


@settings(max_examples=400, deadline=None)
@given(text=characters, seed=st.integers(0, 10))
def test_any_text_is_read_or_refused_as_the_grammar_says(text, seed):
    fuzz.check(text, random.Random(seed))


@settings(max_examples=60, deadline=None)
@given(
    m=st.integers(1, 8), p=st.integers(1, 9), density=st.floats(0, 1), seed=st.integers(0, 2**32 - 1),
    scale=st.integers(-300, 300), base=st.sampled_from([0, 1]), compiled=st.booleans(),
)  # fmt: skip
def test_a_matrix_that_is_written_is_read_back(m, p, density, seed, scale, base, compiled):
    rng = np.random.default_rng(seed)
    A = scipy.sparse.random_array((m, p), density=density, rng=rng, format="csr") * 10.0**scale
    A.eliminate_zeros()
    A.sort_indices()
    target = rng.standard_normal(m)
    text = b"".join(
        b" ".join([repr(b).encode(), *(b"%d:%s" % (j + base, repr(v).encode()) for j, v in zip(*row, strict=True))])
        + b"\n"
        for b, row in zip(target.tolist(), rows_of(A), strict=True)
    )
    rows = fuzz.outcome(text, tokenizer.read_compiled if compiled else grammar.read_plainly, 1 << 20)
    shift = base - rows.index_base
    np.testing.assert_array_equal(rows.target, target)
    np.testing.assert_array_equal(rows.indptr, A.indptr)
    np.testing.assert_array_equal(rows.indices, A.indices + shift)
    np.testing.assert_array_equal(rows.values, A.data)


def rows_of(A):
    for begin, end in zip(A.indptr, A.indptr[1:], strict=False):
        yield A.indices[begin:end].tolist(), A.data[begin:end].tolist()


@pytest.mark.parametrize(
    ("text", "line"),
    [(b"", 0), (b"# 1 1:1\n\n", 0), (b"1 1:1\n1 1:x\n", 2), (b"1 2:1 1:1", 1), (b"1 1:1e999\n", 1), (b"nan\n", 1)],
)
def test_the_reference_refuses(text, line):
    with pytest.raises(reference.Refused) as caught:
        reference.read(text)
    assert caught.value.line == line


def test_the_reference_reads():
    labels, rows, has_qid = reference.read(b"# 1\n+1 qid:3 1:2. 03:-.5e1 # 4:4\r\n\n-0\t0:0")
    assert (labels, rows, has_qid) == ([1, 0], [{1: 2, 3: -5}, {0: 0}], True)
    assert np.signbit(labels).sum() == 0
