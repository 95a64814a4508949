"""Hydra and OmegaConf behind a few functions: compose a configuration, build its `_target_` nodes.

Only this module, `usbench.__main__` and `usbench.sweep.planner` import Hydra.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import (
    HydraException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from usbench.errors import ConfigError, UsbenchError, did_you_mean, in_one_line
from usbench.io.overrides import quote
from usbench.io.yaml_file import read_yaml

Composed = dict[str, Any]  # a composed configuration as plain data, not yet validated

HYDRA_ERRORS = (HydraException, OmegaConfBaseException)
EXTRAS = {"submitit": "slurm", "ray": "ray", "joblib": "sweep", "optuna": "sweep"}
GROUPS = ("dataset", "model", "metric", "sweep", "hydra")  # of conf/, besides its keys
GROUP_HINTS = {  # groups that a run needs → what to do where one is missing
    "dataset": "set dataset=… to one of usbench list",
    "model": "set model=… to one of usbench list",
}
PATTERN_KEYS = ("dataset.images", "dataset.labels")  # whose values may be path patterns
AMBIGUOUS = re.compile(r"Ambiguous value for argument '(.+?)' 1\.")  # Hydra's, of KEY=A,B
PLUGIN_GROUPS = ("hydra/launcher", "hydra/sweeper")


def conf_dir() -> Path:
    """The configuration shipped in the wheel, or the checkout's beside the package."""
    package = Path(__file__).resolve().parents[1]
    return package / "conf" if (package / "conf").is_dir() else package.parent / "conf"


# ---- composing


def compose(overrides: Sequence[str]) -> Composed:
    """Compose conf/config.yaml with overrides, as plain data; within Hydra's own run only.

    Raises:
        ConfigError: the overrides don't compose.
    """
    return to_plain_data(compose_unresolved(overrides))


def compose_unresolved(overrides: Sequence[str]) -> DictConfig:
    """Compose with the `${…}` still in it. Raises as `compose`."""
    check_keys(overrides)
    try:
        config: DictConfig = hydra.compose("config", list(overrides))
    except HYDRA_ERRORS as error:
        raise ConfigError(explain(error)) from error
    return config


def compose_alone(overrides: Sequence[str], config_dir: Path | None = None) -> Composed:
    """Compose outside of a Hydra run.

    Args:
        overrides: KEY=VALUE, as for `python -m usbench`.
        config_dir: a further folder of configuration.

    Raises:
        ConfigError: the overrides don't compose.
    """
    with begin_composing(config_dir) as search_path:
        return compose([*quote_patterns(overrides), *search_path])


@contextmanager
def begin_composing(config_dir: Path | None = None) -> Iterator[list[str]]:
    """Let `compose` work outside of a Hydra run of usbench.

    Hydra composes for one application at a time. Another one, such as a program of the user's
    that calls usbench, is set aside and put back.

    Args:
        config_dir: a further folder of configuration.

    Yields:
        The overrides that name it, which each `compose` needs.

    Raises:
        ConfigError: a file in it can't be read.
    """
    check_config_dir(config_dir)
    search_path = []
    if config_dir:
        search_path = [f"hydra.searchpath=[{quote(f'file://{config_dir.resolve()}')}]"]
    current = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
            yield search_path
    finally:
        GlobalHydra.instance().clear()
        if current is not None:
            GlobalHydra.instance().initialize(current)


def to_plain_data(config: object) -> Composed:
    """A composed configuration as dictionaries and lists, with every `${…}` resolved.

    Raises:
        ConfigError: a `${…}` that can't be resolved, an unknown key, or no dataset or model.
    """
    try:
        plain: Any = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(explain(error)) from error
    check_names(plain)
    for group, hint in GROUP_HINTS.items():
        node = plain.get(group)
        if not isinstance(node, dict) or not node.keys() - {"root"}:
            raise ConfigError(f"{group}: expected a YAML with keys, got none; {hint}")
    if plain.get("metric") is None:
        plain["metric"] = default_metric(plain["model"].get("task"))
    return dict(plain)


def default_metric(task: object) -> Composed:
    """The metric of a model whose YAML names none: its task's; none for an unknown task."""
    paths = {path.stem: path for path in (conf_dir() / "metric").glob("*.yaml")}
    return dict(read_yaml(paths[str(task)])) if str(task) in paths else {}


def no_keys(path: str) -> Iterable[str]:
    """The keys that may stand below a path though no YAML spells them out: none is known."""
    return ()


