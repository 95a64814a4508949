"""Measure how well every model learns eight phantoms by its `tiny` recipe, for the tests' margins.

    python scripts/measure_learning.py [MODEL ...] [--seeds 0 1 2 3 4] [--instructions NAME]

Each model trains with every seed in fp32, and in bf16 where its YAML lists the CPU for it. With
seed 0 it also trains with frozen weights: learning rate 0 and weight decay 0. The figure is the
selection metric on the eight images, or for the nets in LOSS_ALONE the last epoch's loss as a share
of the first's. The threshold lies a third of the way from the worst figure to that of the frozen
weights. tests/learning.json keeps everything, and tests/test_models.py holds every model against
its threshold. What the record has by the same recipe is not measured again; --anew forgets it.

--instructions avx2 or avx512_bf16 computes as an older processor does. It sets the environment
variables in INSTRUCTIONS, and its figures stand beside the processor's own ("fp32 avx2").
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from usbench.cli.options import Options, make_parser, time_call
from usbench.io.config import Composed, build, compose_alone, conf_dir
from usbench.io.console import say
from usbench.io.files import JsonObject
from usbench.runner.machine import Precision
from usbench.types import Run, Sample, Task

RECORD = Path(__file__).resolve().parent.parent / "tests" / "learning.json"
SCENES = {
    "segment": ("phantom", "plain"),
    "detect": ("phantom", "plain"),
    "landmark": ("unity", "echo"),
}
SIZE = (72, 96)  # px of a phantom, height and width
IMAGES, BATCH = 8, 4
STEPS = 36  # batches of an epoch
EPOCHS = {"segment": 3, "detect": 4, "landmark": 3}  # heavy nets need fewer, transformers more:
OTHER_EPOCHS = {
    "unet": 4,
    "deeplabv3_kumar2025": 2,
    "transunet": 1,
    "swinunet": 8,
    "samed": 15,
    "nnunet": 10,
    "fasterrcnn": 3,
    "detr": 10,
    "rtdetr": 4,
    "yolov8_pose": 4,
    "heatmap": 8,
}
LOSS_ALONE = ("detr", "rtdetr", "yolov8_pose")  # much later they find anything from scratch
# Of these, the keys that a recipe knows. A rate has to be above 0; this one changes no figure.
FREEZE = {"lr": 1e-12, "lr0": 1e-12, "weight_decay": 0.0}
SHARE = 1 / 3  # of the way from the worst figure to the frozen one: where the threshold lies
SEEDS = (0, 1, 2, 3, 4)
INSTRUCTIONS: Mapping[str, Mapping[str, str]] = {
    "avx2": {
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    },
    "avx512_bf16": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"},
}
Compose = Callable[..., Composed]  # overrides → the configuration


@dataclass(frozen=True)
class Setting:
    """A model by one of its recipes, and pictures for it."""

    name: str
    task: Task
    node: Mapping[str, object]
    recipe: Mapping[str, object]
    classes: int
    samples: list[Sample] = field(repr=False)

    @property
    def epochs(self) -> int:
        """How many epochs the model has to learn the pictures."""
        return OTHER_EPOCHS.get(self.name, EPOCHS[self.task])


# ---- one training


def prepare(
    name: str,
    task: Task,
    compose: Compose,
    recipe: str = "tiny",
    size: tuple[int, int] = SIZE,
    images: int = IMAGES,
) -> Setting:
    """Return a model of conf/model by a recipe, with so many phantoms."""
    from usbench.datasets.config import DatasetConfig
    from usbench.datasets.phantoms import phantom
    from usbench.runner.resolve import resolve_model

    dataset, scene = SCENES[task]
    config = compose(f"dataset={dataset}", f"model={name}", f"recipe={recipe}")
    config["dataset"]["size"] = list(size)
    _, model = resolve_model(config, DatasetConfig.from_mapping(config["dataset"]), real=False)
    spec = phantom.PhantomSpec(scene, size, {"train": images}, 3, per_group=1)
    classes = len(phantom.scene_classes(spec, task))
    return Setting(
        name, task, model.build, model.recipe, classes, list(phantom.draw_samples(spec, task))
    )


def freeze(setting: Setting) -> Setting:
    """Return the setting with a recipe that leaves every weight as it is."""
    rates = {"weight_decay", *setting.recipe}.intersection(FREEZE)
    return replace(setting, recipe={**setting.recipe, **{key: FREEZE[key] for key in rates}})


def train(setting: Setting, folder: Path, seed: int, precision: Precision = "fp32") -> float:
    """Train on the pictures, again and again without augmentation, and return the figure."""
    from usbench.results.scoring import SELECTION

    losses: list[float] = []

    def log(name: str, value: float, step: int) -> None:
        if name == "train/loss":
            losses.append(value)

    select = SELECTION[setting.task]
    recipe = {**setting.recipe, "epochs": setting.epochs, "batch": BATCH, "augment": {}}
    model = build(setting.node, classes=setting.classes, exclusive=True, recipe=recipe)
    drawn = "iterations" in recipe  # an epoch of so many batches, whatever the set's size
    often = setting.samples * (1 if drawn else STEPS * BATCH // len(setting.samples))
    model.fit(often, setting.samples, Run(folder, "cpu", seed, precision, 1, select, log))
    if len(losses) != setting.epochs or not all(map(math.isfinite, losses)):
        raise ValueError(f"{setting.name}: expected {setting.epochs} finite losses, got {losses}")
    if setting.name in LOSS_ALONE:
        return losses[-1] / losses[0]
    predictions = model.predict([sample.image for sample in setting.samples])
    targets = [sample.target for sample in setting.samples]
    return float(select(zip(targets, predictions, strict=True)))


# ---- the record


def load(path: Path = RECORD) -> dict[str, JsonObject]:
    """Return the record's models by name; none where there is no record yet."""
    if not path.is_file():
        return {}
    models: dict[str, JsonObject] = json.loads(path.read_text("utf-8"))["models"]
    return models


