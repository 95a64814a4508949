"""The documentation is true: its examples and commands run as they stand, and what it names exists."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

import usbench
from tests.helpers.paths import ROOT
from usbench.cli.verbs import MODULES, VERBS
from usbench.metrics import modules  # torch too: its import starts a process
from usbench.metrics.box_protocols import BOX_PROTOCOLS
from usbench.metrics.landmark_scorer import RADIAL
from usbench.metrics.mask_protocols import MASK_PROTOCOLS
from usbench.runner.recipes import load_recipe_keys
from usbench.types import Masks

README = "README.md"
CONF = "conf/README.md"
INSIDE = "usbench/README.md"
METRICS = "usbench/metrics/README.md"
SWEEP = "usbench/sweep/README.md"
PAGES = (README, CONF, INSIDE, METRICS, SWEEP, "scripts/README.md", "tests/README.md")
MAX_LINES, MAX_WORDS, MAX_WIDTH = 150, 1_200, 120

TEXT = {page: (ROOT / page).read_text("utf-8") for page in PAGES}
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", flags=re.M | re.S)
BLOCKS = {page: BLOCK.findall(text) for page, text in TEXT.items()}
PROSE = {page: BLOCK.sub("", text) for page, text in TEXT.items()}
EXAMPLES = {
    code.split("\n", 1)[0].removeprefix("# "): code
    for kind, code in BLOCKS[CONF]
    if kind in ("yaml", "python")
}

PUBLIC_API = {"load_dataset", "score", "run", "load_results", "load_model", "to_frame"}
RUN_OPTIONS = {"--config-dir", "--help", "--cfg"}  # of a command without a verb
GROUPS = ("dataset", "model", "metric", "sweep")
PLUGIN_KEYS = {"hydra.launcher.partition", "hydra.launcher.n_jobs"}  # of submitit, of joblib
COMPLETION = "install"  # of Hydra's option -sc


def commands(page: str) -> list[str]:
    """The page's shell lines."""
    return [line for kind, code in BLOCKS[page] if kind == "bash" for line in code.splitlines()]


def command(page: str, part: str) -> str:
    """The page's first shell line that contains `part`, without its comment."""
    return next(line for line in commands(page) if part in line).partition("  #")[0].strip()


def code_snippets(page: str) -> list[str]:
    """Shell lines, diagrams and inline code of a page."""
    inline = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", PROSE[page])
    return [*commands(page), *inline, *(code for kind, code in BLOCKS[page] if kind == "text")]


def shell(line: str, folder: Path, timeout: int = 600) -> subprocess.CompletedProcess[str]:
    """Run a shell line of a page with this Python."""
    line = re.sub(r"\bpython -m usbench\b|(?<![\w/.-])usbench(?= )", "PYTHON -m usbench", line)
    line = line.replace("PYTHON", sys.executable)
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, capture_output=True, text=True, timeout=timeout
    )


def load_yaml(*parts: str) -> dict[str, Any]:
    """A YAML of conf/."""
    content: dict[str, Any] = yaml.safe_load((ROOT / "conf").joinpath(*parts).read_text("utf-8"))
    return content