def explain(error: Exception, declared: Callable[[str], Iterable[str]] = no_keys) -> str:
    """Hydra's several lines as one, with what to do.

    Args:
        declared: the keys that may stand below a path though no YAML spells them out.
    """
    if isinstance(error, OverrideParseException):
        if "=" not in error.override:
            return f"{error.override}: expected KEY=VALUE, such as {example(error.override)}"
        return (
            f"{error.override}: expected KEY=VALUE; a value with other characters than those of "
            "names goes into quotes of its own, such as \"KEY='a (b)'\""
        )
    if "Could not override 'metric'" in str(error):
        return (
            "metric=…: the model's YAML names no metric to replace; write +metric=…, or add to it "
            "defaults: [/metric@_global_.metric: segment, _self_]"
        )
    if isinstance(error.__cause__, (ConfigAttributeError, ConfigKeyError)):
        return explain_key(error.__cause__, declared)
    missing = error.missing_cfg_file if isinstance(error, MissingConfigException) else None
    group, _, name = str(missing).rpartition("/")
    plugin = name.partition("_")[0]
    if group in PLUGIN_GROUPS and plugin in EXTRAS:
        extra = EXTRAS[plugin]
        return f"{missing}: its Hydra plugin isn't installed; pip install 'usbench[{extra}]'"
    choices = (error.options or []) if isinstance(error, MissingConfigException) else []
    if choices:
        return (
            f"{group}={name}: no such {group}{did_you_mean(name, choices) or '.'} See usbench list"
        )
    text = in_one_line(error)
    if match := AMBIGUOUS.match(text):
        return (
            f"{match[1]}: add -m to run several; a list goes into brackets, KEY=[A,B], a text with "
            "a comma into quotes"
        )
    return f"{text} (see usbench --help and usbench list)"


def example(word: str) -> str:
    """KEY=VALUE for a word that stands alone: model=unet for unet."""
    names = ((group, conf_dir() / group / f"{word}.yaml") for group in GROUPS)
    return next((f"{group}={word}" for group, path in names if path.is_file()), "model=unet")


def explain_key(
    error: ConfigAttributeError | ConfigKeyError, declared: Callable[[str], Iterable[str]]
) -> str:
    """What to do about a nested key that no YAML spells out."""
    path, name = str(error.full_key).rpartition(".")[0], str(error.key)
    allowed = set(declared(path))
    if name in allowed:
        return f"{path}.{name}: no YAML spells it out; set it with +{path}.{name}=…"
    siblings = error.parent_node if isinstance(error.parent_node, DictConfig) else ()
    hint = did_you_mean(name, {*map(str, siblings), *allowed}, f"{path}.{{}}") or "."
    return f"{error.full_key}: no such key{hint} See usbench keys"


def no_place(key: str) -> str | None:
    """The whole path of a recipe's key: none is known."""
    return None


def check_keys(
    arguments: Sequence[str], recipe_path: Callable[[str], str | None] = no_place
) -> None:
    """Check the first part of each KEY=VALUE of a command line, which Hydra names no nearest of.

    Args:
        recipe_path: the path of a key of the chosen recipe, by the key; None: it has no such key.

    Raises:
        ConfigError: conf/config.yaml has no such key, or nothing is chosen for a group.
    """
    for argument in arguments:
        key, equals, value = argument.lstrip("+").partition("=")
        if not equals or not key or key[0] in "-~":
            continue
        misplaced = key.startswith("recipe.") or not is_known(key)
        if misplaced and (path := recipe_path(key.removeprefix("recipe."))):
            raise ConfigError(f"{key}: no such key; did you mean {path}?")
        check_names([key])
        if key in (*GROUP_HINTS, "metric") and value.strip().lower() in ("", "null", "none"):
            raise ConfigError(f"{argument}: expected the name of a {key}; usbench list shows them")


def check_names(keys: Iterable[str]) -> None:
    """Raise ConfigError for a key whose first part conf/config.yaml doesn't have."""
    for key in keys:
        if not is_known(key):
            hint = did_you_mean(first_part(key), known_keys()) or "."
            raise ConfigError(f"{key}: no such key{hint} See usbench keys")


def first_part(key: str) -> str:
    """A key up to the first mark."""
    return re.split("[./@:]", key)[0]


@functools.cache
def known_keys() -> frozenset[str]:
    """The keys and groups of conf/config.yaml."""
    return frozenset(GROUPS) | {*yaml.safe_load((conf_dir() / "config.yaml").read_text("utf-8"))}


def is_known(key: str) -> bool:
    """Whether conf/config.yaml has the first part of a key."""
    return first_part(key) in known_keys()


