"""Which results make one row: the folds of a seed are joined, then the seeds of a recipe.

Results that share `fold_series` differ in fold and seed alone. The cases of a seed's folds are
scored together, because each case is tested once. Where case tables don't suffice for a protocol,
its scores are means over the folds, and the row says so. Where a release has folds and no other
split, some recipes are trained on one fold alone; on that fold all recipes have a row of their own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from operator import attrgetter
from typing import TypeVar

from usbench.errors import DataError
from usbench.leaderboard.recipes import describe_class
from usbench.leaderboard.rows import mean_if_all
from usbench.leaderboard.settings import names_class, node_at, read_settings, recipe_values
from usbench.metrics.scores import Figure, Figures, ProtocolScores, figure_values
from usbench.results.result import Result
from usbench.types import Task

# Folds of one seed → the scores of all their cases, for the protocols that case tables suffice for.
Pool = Callable[[Sequence[Result]], Sequence[ProtocolScores]]
DataFold = tuple[str, Task, int | None]  # dataset, task, fold
Value = TypeVar("Value")
MOST_DIFFERENCES = 3  # that a name lists
# The values that tell recipes apart best where they differ in more, by their last word.
TELLING = ("epochs", "size", "precision", "version", "encoder", "lr", "batch", "weights")


@dataclass(frozen=True)
class SeedResult:
    """What one seed of a recipe gave: a result, or its folds joined to one."""

    result: Result
    run_ids: tuple[str, ...]
    folds: tuple[int, int] | None = None  # how many were joined, of how many there should be
    pooled: frozenset[str] = frozenset()  # protocols whose scores are of all folds' cases together


# ---- folds


def pool_nothing(folds: Sequence[Result]) -> Sequence[ProtocolScores]:
    """The `Pool` where no case tables are at hand."""
    return ()


def join_folds(results: Iterable[Result], pool: Pool = pool_nothing) -> list[SeedResult]:
    """Finished results, with the folds of each seed joined to one.

    Of the seeds of a set only those with the most folds stay. A fold of the release that is some
    set's only one isn't joined: there each seed is a result of that fold, in all sets.

    Raises:
        DataError: a fold is there twice.
    """
    joined = []
    sets: dict[object, dict[int | None, list[Result]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        if result.fold_series is None:
            joined.append(SeedResult(result, (result.run_id,)))
        else:
            sets[fold_set_of(result)][result.seed].append(result)
    single_folds = find_single_folds(sets.values())
    for seeds in sets.values():
        for fold in chain.from_iterable(seeds.values()):
            if fold_of_data(fold) in single_folds:
                joined.append(SeedResult(fold, (fold.run_id,)))
        most = max(map(len, seeds.values()))
        if most > 1 or not single_folds & set(map(fold_of_data, chain(*seeds.values()))):
            joined += [join_seed(folds, pool) for folds in seeds.values() if len(folds) == most]
    return joined


def find_single_folds(sets: Iterable[Mapping[int | None, list[Result]]]) -> set[DataFold]:
    """The folds of releases without another split that are the only one of some set of folds."""
    single = set()
    for seeds in sets:
        folds = set(map(fold_of_data, chain.from_iterable(seeds.values())))
        first = next(iter(seeds.values()))[0]
        if len(folds) == 1 and read_settings(first).has_released_folds:
            single |= folds
    return single


def fold_of_data(result: Result) -> DataFold:
    """What results share that were tested on the same fold."""
    return (result.dataset, result.task, result.fold)


fold_set_of = attrgetter("fold_series", "model", "recipe", "protocol.name", "protocol.version")


def join_seed(folds: list[Result], pool: Pool) -> SeedResult:
    """The folds of one seed as one result."""
    folds = sorted(folds, key=lambda result: (result.fold or 0, result.run_id))
    first = folds[0]
    run_ids = tuple(map(attrgetter("run_id"), folds))
    numbers = list(map(attrgetter("fold"), folds))
    if len(set(numbers)) < len(numbers):
        raise DataError(
            f"{', '.join(run_ids)}: expected each fold of a seed once, got folds {numbers}; "
            "remove the copy"
        )
    assert first.primary is not None, "a finished result has a primary score"
    pooled = by_name(pool(folds))
    reporting = pooled.get(first.protocol.name)
    if reporting is not None and first.primary.name not in reporting.scores:
        del pooled[first.protocol.name]
    protocols = []
    for name, tables in shared_entries([by_name(fold.protocols) for fold in folds]).items():
        if len(set(map(attrgetter("version"), tables))) == 1:
            protocols.append(join_protocol(tables, pooled.get(name), first.custom_scores))
    primary = protocols[0].scores.get(first.primary.name)
    seconds = shared_entries([fold.seconds or {} for fold in folds])
    tests = sum(fold.data.counts.get("test", 0) for fold in folds)
    joined = replace(
        first,
        fold=None,
        protocols=tuple(protocols),
        primary=replace(first.primary, value=primary.value if primary else None),
        data=replace(first.data, counts={"test": tests}, leakage=None),  # of the release's split
        seconds=dict(zip(seconds, map(sum, seconds.values()), strict=True)),
    )
    return SeedResult(joined, run_ids, (len(folds), read_settings(first).folds), frozenset(pooled))


def by_name(protocols: Iterable[ProtocolScores]) -> dict[str, ProtocolScores]:
    """The protocols' scores by name."""
    return {scores.name: scores for scores in protocols}


