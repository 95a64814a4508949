"""The Python API: names, signatures, what is imported when, and calling again."""

from __future__ import annotations

import inspect
import json
import pkgutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import hydra
import numpy as np
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

import usbench
from tests.helpers import lab
from tests.helpers.finished import finish
from usbench.errors import ConfigError, DataError, RunError, UsbenchError
from usbench.io.config import compose_alone
from usbench.io.overrides import to_override
from usbench.metrics import modules
from usbench.metrics.scores import figure_values
from usbench.metrics.segment_scorer import SegmentScorer
from usbench.results import store
from usbench.results.result import Result
from usbench.results.rows import COLUMNS
from usbench.types import SEEN, Boxes, Landmarks, Masks

SMALL = {"dataset.phantom.per_group": 1, "dataset.phantom.size": [64, 96]}


# ---- names


def test_no_name_equals_a_package_or_module():
    modules_of_ours = {module.name for module in pkgutil.iter_modules(usbench.__path__)}
    assert not modules_of_ours & set(usbench.__all__)


def test_every_name_is_there_and_documented():
    assert set(usbench.__all__) <= set(dir(usbench))
    for name in set(usbench.__all__) - {"__version__"}:
        function = getattr(usbench, name)
        assert {"Args:", "Returns:", "Raises:"} <= set(inspect.getdoc(function).split()), name
    with pytest.raises(AttributeError, match="'usbench' has no attribute 'runs'"):
        usbench.runs  # noqa: B018


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("load_dataset", "name data=None task=None source='real' config_dir=None **overrides"),
        (
            "score",
            "targets predictions task classes protocol='usbench' groups=None mm_per_px=None",
        ),
        ("run", "dataset model config_dir=None **overrides"),
        ("load_results", "folder='results' phantom=False"),
        ("to_frame", "results"),
        ("load_model", "run_id_or_file results='results' runs='runs' device='auto'"),
    ],
)
def test_signatures(name, parameters):
    signature = inspect.signature(getattr(usbench, name))
    actual = []
    for parameter in signature.parameters.values():
        default = "" if parameter.default is parameter.empty else f"={parameter.default!r}"
        stars = "**" if parameter.kind is parameter.VAR_KEYWORD else ""
        actual.append(f"{stars}{parameter.name}{default}")
    assert " ".join(actual) == parameters


# ---- keys and values as Hydra reads them


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, False, 3, -2, 1e-5, 2.5, "text", "", "12", "true", "a b, c=d", "a\\b", "a\\"),
        *(
            "it's",
            "\\'",
            "'",
            "\\\\",
            "[1]",
            "{a: 1}",
            [1, 2],
            ["a b", None],
            {"train": 8, "val": 4},
            [[1], {"a": []}],
        ),
    ],
)
def test_a_value_comes_through_hydra_as_it_is(value):
    assert compose_alone([to_override("data", value)])["data"] == value


def test_numpy_numbers_paths_and_tuples_are_values_too():
    composed = compose_alone(
        [
            to_override("seed", np.int64(3)),
            to_override("fold", np.float32(0.5)),
            to_override("data", Path("/a b/c")),
            to_override("evaluate_on", ("a", "b")),
        ]
    )
    keys = ("seed", "fold", "data", "evaluate_on")
    assert [composed[key] for key in keys] == [3, 0.5, "/a b/c", ["a", "b"]]


def test_another_type_is_no_value():
    with pytest.raises(ConfigError, match=r"seed: expected None, true or false, .* got object"):
        to_override("seed", object())


# ---- load_dataset


def load_phantom(folder: Path, name: str = "spinal", task: str | None = "segment", **keys: object):
    counts = {"dataset.phantom.counts": {"train": 6, "val": 3, "test": 4}}
    runs = folder / "runs"
    return usbench.load_dataset(
        name, task=task, source="phantom", runs=runs, **{**SMALL, **counts, **keys}
    )


def test_a_dataset_has_samples_by_split_and_what_a_paper_must_cite(tmp_path):
    for _ in range(2):
        data = load_phantom(tmp_path)
        assert [len(part) for part in (data.train, data.val, data.test)] == [6, 3, 4]
        sample = data.train[0]
        assert sample.image.dtype == np.uint8 and sample.image.shape == (64, 96)
        assert sample.target.planes.shape == (len(data.classes), 64, 96)
        assert [sample.id for sample in data.test] == data.test.ids
        assert "hematoma" in data.classes
        assert data.phantom and "Kumar" in data.citation and data.licence.startswith("none")