def check_config_dir(folder: Path | None) -> None:
    """Read the YAML files of a user's configuration, of which Hydra would name no line.

    Raises:
        ConfigError: there is no such folder, or one of its files isn't a mapping of plain values.
    """
    if folder is None:
        return
    try:
        is_folder = folder.is_dir()
    except OSError:  # a name that is too long
        is_folder = False
    if not is_folder:
        raise ConfigError(f"--config-dir {folder}: no such folder")
    folders = [folder.glob("*.yaml"), *((folder / group).rglob("*.yaml") for group in GROUPS)]
    for path in sorted(itertools.chain(*folders)):
        content = read_yaml(path)
        if content is not None and not isinstance(content, dict):
            raise ConfigError(f"{path}: expected keys with values, got {type(content).__name__}")


def build(node: Mapping[str, object], **arguments: object) -> Any:
    """Instantiate a `_target_` node, and the nodes in it, with further arguments.

    Args:
        arguments: passed as they are, also where there is a `_target_` in them.

    Raises:
        ConfigError: its target or an argument of it doesn't exist.
    """
    try:
        factory = instantiate({**node, "_convert_": "all", "_partial_": True})
        return factory(**arguments)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, UsbenchError):
            raise cause from error
        if cause is not None and not isinstance(cause, (ImportError, TypeError, AttributeError)):
            raise
        raise ConfigError(f"{node.get('_target_')}: {in_one_line(error)[:300]}") from error
    except (ImportError, TypeError, AttributeError) as error:
        raise ConfigError(f"{node.get('_target_')}: {in_one_line(error)[:300]}") from error


# ---- the running job


def job_overrides() -> list[str]:
    """The overrides of the job that Hydra runs now."""
    return list(HydraConfig.get().overrides.task)


def job_launcher() -> Composed:
    """The configuration of the launcher that runs this job."""
    launcher: Composed = HydraConfig.get().launcher
    return launcher


def in_multirun() -> bool:
    """Whether Hydra runs several jobs."""
    return bool(HydraConfig.get().mode == RunMode.MULTIRUN)


# ---- overrides


def sweep_parameters(config: DictConfig) -> list[str]:
    """The overrides of a sweep's YAML; `${…}` stays as it is."""
    params: Any = OmegaConf.to_container(
        config.hydra.sweeper.params or OmegaConf.create({}), resolve=False
    )
    return [f"{name}={value}" for name, value in params.items()]


def grid_combinations(config: DictConfig) -> list[tuple[str, ...]]:
    """The overrides of each job of a multirun: of its grids, one after the other.

    What the command says holds for each grid.

    Raises:
        ConfigError: grids that aren't a list of {key: values}, or values that can't be listed.
    """
    grids: Any = [{}] if config.grids is None else OmegaConf.to_container(config.grids)
    if not isinstance(grids, list) or not all(isinstance(grid, dict) for grid in grids):
        raise ConfigError(f"grids: expected a list of {{key: values}}, got {grids!r}")
    shared, task = sweep_parameters(config), task_overrides(config)
    return [
        job
        for grid in grids
        for job in combinations([*shared, *(f"{k}={v}" for k, v in grid.items()), *task])
    ]


def task_overrides(config: DictConfig) -> list[str]:
    """The overrides of the command; `${…}` stays as it is."""
    task: Any = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
    return list(task)


def parse_overrides(overrides: Sequence[str]) -> list[Override]:
    """Overrides as Hydra reads them. Raises ConfigError for one that it can't read."""
    parser = OverridesParser.create(GlobalHydra.instance().config_loader())
    try:
        return list(parser.parse_overrides(list(overrides)))
    except HydraException as error:
        raise ConfigError(explain(error)) from error


def quote_patterns(arguments: Sequence[str]) -> list[str]:
    """Arguments with path patterns, such as dataset.images={kind}/{id}.png, in Hydra's quotes.

    Hydra reads a brace as the beginning of a mapping. Values that are one stay as they are.
    """
    parser = OverridesParser.create()
    quoted = []
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key in PATTERN_KEYS and "{" in value:
            try:
                parser.parse_override(argument)
            except HydraException:
                argument = f"{key}={quote(value)}"
        quoted.append(argument)
    return quoted


def combinations(overrides: Sequence[str]) -> list[tuple[str, ...]]:
    """The overrides of each job of a multirun; the last key varies fastest, as in Hydra's sweeper.

    A key that is given twice keeps its first place and its last value.
    """
    choices: dict[str, list[str]] = {}
    for override in parse_overrides(overrides):
        key = str(override.get_key_element())
        if not override.is_sweep_override():
            choices[key] = [f"{key}={override.get_value_element_as_str()}"]
        elif override.is_discrete_sweep():
            choices[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        else:
            raise ConfigError(
                f"{override.input_line}: expected values to list; only a search "
                "(sweep=tune) takes intervals"
            )
    return list(itertools.product(*choices.values()))