def shared_entries(tables: Sequence[Mapping[str, Value]]) -> dict[str, list[Value]]:
    """Name → its value in each table, for the names that all have, in the first table's order."""
    shared = {}
    for name in tables[0]:
        if all(name in table for table in tables):
            shared[name] = [table[name] for table in tables]
    return shared


def join_protocol(
    folds: Sequence[ProtocolScores], pooled: ProtocolScores | None, custom: Sequence[str] = ()
) -> ProtocolScores:
    """One protocol's scores: pooled where that was possible, else means over the folds.

    custom: scores that case tables don't hold.
    """
    # The clauses that all folds' descriptions have: a threshold chosen for one fold goes.
    clauses = shared_entries([dict.fromkeys(fold.description.split("; ")) for fold in folds])
    classes = shared_entries([fold.per_class for fold in folds])
    per_class = {
        label: join_tables(tables, pooled.per_class.get(label, {}) if pooled else None, custom)
        for label, tables in classes.items()
    }
    targets = [figure_values(fold.target_score) for fold in folds]
    target_score = folds[0].target_score if targets.count(targets[0]) == len(targets) else {}
    if pooled is not None and pooled.target_score:
        target_score = pooled.target_score
    return replace(
        folds[0],
        description="; ".join(clauses),
        scores=join_tables(
            [fold.scores for fold in folds], pooled.scores if pooled else None, custom
        ),
        per_class=per_class,
        target_score=target_score,
    )


def join_tables(
    folds: Sequence[Figures], pooled: Figures | None, custom: Sequence[str] = ()
) -> Figures:
    """The scores that every fold has: the pooled ones, else means without an interval.

    custom: scores that are means over the folds, also where others are pooled.
    """
    joined = {}
    for name, figures in shared_entries(folds).items():
        if pooled is not None and name in pooled:
            joined[name] = pooled[name]
        elif pooled is None or name in custom:
            joined[name] = average(figures)
    return joined


def average(figures: Sequence[Figure]) -> Figure:
    """The mean of one score over the folds; undefined where one of them is."""
    values: list[float | None] = list(map(attrgetter("value"), figures))
    undefined = values.count(None)
    return Figure(
        value=mean_if_all(values),
        n=sum(figure.n or 0 for figure in figures),
        reason=f"undefined in {undefined} of {len(figures)} folds" if undefined else None,
        interval="no interval: a mean over folds",
        groups=sum(figure.groups or 0 for figure in figures),
        higher_is_better=figures[0].higher_is_better,
    )


# ---- seeds


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
    seeds: dict[tuple[str, str], set[tuple[int, str | None]]] = defaultdict(set)
    for result in begun:
        if result.seed is not None:
            for part in (result, replace(result, fold=None)):  # of its fold, and of all folds
                seeds[series_key(part)].add((result.seed, result.precision))
    series = []
    for family, recipes in families.items():
        parts: list[tuple[Sequence[SeedResult], int]] = []
        for recipe, group in recipes.items():
            parts += split_repeated_seeds(group, seeds[family, recipe])
        firsts = [members[0] for members, _ in parts]
        for first, (members, seeds_begun) in zip(firsts, parts, strict=True):
            others = [other.result for other in firsts if other is not first]
            series.append(Series(series_name(first, others), members, seeds_begun))
    return series