def test_the_only_task_is_the_default(tmp_path):
    assert load_phantom(tmp_path, "unity", None).task == "landmark"


def test_a_release_is_opened_where_it_lies(tmp_path):
    drawn = load_phantom(tmp_path)
    drawn.root.rename(tmp_path / "spinal")
    data = usbench.load_dataset("spinal", tmp_path, "segment")
    assert not data.phantom and data.root == tmp_path / "spinal"
    assert [len(part) for part in (data.train, data.val, data.test)] == [6, 3, 4]
    keys = {"dataset.root": tmp_path / "spinal"}
    assert usbench.load_dataset("spinal", task="segment", **keys).records == data.records


def test_configuration_of_ones_own(tmp_path, monkeypatch):
    folder = tmp_path / "my conf"
    (folder / "dataset").mkdir(parents=True)
    text = "defaults: [phantom]\nname: mine\ncitation: me\n"
    (folder / "dataset" / "mine.yaml").write_text(text)
    assert load_phantom(tmp_path, "mine", config_dir=folder).citation == "me"
    with pytest.raises(ConfigError, match="dataset=mine"):
        load_phantom(tmp_path, "mine")
    monkeypatch.setenv("USBENCH_CONFIG", str(folder))
    assert load_phantom(tmp_path, "mine").name == "mine"


def test_folds(tmp_path):
    folds = [load_phantom(tmp_path, "phantom", fold=n) for n in (0, 1)]
    assert folds[0].test.ids != folds[1].test.ids


