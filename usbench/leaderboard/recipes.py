"""What was altered in a run: its recipe and model beside those of the YAML that it names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from usbench.datasets.sizes import fit_size
from usbench.io.yaml_file import read_yaml
from usbench.leaderboard.settings import Node, flatten, names_class, node_at, read_settings
from usbench.results.result import Result

Configs = Mapping[str, Mapping[str, Node]]  # model | dataset | metric → name → YAML
NOTES = ("unstated", "note")  # of a recipe: for people, not part of a run
MOST_SHOWN = 4  # altered values; of more the number is shown
METRIC = "/metric"  # what a model's YAML may take from others and still be whole by itself


def read_configs(*folders: Path) -> Configs:
    """The YAML below folders of configuration; a file without a mapping is left out.

    A file of a later folder replaces one of the same name.
    """
    configs: dict[str, dict[str, Node]] = {"model": {}, "dataset": {}, "metric": {}}
    for group, nodes in configs.items():
        for folder in folders:
            for path in sorted((folder / group).glob("*.yaml")):
                node = read_yaml(path)
                if isinstance(node, dict):
                    nodes[path.stem] = node
    return configs


def adapter_versions(configs: Configs) -> dict[str, int]:
    """The version of each model's adapter, by the model's name."""
    versions = {}
    for stem, node in configs["model"].items():
        version = node.get("version")
        if isinstance(version, int):
            versions[str(node.get("name", stem))] = version
    return versions


def stated_model(used: Node, model: Node, recipe: str, native: object) -> tuple[Node, Node]:
    """(build, recipe) that a run has which takes a model's YAML as it is.

    Args:
        used: the model part of the result's configuration.
        model: the model's YAML.
        recipe: name of the recipe, which the YAML has.
        native: (height, width) of the dataset's images; None where it isn't stated.
    """
    build = dict(node_at(model, "build"))
    steps = dict(node_at(model, "recipes", recipe))
    # As when a run is resolved: the recipe provides what the build leaves open.
    for key, value in build.items():
        if value is None and key in steps and key not in node_at(used, "recipe"):
            build[key] = steps.pop(key)
    size = steps.get("size")
    if isinstance(size, int) and isinstance(native, list):
        steps["size"] = fit_size(size, (native[0], native[1]))
    return build, without_notes(steps)


def without_notes(recipe: Node) -> Node:
    """A recipe without what is for people only."""
    return {name: value for name, value in recipe.items() if name not in NOTES}


def describe_alterations(results: Iterable[Result], configs: Configs) -> dict[str, str]:
    """Run id → what tells a run from its recipe, such as "epochs 3, loss Tversky(beta .7)".

    Runs that take model and recipe as the YAML has them aren't in it, and neither are those whose
    YAML isn't known.
    """
    described = {}
    for result in results:
        texts = list(altered_values(result, configs)) if result.origin == "run" else []
        more = len(texts) - MOST_SHOWN
        if more > 0:
            texts = [*texts[:MOST_SHOWN], f"{more} more"]
        if texts:
            described[result.run_id] = ", ".join(texts)
    return described


def altered_values(result: Result, configs: Configs) -> Iterator[str]:
    """Each altered value as text, those of the recipe first."""
    used = read_settings(result).model
    model = configs["model"].get(result.model, {})
    recipe = result.recipe or ""
    if not used or recipe not in node_at(model, "recipes") or not is_whole(model):
        return
    dataset = configs["dataset"].get(result.trained_on or result.dataset, {})
    build, steps = stated_model(used, model, recipe, dataset.get("size"))
    same_version = used.get("version") == model.get("version")
    used_steps, steps = name_classes(without_notes(node_at(used, "recipe")), steps)
    yield from differing(used_steps, steps, same_version)
    yield from differing(node_at(used, "build"), build, same_version)


def name_classes(used: Node, stated: Node) -> tuple[Node, Node]:
    """Both recipes, with the user's classes that differ as text in place of the section's keys."""
    named, normal = dict(used), dict(stated)
    for key, section in used.items():
        if names_class(section) and section != stated.get(key):
            named[key] = describe_class(section)
            normal[key] = None
    return named, normal


def describe_class(node: Node) -> str:
    """A `_target_` node as text: Tversky(beta .7)."""
    name = str(node["_target_"]).rpartition(".")[2]
    arguments = [
        f"{key} {format_setting(value)}" for key, value in node.items() if not key.startswith("_")
    ]
    return f"{name}({', '.join(arguments)})" if arguments else name


def is_whole(model: Node) -> bool:
    """Whether a model's YAML takes nothing from another model's."""
    defaults = model.get("defaults")
    entries = defaults if isinstance(defaults, list) else []
    return all(
        entry == "_self_" or (isinstance(entry, dict) and str(next(iter(entry))).startswith(METRIC))
        for entry in entries
    )


def differing(used: Node, stated: Node, same_version: bool) -> Iterator[str]:
    """What differs. same_version: of the model's code; else only keys that both have count."""
    values, expected = dict(flatten(used)), dict(flatten(stated))
    for name in dict.fromkeys([*values, *expected]):
        value, normal = values.get(name), expected.get(name)
        is_shared = name in values and name in expected
        if name.endswith("_target_") or not (is_shared or same_version):
            continue
        if not is_equal(value, normal) and value != {}:
            yield f"{name} {format_setting(value)}" if name in values else f"no {name}"


def is_equal(value: object, stated: object) -> bool:
    """Whether a value is the YAML's; what refers to another key can't be told, so it is."""
    if not isinstance(stated, str) or isinstance(value, str):
        return value == stated or (isinstance(stated, str) and "${" in stated)
    try:  # YAML 1.1 reads 1e-3 as text, a run reads a number
        return value == float(stated)
    except ValueError:
        return "${" in stated


def format_setting(value: object) -> str:
    """A value of a recipe as text: .01, 3, [256, 256], on."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        text = f"{value:.6g}"
        return text[1:] if text.startswith("0.") else text
    if isinstance(value, list):
        return f"[{', '.join(map(format_setting, value))}]"
    return "none" if value is None else str(value)
