"""Which results make one row: those that differ in their seed alone; and what the row is called."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from usbench.leaderboard.folds import SeedResult
from usbench.leaderboard.settings import recipe_values
from usbench.results.result import Result

MOST_DIFFERENCES = 3  # that a name lists; with more the run id tells recipes apart


@dataclass(frozen=True)
class Series:
    """Results of one recipe in order of their seed."""

    name: str
    seeds: Sequence[SeedResult]
    seeds_begun: int  # more than `seeds` where some failed


def group_by_series(results: Iterable[SeedResult], begun: Iterable[Result]) -> list[Series]:
    """Group finished results by recipe.

    Args:
        results: finished results, folds joined.
        begun: every result, failed ones too; they tell how many seeds there should be.
    """
    families: dict[str, dict[str, list[SeedResult]]] = defaultdict(lambda: defaultdict(list))
    for seed_result in sorted(results, key=seed_order):
        family, recipe = series_key(seed_result.result)
        families[family][recipe].append(seed_result)
    seeds: dict[tuple[str, str], set[int]] = defaultdict(set)
    for result in begun:
        if result.seed is not None:
            seeds[series_key(result)].add(result.seed)
    series = []
    for family, recipes in families.items():
        parts: list[tuple[Sequence[SeedResult], int]] = []
        for recipe, group in recipes.items():
            if len({member.result.seed for member in group}) == len(group):
                parts.append((group, len(seeds[family, recipe])))
            else:  # They differ in something that their configuration doesn't show.
                parts += [([member], 1) for member in group]
        firsts = [members[0] for members, _ in parts]
        for first, (members, seeds_begun) in zip(firsts, parts, strict=True):
            others = [other.result for other in firsts if other is not first]
            series.append(Series(series_name(first, others), members, seeds_begun))
    return series


def seed_order(member: SeedResult) -> tuple[bool, int, str]:
    """Results in order of seed, those without a seed last."""
    result = member.result
    return (result.seed is None, result.seed or 0, result.run_id)


def series_key(result: Result) -> tuple[str, str]:
    """(what recipes of one name share, which of them it is): equal for all seeds and folds."""
    family = (result.dataset, result.task, result.origin, result.model, result.recipe)
    if result.fold_series is not None:
        return repr((*family, result.trained_on, "folds")), result.fold_series
    recipe = result.series or repr(sorted(recipe_values(result).items()))
    return repr((*family, result.trained_on, result.fold)), recipe


def series_name(member: SeedResult, others: Sequence[Result]) -> str:
    """A row's name: the model and what tells it from others of that name. others: their first."""
    result = member.result
    parts = [result.model.replace("-", " ") if result.origin == "human" else result.model]
    if member.folds is not None:
        done, total = member.folds
        parts.append(f"{total} folds" if done == total else f"{done} of {total} folds")
    elif result.fold is not None:
        parts.append(f"fold {result.fold}")
    if result.trained_on:
        parts.append(f"trained on {result.trained_on}")
    if result.tuned:
        parts.append("tuned")
    if others:
        parts += differences(result, others)
    return " · ".join(parts)


def differences(result: Result, others: Sequence[Result]) -> list[str]:
    """What tells a recipe from others of its name: a few values, else its run id."""
    values = recipe_values(result)
    different = []
    for other in others:
        pairs = values.items() ^ recipe_values(other).items()  # (name, value) that one alone has
        different.append({name for name, _ in pairs} - {"series"})
    names = sorted(set().union(*different))
    if not all(different) or len(names) > MOST_DIFFERENCES:
        return [result.run_id]
    texts = []
    for name in names:
        texts.append(f"{name.rsplit('.', 1)[-1]}={values.get(name, 'none')}".replace('"', ""))
    return texts