@pytest.mark.parametrize(
    ("keys", "error", "message"),
    [
        ({"name": "spinall"}, ConfigError, "dataset=spinall: .* did you mean spinal"),
        ({"name": "spinal"}, ConfigError, "task=None: expected one of segment, detect for spinal"),
        ({"name": "spinal", "task": "landmark"}, ConfigError, "task=landmark: expected one of"),
        ({"name": "spinal", "task": "detect"}, DataError, "no spinal release found"),
        ({"name": "phantom", "task": "segment"}, ConfigError, "no release, .* source=phantom"),
        ({"name": "spinal", "task": "detect", "fold": 1}, ConfigError, "fold=1: .* no folds"),
        ({"name": "spinal", "task": "detect", "see": 1}, ConfigError, "see: .* mean seed"),
        (
            {"name": "spinal", "task": "detect", "source": "air"},
            ConfigError,
            "source=air: expected",
        ),
    ],
)
def test_what_is_no_dataset(keys, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        usbench.load_dataset(**keys)


def test_hydra_of_the_callers_own_program_stays_as_it_was(tmp_path):
    (tmp_path / "theirs.yaml").write_text("lr: 3\n")
    with hydra.initialize_config_dir(str(tmp_path), version_base="1.3"):
        theirs = GlobalHydra.instance().hydra
        load_phantom(tmp_path)
        with pytest.raises(ConfigError):
            load_phantom(tmp_path, "nothing")
        assert GlobalHydra.instance().hydra is theirs
        assert OmegaConf.to_container(hydra.compose("theirs")) == {"lr": 3}
    assert not GlobalHydra.instance().is_initialized()


# ---- score


def masks(images: int, seed: int) -> list[Masks]:
    """Random (2, 12, 12) masks, disjoint."""
    drawn = np.random.default_rng(seed).random((images, 2, 12, 12)) < 0.3
    drawn[:, 1] &= ~drawn[:, 0]
    return [Masks(planes) for planes in drawn]


def boxes(images: int, scored: bool) -> list[Boxes]:
    """Two boxes per image of two classes; predictions are 1 px aside."""
    corners = np.array([[4, 4, 20, 24], [30, 10, 50, 40]], np.float32) + np.float32(scored)
    scores = np.array([0.9, 0.8], np.float32) if scored else None
    return [Boxes(corners, np.array([0, 1]), scores) for _ in range(images)]


def points(images: int, by: float) -> list[Landmarks]:
    """One point per image, moved."""
    paths = (np.array([[10 + by, 20]], np.float32),)
    state, scores = np.array([SEEN], np.int8), np.ones(1, np.float32) if by else None
    return [Landmarks(paths, state, scores) for _ in range(images)]


def test_score_is_the_scorer_of_runs():
    targets, predictions = masks(12, 0), masks(12, 1)
    groups = [f"patient{n // 2}" for n in range(12)]
    scorer = SegmentScorer(["nerve", "vessel"], ["usbench"])
    for n, (target, prediction) in enumerate(zip(targets, predictions, strict=True)):
        scorer.update(str(n), groups[n], target, prediction)
    arguments = (targets, predictions, "segment", ["nerve", "vessel"])
    for _ in range(2):
        assert usbench.score(*arguments, groups=groups) == scorer.result()


def test_intervals_are_there_only_with_groups():
    arguments = (masks(12, 0), masks(12, 1), "segment", ["nerve", "vessel"])
    grouped = usbench.score(*arguments, groups=range(12)).protocol
    assert grouped.scores["dice"].low < grouped.scores["dice"].value < grouped.scores["dice"].high
    assert grouped.scores["dice"].groups == 12
    alone = usbench.score(*arguments)
    assert figure_values(alone.protocol.scores) == figure_values(grouped.scores)
    assert alone.protocol.scores["dice"].interval == "no interval: no groups were given"
    tables = [
        alone.protocol.scores,
        *alone.protocol.per_class.values(),
        alone.protocol.target_score,
    ]
    for figure in (figure for table in tables for figure in table.values()):
        assert figure.low is figure.high is figure.method is figure.groups is None
    assert {row["group"] for row in alone.cases} == {None}


@pytest.mark.parametrize(
    ("task", "targets", "predictions", "protocol", "score"),
    [
        ("segment", masks(3, 0), masks(3, 0), "usbench", ("dice", 1)),
        ("detect", boxes(3, False), boxes(3, True), "coco", ("map50", 1)),
        ("landmark", points(3, 0), points(3, 3), "radial", ("mre_px", 3)),
    ],
)
def test_each_task_has_a_reporting_protocol(task, targets, predictions, protocol, score):
    classes = ["a"] if task == "landmark" else ["a", "b"]
    scores = usbench.score(iter(targets), iter(predictions), task, classes)
    assert scores.protocol.name == protocol
    assert scores.protocol.scores[score[0]].value == pytest.approx(score[1])
    named = usbench.score(targets, predictions, task, classes, protocol)
    assert named == scores


def test_several_protocols_the_main_one_first():
    arguments = (boxes(3, False), boxes(3, True), "detect", ["a", "b"])
    scores = usbench.score(*arguments, protocol=["ultralytics", "usbench"])
    assert [protocol.name for protocol in scores.protocols] == ["ultralytics", "coco"]


def moved_down(rows: int) -> tuple[Masks, Masks]:
    """A rectangle, and the same so many rows lower."""
    planes = np.zeros((2, 1, 30, 20), bool)
    planes[0, 0, 4:12, 5:15] = True
    planes[1, 0, 4 + rows : 12 + rows, 5:15] = True
    return Masks(planes[0]), Masks(planes[1])


@pytest.mark.parametrize(
    ("mm_per_px", "hd_mm", "images"),
    [
        (None, None, 0),
        ((0.5, 0.25), 1.0, 2),  # two rows of .5 mm
        (np.array([0.5, 0.25], np.float32), 1.0, 2),
        ([(0.5, 0.25), (1, 0.25)], 1.5, 2),  # the mean of 1 mm and 2 mm
        (iter([(0.5, 0.25), (1, 0.25)]), 1.5, 2),
        ([None, (1, 0.25)], 2.0, 1),
    ],
)
def test_distances_in_mm_where_the_pixel_size_is_given(mm_per_px, hd_mm, images):
    target, prediction = moved_down(2)
    scores = usbench.score(
        [target] * 2, [prediction] * 2, "segment", ["a"], mm_per_px=mm_per_px
    ).protocol.scores
    assert scores["hd_px"].value == 2
    assert (scores["hd_mm"].value, scores["hd_mm"].n) == (hd_mm, images)


def test_points_in_mm():
    arguments = (points(3, 0), points(3, 3), "landmark", ["a"])  # three columns of .25 mm
    scores = usbench.score(*arguments, mm_per_px=(0.5, 0.25)).protocol.scores
    assert (scores["mre_px"].value, scores["mre_mm"].value) == (3, 0.75)


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"task": "classify"}, ConfigError, "task=classify: expected one of segment, detect"),
        ({"protocol": "dice"}, ConfigError, "expected one or more .* of usbench, .* got 'dice'"),
        ({"protocol": []}, ConfigError, "got none"),
        ({"classes": "ab"}, ConfigError, "classes='ab': expected a list of names"),
        ({"targets": masks(2, 0)}, DataError, "image 2: .* got no target"),
        ({"predictions": masks(4, 0)}, DataError, "image 3: .* got no target"),
        ({"predictions": []}, DataError, "image 0: .* got no prediction"),
        ({"targets": [], "predictions": []}, DataError, "at least one image, got none"),
        ({"groups": ["a"]}, DataError, "groups: expected one per image, got 1 for more images"),
        ({"groups": list("abcd")}, DataError, "groups: expected .* got 4 for 3 images"),
        ({"task": "detect", "mm_per_px": (1, 1)}, ConfigError, "detect has no score in mm"),
        ({"mm_per_px": (0, 1)}, DataError, "mm_per_px: expected .row, column., two lengths above"),
        ({"mm_per_px": 0.5}, DataError, r"mm_per_px: expected .* got \(0.5,\)"),
        ({"mm_per_px": [(1, 1), (1, np.nan)]}, DataError, "image 1: mm_per_px: expected"),
        ({"mm_per_px": [(1, 1)] * 2}, DataError, "mm_per_px: expected .* got 2 for more images"),
        ({"mm_per_px": [None] * 4}, DataError, "mm_per_px: expected .* got 4 for 3 images"),
        ({"classes": ["a"]}, DataError, "image 0: target: expected 1 plane .* got 2"),
        (
            {"task": "detect"},
            DataError,
            "image 0: target: expected usbench.types.Boxes .*, got Masks",
        ),
        (
            {"predictions": [Masks(np.zeros((2, 9, 12), bool))] * 3},
            DataError,
            r"image 0: .* one size \(H, W\), got \(12, 12\) and \(9, 12\)",
        ),
        (
            {"task": "detect", "targets": boxes(3, False), "predictions": boxes(3, False)},
            DataError,
            "image 0: expected a prediction with scores",
        ),
        (
            {
                "task": "detect",
                "targets": boxes(3, False),
                "predictions": boxes(3, True),
                "classes": ["a"],
            },
            DataError,
            "image 0: target: expected labels from 0 to 0 .*, got 0 to 1",
        ),
        (
            {"task": "landmark", "targets": points(3, 0), "predictions": points(3, 1)},
            DataError,
            "image 0: target: expected 2 paths .*, got 1",
        ),
    ],
)
def test_what_cannot_be_scored(changed, error, message):
    arguments = {"targets": masks(3, 0), "predictions": masks(3, 1), "task": "segment"}
    arguments |= {"classes": ["a", "b"]}
    with pytest.raises(error, match=message):
        usbench.score(**{**arguments, **changed})