def split_repeated_seeds(
    group: Sequence[SeedResult], begun: Collection[tuple[int, str | None]]
) -> list[tuple[Sequence[SeedResult], int]]:
    """Divide a recipe's results so that no part has a seed twice: by precision, else one by one.

    Args:
        group: all of one recipe, in order of their seed.
        begun: (seed, precision) of every result of it, failed ones too.

    Returns:
        (a part's results, how many seeds it should have).
    """
    if not has_repeated_seed(group):
        return [(group, len({seed for seed, _ in begun}))]
    by_precision: dict[str | None, list[SeedResult]] = defaultdict(list)
    for member in group:
        by_precision[member.result.precision].append(member)
    parts: list[tuple[Sequence[SeedResult], int]] = []
    for precision, members in by_precision.items():
        if has_repeated_seed(members):  # They differ in what their configuration doesn't show.
            parts += [([member], 1) for member in members]
        else:
            parts.append((members, sum(other == precision for _, other in begun)))
    return parts


def has_repeated_seed(group: Sequence[SeedResult]) -> bool:
    """Whether two results have the same seed."""
    return len({member.result.seed for member in group}) < len(group)


def seed_order(member: SeedResult) -> tuple[bool, int, str]:
    """Results in order of seed, those without a seed last."""
    return (member.result.seed is None, member.result.seed or 0, member.result.run_id)


def series_key(result: Result) -> tuple[str, str]:
    """(what recipes of one name share, which of them it is): equal for all seeds."""
    family = (result.dataset, result.task, result.origin, result.model, result.recipe)
    if result.fold_series is not None:
        fold = "all folds" if result.fold is None else result.fold
        return repr((*family, result.trained_on, fold, "of a set")), result.fold_series
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
    sections = set().union(*map(own_classes, [result, *others]))
    values = values_by_section(result, sections)
    # Of each other the names whose (name, value) only one of the two has.
    different = [
        set(dict(values.items() ^ values_by_section(other, sections).items())) - {"series"}
        for other in others
    ]
    names = sorted(set().union(*different))
    if len(names) > MOST_DIFFERENCES:
        names = telling_names([values, *(values_by_section(other, sections) for other in others)])
    if not all(different) or not names:
        return [result.run_id]
    return [
        f"{name.rsplit('.', 1)[-1]}={values.get(name, 'none')}".replace('"', "") for name in names
    ]


def telling_names(recipes: Sequence[Mapping[str, str]]) -> list[str]:
    """A few names whose values tell all recipes apart, the same for each; [] where few don't.

    Args:
        recipes: of each its values by dotted name.
    """
    order = {word: place for place, word in enumerate(TELLING)}
    known = sorted(set().union(*recipes) - {"series"})
    chosen: list[str] = []
    for name in sorted(known, key=lambda name: order.get(name.rsplit(".", 1)[-1], len(order))):
        if count_distinct(recipes, [*chosen, name]) > count_distinct(recipes, chosen):
            chosen.append(name)
        if count_distinct(recipes, chosen) == len(recipes):
            break
    is_enough = count_distinct(recipes, chosen) == len(recipes)
    return chosen if is_enough and len(chosen) <= MOST_DIFFERENCES else []


def count_distinct(recipes: Sequence[Mapping[str, str]], names: Sequence[str]) -> int:
    """How many recipes some of their values tell apart."""
    return len({tuple(recipe.get(name) for name in names) for recipe in recipes})


def own_classes(result: Result) -> set[str]:
    """The sections of a recipe in which it names a class of the user's, such as loss."""
    recipe = node_at(result.config, "model", "recipe")
    return {key for key, value in recipe.items() if names_class(value)}


def values_by_section(result: Result, sections: Collection[str]) -> dict[str, str]:
    """The recipe's values, each of some sections as one: its class, or "built-in"."""
    values = {
        name: value
        for name, value in recipe_values(result).items()
        if not any(f"{name}.".startswith(f"recipe.{section}.") for section in sections)
    }
    recipe = node_at(result.config, "model", "recipe")
    for section in sections:
        node = recipe.get(section)
        values[f"recipe.{section}"] = describe_class(node) if names_class(node) else "built-in"
    return values