def save(models: Mapping[str, JsonObject], path: Path = RECORD) -> None:
    """Write the record with a line for each model."""
    head = {
        "setting": {"size": SIZE, "images": IMAGES, "batch": BATCH, "steps": STEPS},
        "frozen": FREEZE,
        "share": round(SHARE, 3),
    }
    lines = [f"  {json.dumps(name)}: {json.dumps(models[name])}" for name in sorted(models)]
    text = json.dumps(head, indent=1)[:-2] + ',\n "models": {\n' + ",\n".join(lines) + "\n }\n}\n"
    path.write_text(text, encoding="utf-8")


def identify(node: JsonObject, epochs: int) -> str:
    """Return a hash of the YAML's `tiny` and the training's length: another recipe has another."""
    facts = [node["recipes"]["tiny"], epochs, STEPS, BATCH, IMAGES, SIZE]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def start(setting: Setting, node: JsonObject) -> JsonObject:
    """Return a model's entry before anything is measured."""
    figure = "loss, last / first" if setting.name in LOSS_ALONE else f"selection, {setting.task}"
    return {
        "recipe": identify(node, setting.epochs),
        "epochs": setting.epochs,
        "figure": figure,
        "bf16": "cpu" in node["bf16"],
        "threshold": None,
        "frozen": None,
        "learnt": {},
    }


def set_threshold(entry: JsonObject) -> None:
    """Place the threshold between the worst figure and the frozen one."""
    values = [value for row in entry["learnt"].values() for value in row.values()]
    if values and entry["frozen"] is not None:
        worst = max(values) if is_loss(entry) else min(values)
        entry["threshold"] = round(worst + SHARE * (entry["frozen"] - worst), 3)


def is_loss(entry: JsonObject) -> bool:
    """Return whether a lower figure is the better one."""
    return str(entry["figure"]).startswith("loss")


def clears(entry: JsonObject, value: float) -> bool:
    """Return whether a figure lies on the learnt side of the model's threshold."""
    threshold: float = entry["threshold"]
    return value < threshold if is_loss(entry) else value > threshold


# ---- the command


def restart_with(variables: Mapping[str, str]) -> None:
    """Start this program again with the environment variables, which count when torch is loaded."""
    if not variables.items() <= os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **variables})


def measure(setting: Setting, seed: int, precision: Precision, label: str) -> float:
    """Train once in a folder that is thrown away; say the figure and the seconds."""
    with tempfile.TemporaryDirectory() as folder:
        seconds, figure = time_call(train, setting, Path(folder), seed, precision)
    say(f"{setting.name}, seed {seed}, {label}: {figure:.3f} ({seconds:.1f} s)")
    return round(figure, 4)


def measure_model(name: str, node: JsonObject, options: Options) -> None:
    """Measure what the record lacks of a model, and save after each training."""
    setting = prepare(name, node["task"], lambda *overrides: compose_alone(overrides))
    models = load(options.record)
    entry = start(setting, node)
    if not options.anew and models.get(name, {}).get("recipe") == entry["recipe"]:
        entry = models[name]

    def update_record() -> None:
        set_threshold(entry)
        save({**load(options.record), name: entry}, options.record)

    for precision in options.precision:
        if precision == "bf16" and not entry["bf16"]:
            continue
        label = f"{precision} {options.instructions or ''}".strip()
        row = entry["learnt"].setdefault(label, {})
        for seed in options.seeds:
            if str(seed) not in row:
                row[str(seed)] = measure(setting, seed, precision, label)
                update_record()
    if entry["frozen"] is None:
        entry["frozen"] = measure(freeze(setting), 0, "fp32", "frozen")
        update_record()


def main(argv: list[str] | None = None) -> None:
    """Measure the models that were asked for."""
    parser = make_parser(__doc__)
    add, both = parser.add_argument, ["fp32", "bf16"]
    add("model", nargs="*", metavar="MODEL", help="default: all of conf/model")
    add("--seeds", type=int, nargs="+", default=list(SEEDS), metavar="N")
    add("--precision", nargs="+", choices=both, default=both)
    add("--instructions", choices=tuple(INSTRUCTIONS), help="an older processor's")
    add("--anew", action="store_true", help="forget what the record has of them")
    add("--record", type=Path, default=RECORD, metavar="FILE")
    options = parser.parse_args(argv)
    if options.instructions:
        restart_with(INSTRUCTIONS[options.instructions])
    import torch

    torch.set_num_threads(1)
    paths = sorted((conf_dir() / "model").glob("*.yaml"))
    nodes = {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in paths}
    for name in options.model or nodes:
        if name not in nodes:
            raise SystemExit(f"{name}: expected one of {', '.join(nodes)}")
        measure_model(name, nodes[name], options)


if __name__ == "__main__":
    main()