def test_boxes_of_a_loop_equal_score():
    def tensors(value: Boxes) -> dict[str, torch.Tensor]:
        columns = {"boxes": value.xyxy, "labels": value.labels, "scores": value.scores}
        return {k: torch.from_numpy(v) for k, v in columns.items() if v is not None}

    targets, predictions = boxes(4, False), boxes(4, True)
    metric = modules.BoxPrecision(classes=2)
    for target, prediction in zip(targets, predictions, strict=True):
        metric.update([tensors(prediction)], [tensors(target)])
    expected = usbench.score(targets, predictions, "detect", ["a", "b"]).protocol.scores
    for name, value in metric.compute().items():
        figure = expected[name].value
        assert value.item() == pytest.approx(np.nan if figure is None else figure, nan_ok=True)


# ---- results


@pytest.fixture(scope="module")
def finished(tmp_path_factory, compose) -> Path:
    """A folder with the results and runs of two tasks, nothing trained."""
    folder = tmp_path_factory.mktemp("finished")
    finish(compose, folder, "usgra", "segment")
    finish(compose, folder, "unity", "landmark", "seed=1")
    return folder


def test_results_and_their_table(finished):
    pandas = pytest.importorskip("pandas")
    for _ in range(2):
        results = usbench.load_results(str(finished / "results"), phantom=True)
        assert [result.task for result in results] == ["landmark", "segment"]
        frame = usbench.to_frame(results)
        assert isinstance(frame, pandas.DataFrame) and list(frame) == COLUMNS
    assert usbench.load_results(finished / "results") == []
    result = results[1]
    assert isinstance(result, Result)
    rows = frame[(frame["run_id"] == result.run_id) & (frame["score"] == "dice")]
    total = rows[rows["class"].isna() & (rows["protocol"] == "usbench")]
    assert total["value"].tolist() == [result.scores["dice"].value]
    assert total["low"].tolist() == [result.scores["dice"].low]
    nerve = rows[(rows["class"] == "nerve") & (rows["protocol"] == "usbench")]
    assert nerve["value"].tolist() == [result.protocol.per_class["nerve"]["dice"].value]
    assert frame["phantom"].all() and set(frame["seed"]) == {0, 1}
    assert set(frame["value"].map(type)) == {float}


