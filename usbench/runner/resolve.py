"""From a composed configuration to a `RunConfig`: device, recipe, data and run id are settled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from usbench.datasets import source
from usbench.datasets.config import DatasetConfig, ViewConfig, check_file_name, to_plain
from usbench.datasets.dataset import Dataset, file_fingerprint
from usbench.datasets.sizes import fit_size
from usbench.errors import ConfigError, UnsuitableError, did_you_mean
from usbench.io.config import Composed
from usbench.io.cores import count_cores
from usbench.models import CACHE_VERSION, weights
from usbench.models.recipe_keys import FOR_PEOPLE, show
from usbench.results.result import Tuned
from usbench.results.scoring import make_scorer
from usbench.runner import machine
from usbench.runner.config import ModelConfig, RunConfig, WeightsOrigin
from usbench.runner.groups import complete_groups
from usbench.runner.identity import identify, short_hash
from usbench.runner.recipes import (
    apply_short_keys,
    check_arguments,
    check_own_classes,
    read_recipes,
)
from usbench.types import TASKS, Task

LIMIT = 2**64  # of a seed: torch takes no larger one
SELECTION: Mapping[Task, tuple[str, int]] = {  # selection metric and its version; higher is better
    "segment": ("dice", 1),
    "detect": ("map50_95", 1),
    "landmark": ("minus_mre_px", 2),
}


def resolve_config(
    composed: Composed,
    training: bool = True,
    device: str | None = None,
    tuned: Tuned | None = None,
) -> RunConfig:
    """Resolve a composed configuration. Writes the phantom where one is used.

    Args:
        composed: conf/config.yaml with its groups, resolved.
        training: whether the run needs images to train on.
        device: of another machine where the run will be done; None: this one's.
        tuned: the search whose best values the configuration has.

    Raises:
        ConfigError: a combination that can't be.
        DataError: a release that is missing or damaged.
    """
    check_switches(composed)
    runs, results = folder(composed, "runs"), folder(composed, "results")
    composed = complete_groups(composed)
    dataset = DatasetConfig.from_mapping(composed["dataset"])
    task = check_task(composed, dataset)
    if training and dataset.split.test_only:
        raise UnsuitableError(
            f"dataset={dataset.name}",
            "it has test images only",
            f"train on another one with evaluate_on=[{dataset.name}], or evaluate a result: "
            f"usbench evaluate RESULT dataset={dataset.name}",
        )
    if device and composed["precision"] == "auto":
        raise ConfigError(
            "precision=auto: it depends on the device, and the cluster's can't be seen from here; "
            "set precision=bf16 (compute capability 8.0 or newer) or precision=fp32"
        )
    released, root = source.locate(dataset, composed["data"], composed["source"])
    phantom = not released or (root / source.MARK).is_file()
    device = device or machine.resolve_device(composed["device"])
    recipe_name, model = resolve_model(composed, dataset, real=not phantom)
    threads = composed["threads"]
    config = RunConfig(
        dataset=dataset.without_release() if phantom else dataset,
        task=task,
        fold=resolve_fold(composed, dataset),
        model=model,
        recipe=recipe_name,
        weights=weights_origin(composed["model"]["build"].get("weights"), model),
        metric=metric_node(composed["metric"], dataset.views[task]),
        seed=whole_number(composed, "seed"),
        device=device,
        precision=resolve_precision(composed, device),
        threads=count_cores() if threads is None else whole_number(composed, "threads"),
        phantom=phantom,
        root=root,
        runs=runs,
        results=results,
        tracking=composed["tracking"],
        debug=composed["debug"],
        tuned=tuned,
    )
    if not released:
        config = replace(config, root=draw_phantom(config, root, str(composed["source"])))
    config = identify_run(config, config.open_dataset(), drawn=not released)
    check_metric(config)
    return config


def draw_phantom(config: RunConfig, root: Path, asked: str) -> Path:
    """The folder of the phantom that stands in for a release.

    Args:
        root: where the release would lie.
        asked: the command's source=.

    Raises:
        ConfigError: there is none, such as one of these classes.
    """
    try:
        return source.ensure_phantom(config.dataset, config.task, config.runs)
    except ConfigError as error:
        if asked == "phantom":
            raise
        raise ConfigError(
            f"{root}: no images of {config.dataset.name} found here; name their folder by "
            f"dataset.root=DIR. A phantom can't stand in for them: {error}"
        ) from error


# ---- the choices of a command


def whole_number(composed: Composed, key: str) -> int:
    """A whole number of 0 or more (threads: 1 or more). Raises ConfigError for anything else."""
    value = composed[key]
    least = 1 if key == "threads" else 0
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"{key}={value}: expected a whole number of {least} or more")
    if value >= LIMIT:
        raise ConfigError(f"{key}={value}: expected a whole number below 2**64")
    return value


def folder(composed: Composed, key: str) -> Path:
    """A folder, which may be called by a number. Raises ConfigError where none is named."""
    value = composed[key]
    if (
        not isinstance(value, (str, int, float))
        or isinstance(value, bool)
        or not str(value).strip()
    ):
        raise ConfigError(f"{key}={show(value)}: expected a folder")
    return Path(str(value)).absolute()


def resolve_fold(composed: Composed, dataset: DatasetConfig) -> int | None:
    """The fold's number, None for the fixed split; where the release has folds, 0 for none named.

    Raises:
        ConfigError: a fold that isn't.
    """
    fold, folds = composed["fold"], dataset.split.folds
    if fold is None and dataset.split.released_folds:
        return 0
    if fold is None:
        return None
    if not folds:
        raise UnsuitableError(
            f"fold={fold}", f"{dataset.name} has a fixed split and no folds", "leave fold out"
        )
    if whole_number(composed, "fold") >= folds:
        raise UnsuitableError(
            f"fold={fold}", f"expected 0 to {folds - 1} ({dataset.name} has {folds} folds)"
        )
    return int(fold)


def check_switches(composed: Composed) -> None:
    """Raise ConfigError for a switch that is neither true nor false (trust=no is a word)."""
    for key in ("overwrite", "trust", "debug", "plan", "retry_failed"):
        if not isinstance(composed[key], bool):
            raise ConfigError(f"{key}={composed[key]}: expected true or false")
    if composed["tracking"] not in ("mlflow", "none"):
        raise ConfigError(f"tracking={composed['tracking']}: expected mlflow or none")


def check_task(composed: Composed, dataset: DatasetConfig) -> Task:
    """The model's task. Raises ConfigError where the dataset or the metric doesn't have it."""
    model, metric = composed["model"], composed["metric"]
    task: Task = model["task"]
    check_file_name(model["name"], "model.name")
    if task not in TASKS:
        raise ConfigError(f"model.task: expected one of {', '.join(TASKS)}, got {task!r}")
    if task not in dataset.views:
        raise UnsuitableError(
            f"dataset={dataset.name} model={model['name']}",
            f"the model does {task}, the dataset has {', '.join(dataset.views)}",
            "see usbench list",
        )
    if metric["task"] != task:
        raise ConfigError(f"metric={metric['task']}: the model does {task}; use metric={task}")
    return task


def resolve_precision(composed: Composed, device: str) -> machine.Precision:
    """fp32 or bf16; auto is bf16 where the device and the model can. Raises ConfigError."""
    asked, model = composed["precision"], composed["model"]
    precision = machine.resolve_precision(asked, device)
    if precision == "fp32" or device.split(":")[0] in model["bf16"]:
        return precision
    if asked == "bf16":
        raise UnsuitableError(
            "precision=bf16",
            f"{model['name']} can train in it on {', '.join(model['bf16'])}",
            "use precision=auto",
        )
    return "fp32"


def metric_node(metric: Composed, view: ViewConfig) -> Composed:
    """The metric with what the view adds: its papers' protocols, measurements, tolerances.

    A tolerance of a surface Dice that the user has chosen wins over the view's.
    """
    node = {name: value for name, value in metric.items() if name != "task"}
    check_arguments(node, "metric")
    protocols = list(metric["protocols"])
    protocols += [protocol for protocol in view.protocols if protocol not in protocols]
    if view.measures:
        node["measures"] = {**view.measures, **(metric.get("measures") or {})}
    for unit, value in (view.tolerance or {}).items():
        if node.get(f"tolerance_{unit}") is None:
            node[f"tolerance_{unit}"] = value
    return {**node, "protocols": protocols}


def check_metric(config: RunConfig) -> None:
    """Raise ConfigError for a metric that can't be built, or without its primary score."""
    primary = str(config.metric.get("primary"))
    names = make_scorer(config.metric, config.classes).result().protocol.scores
    if primary not in names:
        hint = did_you_mean(primary, names) or f": {', '.join(names)}"
        raise ConfigError(f"metric.primary={primary}: expected a score of the metric{hint}")