def heading_anchors(page: str) -> set[str]:
    """The anchors that GitHub gives the page's headings."""
    titles = re.findall(r"^#+ (.*)$", PROSE[page], flags=re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def key_paths(node: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """The dotted paths of all keys of a mapping."""
    for key, value in node.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from key_paths(value, f"{prefix}{key}.")


@functools.cache
def known_keys() -> set[str]:
    """Every KEY of KEY=VALUE that conf/ defines."""
    keys = {"hydra/launcher", COMPLETION, *GROUPS, *PLUGIN_KEYS}
    config = load_yaml("config.yaml")
    keys |= set(key_paths({k: v for k, v in config.items() if k not in ("defaults", "hydra")}, ""))
    for group in ("dataset", "model", "metric"):
        for path in (ROOT / "conf" / group).glob("*.yaml"):
            node = load_yaml(group, path.name)
            keys |= set(key_paths(node, f"{group}."))
            declared = load_recipe_keys(node) or {} if group == "model" else {}
            keys |= {f"model.recipes.quick.{key}" for key in declared}
    keys |= set(key_paths(load_yaml("sweep", "tune.yaml")["hydra"], "hydra."))
    return keys


# ---- the pages' form


def test_the_readme_is_short():
    lines = TEXT[README].splitlines()
    assert len(lines) <= MAX_LINES
    assert len(TEXT[README].split()) <= MAX_WORDS


@pytest.mark.parametrize("page", PAGES)
def test_lines_outside_tables_and_code_are_short(page):
    lines = PROSE[page].splitlines()
    assert [line for line in lines if len(line) > MAX_WIDTH and not line.startswith("|")] == []


def test_the_order_of_the_readme():
    titles = re.findall(r"^## (.*)$", PROSE[README], flags=re.M)
    assert titles == [
        "Run it",
        "Test it",
        "Datasets",
        "Results",
        "Your own dataset, model and metric",
        "Python",
        "Sweeps",
        "More",
        "Licences",
    ]
    start = PROSE[README].partition("## ")[0]
    assert start.count("<img ") == 1  # what it is, and one picture


@pytest.mark.parametrize("page", [README, CONF])
def test_no_score_is_typed_by_hand(page):
    """Scores are on the leaderboard, which `usbench leaderboard --check` compares with results."""
    assert re.findall(r"(?<![\w./-])0?\.\d{3}\b", PROSE[page]) == []


# ---- what the pages name exists


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_leads_somewhere(page):
    links = [link for link in re.findall(r"\]\(([^)]+)\)", TEXT[page]) if "://" not in link]
    for link in links:
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        if anchor:
            assert anchor in heading_anchors(target.resolve().relative_to(ROOT).as_posix()), link


def test_the_readme_links_every_page():
    for page in PAGES[1:]:
        assert f"]({page})" in TEXT[README]
    for path in ("results/LEADERBOARD.md", "results/index.html"):
        assert f"]({path})" in TEXT[README]


@pytest.mark.parametrize("page", PAGES)
def test_every_verb_and_its_options_exist(page):
    shared = (ROOT / "usbench/cli/options.py").read_text("utf-8")
    for code in code_snippets(page):
        verbs = re.findall(r"\busbench ([a-z]+)(?![\w=/.-])", code)
        assert set(verbs) <= VERBS, code
        if "usbench " not in code or code.startswith(("pip", "mlflow")):
            continue
        options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", code.partition("  #")[0]))
        if not verbs:
            assert options <= RUN_OPTIONS, code
            continue
        module = MODULES.get(verbs[0], verbs[0])
        source = shared + (ROOT / "usbench/cli" / f"{module}.py").read_text("utf-8")
        for option in options - {"--help"}:
            assert option in source, code


@pytest.mark.parametrize("page", PAGES)
def test_every_key_exists(page):
    known = known_keys()
    for code in code_snippets(page):
        keys = re.findall(r"(?<![\w./=-])([a-z_]+(?:[./]\w+)*)=", code)
        assert set(keys) <= known, code


@pytest.mark.parametrize("page", PAGES)
def test_every_environment_variable_is_read_somewhere(page):
    sources = [*(ROOT / "usbench").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    text = "".join(path.read_text("utf-8") for path in sources if path.name != "test_readme.py")
    for name in set(re.findall(r"USBENCH_[A-Z_]+", TEXT[page])):
        assert f'"{name}"' in text, name


@pytest.mark.parametrize("page", PAGES)
def test_every_extra_and_script_exists(page):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = re.findall(r"(?:usbench|\.)\[([a-z,]+)\]", "\n".join(code_snippets(page)))
    assert set(extras) <= set(project["optional-dependencies"])
    for script in re.findall(r"scripts/\w+\.py", TEXT[page]):
        assert (ROOT / script).exists(), script


def test_every_key_of_the_configuration_is_explained():
    config = load_yaml("config.yaml")
    (table,) = re.findall(r"^## Keys\n(.*?)^## ", PROSE[CONF], flags=re.M | re.S)
    named = set(re.findall(r"`([a-z_.]+)`", "".join(re.findall(r"^\|[^|]+\|", table, flags=re.M))))
    assert named == set(config) - {"defaults", "hydra"} | set(GROUPS) | {"dataset.root"}


@pytest.mark.parametrize("group", ["dataset", "model"])
def test_the_readme_names_every_dataset_and_model(group):
    rows = "\n".join(line for line in TEXT[README].splitlines() if line.startswith("|"))
    for path in (ROOT / "conf" / group).glob("*.yaml"):
        assert f"`{path.stem}`" in rows, path.stem


def test_every_recipe_is_explained():
    for path in (ROOT / "conf" / "model").glob("*.yaml"):
        for recipe in load_yaml("model", path.name)["recipes"]:
            assert f"`{recipe}`" in PROSE[CONF], recipe


def test_every_protocol_has_a_heading():
    names = {*MASK_PROTOCOLS, *BOX_PROTOCOLS, RADIAL.name}
    assert names <= set(re.findall(r"^### (.*)$", PROSE[METRICS], flags=re.M))


def test_every_package_is_in_the_map():
    for path in (ROOT / "usbench").glob("*/__init__.py"):
        assert f"[`{path.parent.name}/`]({path.parent.name})" in PROSE[INSIDE], path


def test_every_published_row_of_a_net_is_in_the_table():
    """With its command, which names a model and its dataset; ≠ where ours is another net."""
    lines = TEXT[CONF].splitlines()
    for name in ("spinal", "nnus"):
        for row in load_yaml("dataset", f"{name}.yaml")["published"]:
            (line,) = (line for line in lines if line.startswith(f"| {row['name']} |"))
            expected = f"dataset={name} model={row['model']}`" if row["model"] else "not runnable"
            assert expected in line
            assert ("≠" in line) == bool(row.get("why") and row["model"]), line


def test_the_path_from_the_archives_to_the_leaderboard():
    steps = ("usbench prepare", "usbench check", "usbench dataset=spinal", "usbench leaderboard")
    (block,) = (code for kind, code in BLOCKS[README] if "usbench prepare dataset=spinal" in code)
    for line, step in zip(block.splitlines(), steps, strict=True):
        assert line.startswith(step)
    for archive in load_yaml("dataset", "spinal.yaml")["archives"]:
        assert archive["name"] in block
    assert "not yet run on the real archives" in " ".join(TEXT[README].split())


# ---- the commands and examples run


def assert_own_layout_conforms(folder: Path) -> None:
    """The example's layout reads files as the example describes them, by the example's command."""
    (folder / "cysts/scans").mkdir(parents=True)
    rows = ["name,patient,class,x,y,a,b"]
    for patient in range(12):
        Image.new("L", (128, 96), patient).save(folder / f"cysts/scans/scan{patient:02d}.png")
        for label in ("simple", "complex"):
            rows.append(f"scan{patient:02d},p{patient},{label},{40 + patient},40,9,6")
    (folder / "cysts/ellipses.csv").write_text("\n".join(rows))
    line = command(CONF, "--conformance --dataset cysts").replace("/data/cysts", f"{folder}/cysts")
    done = shell(line, folder)
    assert done.returncode == 0 and "targets of 12 read" in done.stdout, done.stdout + done.stderr
    assert done.stdout.endswith("0 errors, 0 warnings\n")


@pytest.mark.process
def test_the_examples_of_adding_something(tmp_path):
    assert set(EXAMPLES) == {
        "conf/dataset/breast.yaml",
        "conf/dataset/rings.yaml",
        "conf/dataset/cysts.yaml",
        "ellipses.py",
        "conf/model/threshold.yaml",
        "threshold.py",
        "conf/model/monai_unet.yaml",
        "conf/metric/area.yaml",
        "area.py",
        "tversky.py",
        "speckle.py",
    }
    for name, code in EXAMPLES.items():
        path = tmp_path / "lab" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    assert_own_layout_conforms(tmp_path)
    done = shell(command(CONF, "model=threshold metric=area"), tmp_path)
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "lab" / "results" / "phantom" / "rings" / "segment").glob(
        "threshold-*.json"
    )
    record = json.loads(path.read_text())
    assert record["status"] == "done" and record["scores"]["area_error"]["value"] > 0
    assert record["per_class"]["cyst"]["dice"]["value"] > 0.1  # a cyst is the darkest thing there
    assert 0 < record["scores"]["dice_by_torchmetrics"]["value"] < 1
    assert record["per_class"]["cyst"]["area_error"]["value"] > 0
    sizes = record["protocols"]["measure"]["per_class"]
    assert sizes["cyst area"]["mae_px2"]["value"] > 0
    assert 0 <= sizes["lesion size"]["within_tolerance"]["value"] <= 1
    plain = next(line for line in commands(CONF) if line.endswith("model=monai_unet"))
    done = shell(plain, tmp_path)
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "lab" / "results" / "phantom" / "rings" / "segment").glob(
        "monai_unet-*.json"
    )
    record = json.loads(path.read_text())
    assert (
        record["status"] == "done"
        and record["parameters"] > 10_000
        and record["scores"]["dice"]["value"] > 0
    )
    done = shell(command(CONF, "tversky.Tversky"), tmp_path)
    assert done.returncode == 0, done.stderr
    paths = (tmp_path / "lab/results/phantom/rings/segment").glob("monai_unet-*.json")
    recipes = [json.loads(path.read_text())["config"]["model"]["recipe"] for path in paths]
    losses = [recipe.get("loss") for recipe in recipes]
    assert {"_target_": "tversky.Tversky", "beta": 0.7} in losses


@pytest.mark.slow
def test_the_main_job(tmp_path):
    """On a machine without data: a phantom, said so at start and end, and mAP50 of at least .8."""
    line = command(README, "dataset=spinal model=yolov8").removeprefix("pip install -e . && ")
    done = shell(line, tmp_path, timeout=900)
    assert done.returncode == 0, done.stderr
    start, end = done.stdout.split("map50_95")
    assert "synthetic" in start and "never compared with published ones" in end
    (path,) = (tmp_path / "results" / "phantom" / "spinal" / "detect").glob("yolov8-*.json")
    record = json.loads(path.read_text())
    assert record["recipe"] == "quick" and record["scores"]["map50"]["value"] >= 0.8
    assert not list(tmp_path.glob("data")) and not list((tmp_path / "results").glob("spinal"))


@pytest.mark.slow
@pytest.mark.parametrize("model", ["unet", "deeplabv3"])
def test_the_main_job_s_other_models(tmp_path, model):
    done = shell(f"python -m usbench dataset=spinal model={model}", tmp_path, timeout=900)
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "results" / "phantom" / "spinal" / "segment").glob(f"{model}-*.json")
    record = json.loads(path.read_text())
    assert record["scores"]["dice"]["value"] >= 0.6 and len(record["per_class"]) == 9