def test_a_failed_result_is_a_row_that_says_why(finished):
    (result, *_) = usbench.load_results(finished / "results", phantom=True)
    failed = replace(result, status="failed", reason="out of memory", protocols=(), primary=None)
    frame = usbench.to_frame([failed])
    assert frame[["status", "reason"]].to_numpy().tolist() == [["failed", "out of memory"]]
    assert frame[["score", "value"]].isna().all(axis=None)
    assert list(usbench.to_frame([])) == COLUMNS


def test_without_pandas_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(RunError, match=r"pandas isn't installed .* pip install pandas"):
        usbench.to_frame([])


def test_a_folder_without_results_and_a_damaged_result(tmp_path):
    with pytest.raises(DataError, match="expected a folder of results, found no such folder"):
        usbench.load_results(tmp_path / "none")
    path = tmp_path / "usgra" / "segment" / "unet-s0-0123456789ab.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(DataError, match="damaged file"):
        usbench.load_results(tmp_path)


# ---- run and load_model


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"sweep": "smoke"}, "sweep=smoke: usbench.run does one run"),
        ({"plan": True}, "plan=True: usbench.run does one run"),
        ({"seed": "0,1"}, "seed=0,1: expected a whole number"),
        ({"seed": [0, 1]}, "expected a whole number"),
        ({"sede": 1}, "sede: no such key; did you mean seed"),
        ({"recipe": "slow"}, "recipe=slow: expected one of"),
        ({"model": "yolov88"}, "model=yolov88: .* did you mean yolov8"),
        ({"model": "heatmap"}, "the model does landmark"),
        ({"tuned": "mine"}, "tuned=mine: no such study"),
    ],
)
def test_a_run_that_cannot_be_planned(keys, message, tmp_path):
    arguments = {"dataset": "phantom", "model": "unet", "runs": tmp_path / "runs", **keys}
    with pytest.raises(ConfigError, match=message):
        usbench.run(results=tmp_path / "results", **SMALL, **arguments)


def test_no_model_without_a_finished_run(tmp_path, finished):
    with pytest.raises(DataError, match="expected a result file or a run id, got 0 results"):
        usbench.load_model("0123456789ab", tmp_path)
    result = usbench.load_results(finished / "results", phantom=True)[1]
    with pytest.raises(RunError, match="no run of this result found"):
        usbench.load_model(result.run_id, finished / "results", tmp_path)
    with pytest.raises(RunError, match="expected the weights of a finished run"):
        usbench.load_model(result.run_id, finished / "results", finished / "runs", "cpu")


RUN = {"recipe": "tiny", "tracking": "none", "device": "cpu", "threads": 1}
RUN |= {**SMALL, "dataset.phantom.counts": {"train": 8, "val": 4, "test": 4}}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Result, Path]:
    """(result, folder of results and runs) of a run by `usbench.run`."""
    folder = tmp_path_factory.mktemp("trained")
    return usbench.run("phantom", "unet", **places(folder), **RUN), folder


def places(folder: Path) -> dict[str, object]:
    return {"runs": folder / "runs", "results": str(folder / "results")}


@pytest.mark.process
def test_a_run_is_done_once(trained, capsys):
    result, folder = trained
    assert result.is_done and 0 <= result.scores["dice"].value <= 1
    path = store.result_path(folder / "results", result)
    before = path.stat().st_mtime_ns
    assert usbench.run("phantom", "unet", **places(folder), **RUN) == result
    assert path.stat().st_mtime_ns == before and "done already" in capsys.readouterr().out
    assert usbench.load_results(folder / "results", phantom=True) == [result]