# ---- the model, its recipe and its weights


def resolve_model(
    composed: Composed, dataset: DatasetConfig, real: bool
) -> tuple[str, ModelConfig]:
    """(recipe's name, model). A value that the build leaves null is taken from the recipe."""
    model = composed["model"]
    check_arguments(model["build"], "model.build")
    name = choose_recipe(composed, dataset, real)
    recipes = read_recipes(apply_short_keys(composed, name))
    build, recipe = dict(model["build"]), dict(recipes[name])
    check_own_classes(recipe, f"model.recipes.{name}")
    for key, value in model["build"].items():
        if value is None and key in recipe:
            build[key] = recipe.pop(key)
    if isinstance(recipe.get("size"), int):
        recipe["size"] = fit_size(recipe["size"], dataset.size)
    stated = build.get("weights")
    if stated and model["pickled"] and not composed["trust"]:
        raise ConfigError(
            f"model.build.weights={stated}: {model['name']}'s weights are a pickle, which can run "
            "any code when it is read; if you trust its origin, set trust=true"
        )
    if "weights" in build:
        build["weights"] = weights.fetch(stated, Path(str(composed["runs"]), "cache", "weights"))
    return name, ModelConfig(model["name"], model["version"], build, recipe)


def choose_recipe(composed: Composed, dataset: DatasetConfig, real: bool) -> str:
    """The recipe's name. Raises UnsuitableError where the model has no such recipe."""
    model, name = composed["model"], composed["recipe"]
    recipes, asked = model["recipes"], f"recipe={name}"
    if name == "auto":
        name = dataset.recipes.get(model["name"], "standard") if real else "quick"
        asked = f"recipe=auto, here {name}"
        if len(recipes) == 1:
            (name,) = recipes
    if name not in recipes:
        raise UnsuitableError(asked, f"expected one of {', '.join(recipes)} for {model['name']}")
    return str(name)


