"""YAML means what stands there, and hostile YAML ends in one line."""

import math
import random
from pathlib import Path
from typing import Any

import pytest
import yaml as pyyaml

from perpixel.core import yaml
from perpixel.core.errors import UserError
from perpixel.core.yaml import parse_yaml, read_yaml

WORDS = "001 010 no on Yes off 1_000 2020-13-45 2020-01-01 1:30 0x1f 1.5.2 n = 00.5".split()


@pytest.mark.parametrize("word", WORDS)
def test_words_stay_words(word: str) -> None:
    assert parse_yaml(f"{{name: {word}, {word}: 1}}", "t") == {"name": word, word: 1}


SCALARS: dict[str, Any] = {
    "0": 0, "12": 12, "-7": -7, "+3": 3, "1.5": 1.5, "-.5": -0.5, "1e-3": 1e-3, "2.E+3": 2000.0,
    "true": True, "False": False, "null": None, "~": None, ".inf": math.inf, "-.Inf": -math.inf,
    '"12"': "12", "'true'": "true", "!!str 12": "12", "a b": "a b",
}  # fmt: skip


@pytest.mark.parametrize(("written", "value"), SCALARS.items())
def test_numbers_and_constants(written: str, value: Any) -> None:
    found = parse_yaml(f"k: {written}\n", "t")["k"]
    assert found == value and type(found) is type(value)


def test_not_a_number() -> None:
    assert math.isnan(parse_yaml(".nan", "t"))


def test_as_written_changes_nothing() -> None:
    text = "names: [1.10, null, 1e3, true, ~, 'x y']\nempty:\n"
    assert parse_yaml(text, "t", as_written=True) == {"names": ["1.10", "null", "1e3", "true", "~", "x y"], "empty": ""}


def test_it_reads_back_what_pyyaml_writes() -> None:
    data = {"crop": [352, 480], "lr": 0.002, "tiny": 1e-07, "name": "no", "flag": False, "none": None, "empty": "",
            "nested": [{"a": [1, 2.5], "b": {}}, []], "text": "two\nlines: 'here'", "date": "2020-01-01"}  # fmt: skip
    for flow in (False, True, None):
        assert parse_yaml(pyyaml.safe_dump(data, default_flow_style=flow), "t") == data


def test_random_plain_data_reads_as_pyyaml_reads_it() -> None:
    rng = random.Random(0)

    def grow(depth: int) -> Any:
        kind = rng.randrange(7 if depth < 4 else 5)
        if kind < 5:
            large = rng.random() * 10 ** rng.randrange(-5, 5)
            return [rng.randrange(-99, 99), large, rng.random() < 0.5, None, "äb: c"][kind]
        inside = [grow(depth + 1) for _ in range(rng.randrange(4))]
        return inside if kind == 5 else {f"k{i}": v for i, v in enumerate(inside)}

    for _ in range(50):
        data = grow(0)
        assert parse_yaml(pyyaml.safe_dump(data), "t") == data


def test_aliases_repeat_what_they_name() -> None:
    assert parse_yaml("a: &x [1, 2]\nb: *x\n", "t") == {"a": [1, 2], "b": [1, 2]}


def laughs(levels: int) -> str:
    lines = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, levels)]
    return "\n".join(lines)


def deep_by_aliases() -> str:
    lines = ["a0: &a0 " + "[" * 30 + "]" * 30]
    lines += [f"a{i}: &a{i} {'[' * 30}*a{i - 1}{']' * 30}" for i in range(1, 60)]
    return "\n".join(lines)


REFUSED = {
    "an alias bomb": (laughs(12), "more than 200,000 entries"),
    "an alias of itself": ("a: &x [1, *x]", "part of"),
    "an alias of nothing": ("a: *x", "valid YAML|before"),
    "nested lists": ("[" * 10_000 + "]" * 10_000, "more than 50 deep"),
    "nested mappings": ("{a: " * 10_000, "more than 50 deep"),
    "nested blocks": ("- " * 10_000 + "x", "more than 50 deep"),
    "nested by aliases": (deep_by_aliases(), "more than 50 deep"),
    "a long integer": ("seed: " + "1" * 5000, "5,000 digits"),
    "a long float": ("seed: 0." + "1" * 5000, "5,002 digits"),
    "a key twice": ("a: 1\nb: 2\na: 3\n", 'line 3: the key "a" is given twice'),
    "a key twice, quoted": ("a: 1\n'a': 3\n", "twice"),
    "a list as key": ("? [a, b]\n: 1\n", "a key must be"),
    "an alias as key": ("a: &x 1\n*x : 2\n", "a key must be"),
    "a Python object": ("a: !!python/object/apply:os.system [ls]", "tag"),
    "binary": ("a: !!binary aGVsbG8=", "tag"),
    "two documents": ("a: 1\n---\nb: 2\n", "second document"),
    "not closed": ("a: [1, 2", "not valid YAML"),
    "a tab": ("a:\n\t- b", "not valid YAML .* in line 2"),
    "a control character": ("a: \x07", "not valid YAML"),
    "half a character": ('a: "\\ud800"', "not valid YAML"),
    "half a character from the command line": ("a: \udcff", "not valid YAML"),
}


@pytest.mark.parametrize(("text", "words"), REFUSED.values(), ids=REFUSED)
def test_hostile_yaml_is_one_line(text: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as refused:
        parse_yaml(text, "here")
    assert str(refused.value).startswith("here")
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 300


def test_without_the_c_library_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(pyyaml, "CSafeLoader", raising=False)
    assert parse_yaml("{a: 001, b: [1, no]}", "t") == {"a": "001", "b": [1, "no"]}
    for text, words in REFUSED.values():
        with pytest.raises(UserError, match=words):
            parse_yaml(text, "here")


def test_bounds_on_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml, "MAX_BYTES", 20)
    with pytest.raises(UserError, match="21 characters"):
        parse_yaml("a" * 21, "t")
    monkeypatch.setattr(yaml, "MAX_NODES", 4)
    assert parse_yaml("[a, b, c]", "t") == ["a", "b", "c"]
    with pytest.raises(UserError, match="more than 4 entries"):
        parse_yaml("[a, b, c, d]", "t")


def test_a_file_of_windows(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes("name: Größe\r\nvalues: [010, 10]\r\n".encode("utf-16"))
    assert read_yaml(tmp_path / "a.yaml") == {"name": "Größe", "values": ["010", 10]}
    (tmp_path / "a.yaml").write_text("# nothing yet\n")
    assert read_yaml(tmp_path / "a.yaml") is None
    (tmp_path / "a.yaml").write_text("a: [")
    with pytest.raises(UserError, match=r"a\.yaml: not valid YAML"):
        read_yaml(tmp_path / "a.yaml")
