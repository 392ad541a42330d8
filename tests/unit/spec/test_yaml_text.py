"""YAML is read as plain data; what is more, or more than it polls, is refused in a sentence."""

import time
from typing import Any

import pytest
import yaml

from fitfleet.errors import SpecError
from fitfleet.spec.yaml_text import load

LAUGHS = "a0: &a0 [1, 2, 3]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
)
MERGES = "b0: &b0 {k0: 1}\n" + "".join(
    f"b{i}: &b{i} {{<<: [{', '.join([f'*b{i - 1}'] * 10)}], k{i}: 1}}\n" for i in range(1, 10)
)


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\nb: [1.5, -2, 0x10, 0b11, 0, 1_000]",
        "a: 'text'\nb: \"1\"\nc: |\n  more\n  text\n",
        "a: {b: [~, null, true, False, TRUE]}",
        "a: .inf\nb: -.inf\nc: 1.0e+3\nd: 1.",
        "base: &b {x: 1, y: 2}\nmore: {<<: *b, y: 3}\nlist: {<<: [*b, {z: 1}]}\nagain: [*b, *b]",
        '{"json": [1, 2.5, "x", null, true], "a": {"b": {}}}',
        "",
        "- a\n- [b, c]\n- {1: x}",
        "!!str 1",
        "a: !!bool no\nb: !!bool ON\nc: [nO, oFF, y, n]",
        "a: !!float 1\nb: !!int 3\nc: !!map {d: !!seq [1]}",
    ],
)
def test_plain_data_is_read_as_yaml_has_it(text: str) -> None:
    assert load(text, "file") == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1e-3", 0.001),
        ("-1E5", -1e5),
        ("2024-01-01", "2024-01-01"),
        ("2024-99-99", "2024-99-99"),
        ("12:30", "12:30"),
        ("=", "="),
    ],
)
def test_a_number_is_a_number_and_a_date_is_text(text: str, expected: Any) -> None:
    assert load(f"a: {text}", "file") == {"a": expected}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (LAUGHS, "aliases stand for more than 100,000 values"),
        (MERGES, "aliases stand for more than 100,000 values"),
        ("a: &a {b: *a}", "line 1: *a is used inside its own definition"),
        ("a: *b", "undefined|not defined above"),
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' is given twice"),
        ("a: !!int abc", "line 1: 'abc' is not of type int"),
        ("a: !!int ''", "'' is not of type int"),
        ("a: !!float abc", "'abc' is not of type float"),
        ("a: !!bool abc", "'abc' is not of type bool"),
        ("a: !!timestamp abc", "the tag !!timestamp makes an object"),
        ("a: !!binary aGVsbG8=", "the tag !!binary makes an object"),
        ("a: !!set {a, b}", "the tag !!set makes an object"),
        ("a: !!omap [a: 1]", "the tag !!omap makes an object"),
        ("a: !!python/object/apply:os.system ['id']", "the tag !!python/object"),
        ("a: !mine 3", "the tag !mine makes an object"),
        ("a: " + "9" * 5000, "an integer of 5,000 digits is out of range"),
        ("a: 0x" + "f" * 6000, "an integer of 6,002 digits is out of range"),
        ("a: " + "[" * 3000 + "]" * 3000, "nested deeper than 200 levels|exceeded"),
        ('a: "\\uD800"', "surrogate|invalid Unicode"),
        ("? [1]\n: 2", "a list or mapping cannot be a key"),
        ("a: {<<: 3}", "<< takes a mapping"),
        ("a: 1\n---\nb: 2", "a second document begins"),
        ("a: [1", "is not YAML: line "),
        ("a: \x00", "is not YAML"),
    ],
)
def test_anything_else_is_refused_in_one_sentence(text: str, problem: str) -> None:
    began = time.process_time()
    with pytest.raises(SpecError) as caught:
        load(text, "file")
    assert time.process_time() - began < 1
    message = str(caught.value)
    assert any(part in message for part in problem.split("|"))
    assert "\n" not in message
    assert len(message) < 200


def test_a_megabyte_is_read_within_a_second() -> None:
    text = "".join(f"key_{i}: {{a: 1, b: [2, 3.5, text]}}\n" for i in range(25_000))
    assert len(text) > 900_000
    began = time.process_time()
    assert len(load(text, "file")) == 25_000
    assert time.process_time() - began < 3


@pytest.mark.parametrize("text", ["010", "08", "-007", "00", "0_1"])
def test_numbers_with_leading_zeros_are_refused_for_versions_of_yaml_differ(text: str) -> None:
    with pytest.raises(SpecError, match=r"line 1: '[-0-9_]+' is octal in YAML 1.1"):
        load(f"units: {text}", "file")
    assert load(f"units: '{text}'", "file") == {"units": text}
    assert load("a: 0\nb: 0.5\nc: 0o10", "file") == {"a": 0, "b": 0.5, "c": 8}


@pytest.mark.parametrize("text", ["yes", "Yes", "YES", "no", "No", "NO", "on", "On", "off", "OFF"])
@pytest.mark.parametrize("form", ["x: [a, {}]", "{}: 1", "{}"])
def test_words_that_are_a_truth_in_one_version_of_yaml_are_refused(text: str, form: str) -> None:
    meant = "true" if text.lower() in ("yes", "on") else "false"
    with pytest.raises(SpecError, match=rf"line 1: '{text}' is {meant} in .*; write {meant}, or"):
        load(form.replace("{}", text), "file")
    quoted = form.replace("{}", f'"{text}"')
    assert load(quoted, "file") == yaml.safe_load(quoted)