def weights_origin(stated: object, model: ModelConfig) -> WeightsOrigin | None:
    """Where the starting weights came from, and their sha256; None from scratch."""
    path = model.build.get("weights")
    if not path:
        return None
    return WeightsOrigin(weights.describe_origin(stated), weights.weights_sha256(str(path)))


# ---- identity


def identify_run(config: RunConfig, dataset: Dataset, drawn: bool) -> RunConfig:
    """The configuration with the release's classes, the data's fingerprint and the run id.

    Args:
        config: resolved, but for what depends on the data.
        dataset: opened for it.
        drawn: whether usbench drew the files below runs; its parameters then say it all.
    """
    config = replace(config, dataset=config.dataset.with_classes(config.task, dataset.classes))
    config = replace(config, fingerprint=fingerprint(config, dataset, drawn))
    series, run_id = run_ids(config)
    fold_series = None
    if config.fold is not None:
        first = replace(config, fold=0)
        first_fold = dataset if config.fold == 0 else dataset.with_fold(config.dataset.split, 0)
        first = replace(first, fingerprint=fingerprint(first, first_fold, drawn))
        fold_series, _ = run_ids(first)
    return replace(config, series=series, run_id=run_id, fold_series=fold_series)


def fingerprint(config: RunConfig, dataset: Dataset, drawn: bool) -> str:
    """The data's fingerprint: of its files, or of the parameters of a phantom drawn by usbench."""
    if drawn:
        return source.phantom_fingerprint(config.dataset, config.task, config.fold)
    return file_fingerprint(dataset, config.runs / "cache" / "hashes.json")


def run_ids(config: RunConfig) -> tuple[str, str]:
    """(series, run id): hashes of what decides predictions, without and with seed and precision."""
    model, view = config.model, config.view
    build = dict(model.build)
    weights_file = build.pop("weights", None)
    recipe = {key: value for key, value in model.recipe.items() if key not in FOR_PEOPLE}
    facts = {
        "dataset": config.dataset.name,
        "task": config.task,
        "fold": config.fold,
        "classes": list(view.classes or ()),
        "exclusive": view.exclusive,
        "layout": identify(view.layout),
        "data": config.fingerprint,
        "model": {"name": model.name, "build": identify(build), "recipe": identify(recipe)},
        "weights": weights.weights_sha256(None if weights_file is None else str(weights_file)),
        "versions": {"adapter": model.version, "cache": CACHE_VERSION},
        "selection": SELECTION[config.task],
    }
    if config.tuned:
        facts["tuned"] = to_plain(config.tuned)
    seeded = {**facts, "precision": config.precision, "seed": config.seed}
    return short_hash(facts), short_hash(seeded)