@pytest.mark.process
def test_a_model_is_restored_with_its_weights(trained, one_thread):
    result, folder = trained
    data = usbench.load_dataset(
        "phantom",
        task="segment",
        source="phantom",
        runs=folder / "runs",
        **{key: value for key, value in RUN.items() if key.startswith("dataset.")},
    )
    path = store.result_path(folder / "results", result)
    for name in (result.run_id, path):
        model = usbench.load_model(name, folder / "results", folder / "runs", "cpu")
        predictions = model.predict(data.test.images())
        scores = usbench.score(
            (sample.target for sample in data.test), predictions, data.task, data.classes
        )
        dice = result.scores["dice"].value
        assert scores.protocol.scores["dice"].value == pytest.approx(dice, abs=1e-6)


@pytest.mark.process
@pytest.mark.parametrize(("behaves", "reason"), [("raises", "ZeroDivision"), ("killed", "SIGKILL")])
def test_a_run_that_fails_says_why(behaves, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(lab.make(tmp_path, "raises", "killed"))
    before = list(sys.path)
    keys = {"config_dir": "conf", "source": "phantom", **RUN, "recipe": "quick"}
    for _ in range(2):
        with pytest.raises(RunError, match=f"run [0-9a-f]{{12}} .*{behaves}.*: failed, .*{reason}"):
            usbench.run("phantom", behaves, **keys)
    assert sys.path == before and issubclass(RunError, UsbenchError)
    (failed,) = usbench.load_results("results", phantom=True)
    assert failed.status == "failed" and reason in failed.reason


# ---- what is loaded, and calling again

CALLS = """
import json, sys
import numpy as np
import usbench

folder, run_id, keys = json.loads(sys.argv[1])
places = {"runs": f"{folder}/runs", "results": f"{folder}/results"}
phantom = {key: value for key, value in keys.items() if key.startswith("dataset.")}
phantom |= {"source": "phantom", "task": "segment", "runs": places["runs"]}

def loaded():
    return sorted({"torch", "hydra", "pandas", "mlflow", "torchmetrics"} & set(sys.modules))

def score():
    from usbench.types import Masks
    planes = np.arange(32).reshape(1, 4, 8) % 3 == 0
    scores = usbench.score([Masks(planes)], [Masks(~planes)], "segment", ["a"])
    return scores.protocol.scores["dice"].value

def predict():
    model = usbench.load_model(run_id, **places, device="cpu")
    images = usbench.load_dataset("phantom", **phantom).test.images()
    return [int(masks.planes.sum()) for masks in model.predict(images)]

CALLS = {
    "score": score,
    "load_results": lambda: [r.run_id for r in usbench.load_results(places["results"], True)],
    "load_dataset": lambda: usbench.load_dataset("phantom", **phantom).test.ids,
    "run": lambda: usbench.run("phantom", "unet", **places, **keys).run_id,
    "to_frame": lambda: len(usbench.to_frame(usbench.load_results(places["results"], True))),
    "load_model": predict,
}
"""
STEPS = """
facts = {"import": loaded()}
for name, call in CALLS.items():
    call()
    facts[name] = loaded()
print(json.dumps(facts))
"""
AGAIN = """
import importlib, pkgutil
from contextlib import suppress

first = {name: call() for name, call in CALLS.items()}
second = {name: call() for name, call in CALLS.items()}
for module in pkgutil.walk_packages(usbench.__path__, "usbench."):
    if not module.name.endswith("__main__"):
        with suppress(ImportError):  # a package of models that isn't installed
            importlib.import_module(module.name)
after = {name: call() for name, call in CALLS.items()}
print(json.dumps([first, second, after]))
"""


def run_script(code: str, trained: tuple[Result, Path]) -> object:
    """What a script prints last, in a process of its own that the API's calls are defined in."""
    result, folder = trained
    argument = json.dumps([str(folder), result.run_id, RUN])
    command = [sys.executable, "-c", CALLS + code, argument]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.process
def test_nothing_heavy_is_imported_before_it_is_needed(trained):
    facts = run_script(STEPS, trained)
    assert facts == {
        "import": [],
        "score": [],
        "load_results": [],
        "load_dataset": ["hydra"],
        "run": ["hydra"],
        "to_frame": ["hydra", "pandas"],
        "load_model": ["hydra", "pandas", "torch"],
    }


@pytest.mark.process
def test_every_function_can_be_called_again_after_importing_every_module(trained):
    first, second, after = run_script(AGAIN, trained)
    assert first == second == after and first["run"] == trained[0].run_id