@pytest.mark.process
def test_listing_and_help(tmp_path):
    listed = shell(command(README, "usbench list"), tmp_path)
    assert listed.returncode == 0, listed.stderr
    for word in (
        "spinal",
        "usgra",
        "phantom",
        "unet",
        "deeplabv3",
        "yolov8",
        "CC BY 4.0",
        "segment",
        "detect",
    ):
        assert word in listed.stdout
    verbs = shell(command(README, "usbench --help"), tmp_path)
    assert verbs.returncode == 0, verbs.stderr
    assert "usbench dataset=spinal model=yolov8" in verbs.stdout
    for verb in VERBS:
        assert verb in verbs.stdout
    keys = shell(command(README, "usbench keys model=unet"), tmp_path)
    assert keys.returncode == 0, keys.stderr
    assert "evaluate_on" in keys.stdout and "passes over the training images" in keys.stdout
    assert not list(tmp_path.iterdir())  # none of them writes anything


@pytest.mark.process
def test_a_plan_of_a_sweep_starts_nothing(tmp_path):
    done = shell(command(SWEEP, "usbench sweep=smoke plan=true"), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "unet" in done.stdout and not list(tmp_path.glob("results"))


@pytest.mark.process
@pytest.mark.skipif(shutil.which("mlflow") is None, reason="needs the mlflow command on the path")
def test_the_mlflow_line_is_one_that_mlflow_knows():
    line = command(README, "mlflow ui").split("--")[0] + "--help"
    assert "--backend-store-uri" in shell(line, ROOT).stdout


def readme_python() -> str:
    """The README's one example in Python."""
    (code,) = (code for kind, code in BLOCKS[README] if kind == "python")
    return code


def test_the_python_example_uses_the_public_names():
    assert set(re.findall(r"\busbench\.(\w+)", readme_python())) <= PUBLIC_API
    assert len(readme_python().splitlines()) <= 10


@pytest.mark.process
def test_the_python_example_runs(tmp_path):
    (tmp_path / "example.py").write_text(readme_python())
    done = shell("PYTHON example.py", tmp_path)
    assert done.returncode == 0, done.stderr


def training_loop() -> str:
    """The example of a training loop with usbench's metrics."""
    (code,) = (code for kind, code in BLOCKS[METRICS] if kind == "python")
    return code


def test_the_example_of_a_training_loop_is_short_and_its_names_exist():
    for name in re.findall(r"`(\w+)` for", PROSE[METRICS].partition("## In your own")[2]):
        assert hasattr(modules, name)
    assert len([line for line in training_loop().splitlines() if line]) <= 11


@pytest.mark.train
def test_the_example_of_a_training_loop_equals_score():
    """On two batches of drawn masks: after training, the same predictions by both."""
    torch.manual_seed(0)
    net = torch.nn.Conv2d(1, 2, 3, padding=1)
    before = net.weight.detach().clone()
    planes = torch.rand(6, 2, 12, 12) < 0.3
    images = planes[:, :1] + 0.5 * planes[:, 1:]
    names = {
        "net": net,
        "optimiser": torch.optim.SGD(net.parameters(), lr=0.1),
        "batches": [(images[:4], planes[:4]), (images[4:], planes[4:])],
    }
    exec(compile(training_loop(), METRICS, "exec"), names)
    assert not torch.equal(before, net.weight)
    targets, predictions = (
        [Masks(part) for part in masks.numpy()] for masks in (planes, net(images) > 0)
    )
    expected = usbench.score(targets, predictions, "segment", ["nerve", "vessel"])
    assert 0 < expected.protocol.scores["dice"].value < 1
    assert names["scores"].keys() == {"dice", "iou"}
    for name, value in names["scores"].items():
        figure = expected.protocol.scores[name]
        assert value.item() == pytest.approx(figure.value, abs=1e-6), name
