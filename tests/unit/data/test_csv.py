"""CSV as it comes: each file gives the numbers that stand in it, or one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fitfleet.data.arrays import load
from fitfleet.data.description.description import describe
from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.job import DatasetSpec

ROWS = "0.5,1\n1.5,2\n"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("x,y\n1,2,3\n4,5,6\n", "line 2: has 3 fields, but the header names 2 columns"),
        ("x,y\n1,2\n4,5,6\n", "line 3: has 3 fields"),
        ("x,y\n1,2\n\n4\n", "line 4: has 1 field, but"),
        ("x,y\n1,2\n4,5,\n", "line 3: has 3 fields"),
        ('x,y\n"1",2\n\n"4",5,6\n', "line 4: has 3 fields"),
        ('x,y,t\n1,2,"a\nb"\n4,5\n', "line 4: has 2 fields"),
        ('x,y\n"1,2\n3,4\n', "begins in line 2 .* never closed"),
        ('x,y\n"1"0,2\n', "line 2 .* more text follows a closing quote"),
        ("x\n1\n\n2\n", "line 3: is empty; write NaN"),
        ("x;y\n1;2\n", "no comma but 1 semicolons"),
        ("x\ty\n1\t2\n", "no comma but 1 tabs"),
        ("0.5,1\n1.5,2\n", "its first line contains numbers"),
        ("x,x,y\n1,2,3\n", "names two columns 'x'"),
        ("", "is empty"),
        ("x,y\n1\0,2\n", "line 2: contains a zero byte"),
        ('x,y\n"1\0",2\n', "line 2: contains a zero byte"),
        ('"x,y\n1,2\n', "line 1: the header does not end"),
        (
            "x,y\n1,2\n3,?\n",
            "column 'y' contains '\\?' in row 2 .*, not a number; name columns",
        ),
        ('x,y\n1,2\n3,"1,234"\n', "contains '1,234' in row 2 .* without separators"),
        ("x,y\n1,2\n3,2024-01-01\n", "contains '2024-01-01'"),
        ("x,y\nTrue,2\n3,1\n", "column 'x' contains 'True'"),
        (
            "x,y\n18446744073709551616,1\n3,2\n",
            "18446744073709551616.*, not a number of 64 bits",
        ),
        ("x,y\n1_000,1\n3,2\n", "contains '1_000'"),
        (
            "x,y\n1,1\n2\u00a0,2\n",
            "contains .2.* in row 2 .*; write it with the digits",
        ),
        (
            "x,y\n1,1\n\u0663,2\n",
            "contains '\u0663' in row 2 .*, not a number; write it with the digits",
        ),
        ("x,y\n1,1\n\u22123,2\n", "contains '\u22123' in row 2 .* the sign - and plain spaces"),
        ("x,y\r1,2\r3,4\r", "end with CR alone"),
        ("x,y\n", "x has no rows"),
    ],
)
def test_a_file_that_does_not_fit_its_header_is_refused_with_its_line(
    content: str, problem: str, folder: Path, settings: Settings
) -> None:
    (folder / "t.csv").write_text(content)
    x = "x" if content[:1] == "x" else "x_train"
    y = "y" if "y" in content else "x"
    with pytest.raises(DatasetError, match=problem) as caught:
        describe(DatasetSpec(path="t.csv", x=x, y=y), settings)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "content", ["größe,y\n1,2\n".encode("cp1252"), "x,y\n1,ü\n".encode("cp1252")]
)
def test_text_that_is_not_utf8_is_refused(content: bytes, folder: Path, settings: Settings) -> None:
    (folder / "t.csv").write_bytes(content)
    with pytest.raises(DatasetError, match="UTF-8"):
        describe(DatasetSpec(path="t.csv", x="x", y="y"), settings)


@pytest.mark.parametrize(
    "content",
    [
        f"x,y\n{ROWS}",
        f"\ufeffx,y\n{ROWS}",
        f"x, y\n{ROWS}",
        f"\n\nx,y\n{ROWS}\n\n",
        f"x,y\n{ROWS}".replace("\n", "\r\n"),
        f"x,y\n{ROWS}".rstrip("\n"),
        '"x","y"\n"0.5","1"\n"1.5",2\n',
        'x,y,text\n0.5,1,"a, ""b"""\n1.5,2,"c\nd"\n',
        'x,y,text\n 0.5, 1,a"b\n1.5,2,\n',
        "x,y\r0.5,1\r1.5,2\r".replace("x,y\r", "x,y\r\n"),
    ],
)
def test_a_file_that_fits_its_header_gives_its_numbers(
    content: str, folder: Path, settings: Settings
) -> None:
    (folder / "t.csv").write_bytes(content.encode())
    arrays = load(DatasetSpec(path="t.csv", x="x", y="y"), settings)
    assert arrays.x.tolist() == [0.5, 1.5]
    assert arrays.y.tolist() == [1, 2]


def test_a_column_that_is_called_as_two_are_together_hides_no_nan(
    folder: Path, settings: Settings
) -> None:
    (folder / "n.csv").write_text('a,b,"a, b",y\n1,,1,0\n2,3,1,0\n')
    x = {"i": ["a", "b"], "j": "a, b"}
    with pytest.raises(DatasetError, match="contains 1 NaN"):
        describe(DatasetSpec(path="n.csv", x=x, y="y", nan="refuse"), settings)


def test_true_and_false_with_gaps_are_one_zero_and_nan(folder: Path, settings: Settings) -> None:
    (folder / "t.csv").write_text("x,y\nTrue,1\n,2\nFalse,3\n")
    arrays = load(DatasetSpec(path="t.csv", x="x", y="y"), settings)
    np.testing.assert_array_equal(arrays.x, [1, np.nan, 0])


def test_lines_are_counted_across_blocks(
    folder: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fitfleet.data.formats.csv_lines._BLOCK_BYTES", 50)
    good = "x,y\n" + "".join(f"{i},{i % 7}\n" for i in range(200))
    (folder / "t.csv").write_text(good)
    assert load(DatasetSpec(path="t.csv", x="x", y="y"), settings).x.tolist() == [*range(200)]
    for more, line in (("1,2,3\n", 202), ('"1",2,3\n', 202), ('"1",2\n1\n', 203)):
        (folder / "b.csv").write_text(good + more)
        with pytest.raises(DatasetError, match=f"line {line}: "):
            describe(DatasetSpec(path="b.csv", x="x", y="y"), settings)
