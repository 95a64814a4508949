"""A user's YAML that is damaged, hostile or of another kind: one line with file, line and column."""

import pytest

from usbench.cli import listing
from usbench.errors import ConfigError, DataError
from usbench.io.config import check_config_dir, compose_alone, conf_dir
from usbench.io.yaml_file import read_yaml

LINES = [
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
]
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    LINES
)  # 9⁹ values, which nothing could load
BAD = {
    "tab": (b"name: mine\n\tbuild: {}\n", "line 2, column 1: ", "instead of a tab"),
    "binary": (bytes(range(256)), "UTF-8", "save it as UTF-8"),
    "latin-1": ("name: Käse".encode("latin-1"), "UTF-8", "save it as UTF-8"),
    "NUL": (b"name: a\0b\n", "expected YAML", "#x0000"),
    "duplicate": (
        b"name: a\ntask: b\nname: c\n",
        "line 3, column 1: ",
        "the key name is there twice",
    ),
    "nested duplicate": (b"a: {b: 1, b: 2}\n", "line 1, column 11: ", "the key b is there twice"),
    "python": (
        b"name: !!python/object/apply:os.system [x]\n",
        "line 1, column 7: ",
        "the tag !!python/object/apply:os.system",
    ),
    "own tag": (b"name: !mine x\n", "line 1, column 7: ", "the tag !mine"),
    "deep": (b"a: " + b"[" * 60 + b"]" * 60, "line 1, column ", "at most 50 levels"),
    "very deep": (b"a: " + b"[" * 100_000 + b"]" * 100_000, "line 1, column ", "nesting"),
    "bomb": (BOMB.encode(), "line 4, column ", "at most 5,000 values by aliases"),
    "circle": (b"a: &a [*a]\n", "line 1, column 8: ", "*a lies within &a"),
    "unknown alias": (b"a: *b\n", "line 1, column 4: ", "undefined alias"),
    "two documents": (b"a: 1\n---\nb: 2\n", "line 2, column 1: ", "another document"),
    "cut off": (b"a: [1,\n", "line 2, column 1: ", "expected"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_yaml_is_one_line(tmp_path, name):
    content, *says = BAD[name]
    path = tmp_path / "model" / "mine.yaml"
    path.parent.mkdir()
    path.write_bytes(content)
    for read in (lambda: read_yaml(path), lambda: check_config_dir(tmp_path)):
        with pytest.raises(ConfigError) as caught:
            read()
        message = str(caught.value)
        assert message.startswith(f"{path}: ") and "\n" not in message
        assert all(part in message for part in says), message


@pytest.mark.parametrize("name", ["tab", "bomb", "duplicate"])
def test_a_run_and_a_verb_say_so(tmp_path, name, capsys):
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "mine.yaml").write_bytes(BAD[name][0])
    with pytest.raises(ConfigError, match=r"mine\.yaml: line"):
        compose_alone(["dataset=mine"], tmp_path)
    assert listing.main(["--config-dir", str(tmp_path)]) == 2
    assert "mine.yaml: line" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["- 1\n- 2\n", "hello\n", "7"])
def test_a_configuration_has_keys(tmp_path, content):
    (tmp_path / "mine.yaml").write_text(content)
    with pytest.raises(ConfigError, match=r"mine\.yaml: expected keys with values, got "):
        check_config_dir(tmp_path)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"--config-dir .*none: no such folder"):
        check_config_dir(tmp_path / "none")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.yaml: can't be read \(No such file"):
        read_yaml(tmp_path / "none.yaml", DataError)


def test_good_yaml_is_read(tmp_path):
    path = tmp_path / "good.yaml"
    path.write_text("a: &a {x: 1}\nb: {<<: *a, y: !!str 2}\nc: *a\n", "utf-8")
    assert read_yaml(path) == {"a": {"x": 1}, "b": {"x": 1, "y": "2"}, "c": {"x": 1}}
    path.write_text("")
    assert read_yaml(path) is None


def test_what_is_shipped_is_read():
    check_config_dir(conf_dir())


def test_a_yaml_that_builds_on_another_is_listed(tmp_path, capsys):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("defaults: [unet, _self_]\nname: mine\n")
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "ours.yaml").write_text("null\n")
    (tmp_path / "dataset" / "mine.yaml").write_text("defaults: [usgra]\n")
    assert listing.main(["--config-dir", str(tmp_path)]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if "mine" in line]
    assert rows[-1][:3] == ["mine", "?", "?"]
