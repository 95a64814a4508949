"""nnU-Net's plan and preprocessing in this process, and what a recipe changes of the plan.

Knows its planner's and preprocessor's classes, and the plans file: a configuration of ours
inherits the planner's 2d. nnU-Net is imported inside functions only, once `sealed_nnunet` has put
its environment in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from io import StringIO
from itertools import starmap
from pathlib import Path
from types import SimpleNamespace

from usbench.io.console import Bar, bar
from usbench.io.files import JsonObject
from usbench.models.nnunet.files import DATASET, read_json, write_json
from usbench.models.nnunet.recipe import Recipe

PLANS, OURS = "nnUNetPlans", "usbench"  # the planner's file, and our configuration in it
SPACING = (999, 1, 1)  # what nnU-Net's reader of flat images says
EDGE = 4  # px, the planner's smallest side of the coarsest stage
NO_LIMIT = 999_999  # stages, as the planner says it
# Pixels of a case for statistics of intensity that only its normalisation of CT reads; theirs: 1e8.
STATISTICS = 10_000


class SerialPool:
    """Replaces `multiprocessing` in nnU-Net's planner: each case is done when it is submitted."""

    _pool: Sequence[object] = ()

    def __init__(self, progress: Bar) -> None:
        self.progress = progress

    def get_context(self, method: str) -> SerialPool:
        """The context is the pool."""
        return self

    def Pool(self, count: int) -> AbstractContextManager[SerialPool]:
        """One pool, in this process, whatever the count."""
        return nullcontext(self)

    def starmap_async(
        self, work: Callable[..., object], cases: Iterable[tuple[object, ...]]
    ) -> SimpleNamespace:
        """Do the work now; its results as multiprocessing's AsyncResult gives them."""
        results = list(starmap(work, cases))
        self.progress.step()
        return SimpleNamespace(ready=lambda: True, get=lambda: results)


@contextmanager
def replaced(module: object, name: str, value: object) -> Iterator[None]:
    """Give an attribute of one of nnU-Net's modules another value until the block ends."""
    original = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, original)


def prepare(prepared: Path, cases: int, recipe: Recipe) -> JsonObject:
    """Make nnU-Net's fingerprint and plan of the raw data set, and preprocess it.

    Returns:
        The plans with our configuration.
    """
    from nnunetv2.experiment_planning.dataset_fingerprint import fingerprint_extractor
    from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import (
        ExperimentPlanner,
    )
    from nnunetv2.preprocessing.preprocessors import default_preprocessor

    path = prepared / DATASET / f"{PLANS}.json"
    with (
        bar("planning", 2 * cases) as progress,
        replaced(fingerprint_extractor, "multiprocessing", SerialPool(progress)),
        replaced(default_preprocessor, "multiprocessing", SerialPool(progress)),
        redirect_stdout(StringIO()),
    ):
        extractor = fingerprint_extractor.DatasetFingerprintExtractor(DATASET, 1)
        extractor.show_progress_bar = False
        extractor.num_foreground_voxels_for_intensitystats = STATISTICS * cases
        extractor.run(overwrite_existing=True)
        px = recipe.spacing
        spacing = None if px is None else [float(SPACING[0]), float(px), float(px)]
        ExperimentPlanner(DATASET, overwrite_target_spacing=spacing).plan_experiment()
        plans = read_json(path)
        plans["configurations"][OURS] = amend_plan(plans["configurations"]["2d"], recipe)
        write_json(path, plans)
        preprocessor = default_preprocessor.DefaultPreprocessor(verbose=False)
        preprocessor.show_progress_bar = False
        preprocessor.run(DATASET, OURS, PLANS, 1)
    return plans


def amend_plan(planned: JsonObject, recipe: Recipe) -> JsonObject:
    """A configuration that inherits the planner's and differs where the recipe says so.

    A patch gets its stages by the planner's own rule (halve while 4 px are left), at most as many
    as the recipe's features; without those, the planner's numbers of features.
    """
    from nnunetv2.experiment_planning.experiment_planners.network_topology import (
        get_pool_and_conv_props,
    )

    ours: JsonObject = {"inherits_from": "2d"}
    if recipe.batch is not None:
        ours["batch_size"] = recipe.batch
    if recipe.size is None:
        return ours
    most = len(recipe.features) - 1 if recipe.features else NO_LIMIT
    _, strides, kernels, patch, _ = get_pool_and_conv_props(
        planned["spacing"], recipe.size, EDGE, most
    )
    stages = len(strides)
    # The planner's rule for flat images where the recipe states no features.
    features = recipe.features or [min(512, 32 * 2**stage) for stage in range(stages)]
    architecture = planned["architecture"]
    ours["patch_size"] = [int(side) for side in patch]
    ours["architecture"] = {
        **architecture,
        "arch_kwargs": {
            **architecture["arch_kwargs"],
            "n_stages": stages,
            "features_per_stage": list(features[:stages]),
            "kernel_sizes": [list(map(int, kernel)) for kernel in kernels],
            "strides": [list(map(int, stride)) for stride in strides],
            "n_conv_per_stage": [2] * stages,
            "n_conv_per_stage_decoder": [2] * (stages - 1),
        },
    }
    return ours
