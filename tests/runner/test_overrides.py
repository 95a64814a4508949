"""What a result keeps of its command: what was run, and nothing of this machine's folders."""

from __future__ import annotations

import pytest

from usbench.runner.config import RunConfig
from usbench.runner.overrides import overrides_to_keep
from usbench.runner.plan import plan_run


@pytest.mark.parametrize(
    ("override", "kept"),
    [
        ("dataset=rings", "dataset=rings"),
        ("metric=area", "metric=area"),
        ("epochs=3", "epochs=3"),
        ("++model.recipes.quick.lr=1e-3", "++model.recipes.quick.lr=1e-3"),
        ("~metric.extra.area", "~metric.extra.area"),
        (r'dataset.group="^(p\d+)_"', r'dataset.group="^(p\d+)_"'),
        ("dataset.labels=masks/*.png", "dataset.labels=masks/*.png"),
        ("dataset.root=liver", "dataset.root=DIR"),
        ("dataset.labels=/home/me/masks", "dataset.labels=PATH"),
        ("dataset.labels=~/masks", "dataset.labels=PATH"),
        (r"dataset.labels=C:\masks", "dataset.labels=PATH"),
        ("dataset.labels='/home/me/a b'", "dataset.labels=PATH"),
        ("a=[b,/home/me]", "a=PATH"),
        ("a={b: /home/me}", "a=PATH"),
        ("a=file:///home/me", "a=PATH"),
        ("a={url: https://example.org/a.pt}", "a={url: https://example.org/a.pt}"),
        ("seed=3", None),
        ("results=/home/me/results", None),
        ("studies=postgresql://me:secret@host/db", None),
        ("hydra.searchpath=[file:///home/me/conf]", None),
        ("hydra/launcher=slurm", None),
    ],
)
def test_what_is_kept_of_an_override(override, kept):
    assert overrides_to_keep([override]) == (() if kept is None else (kept,))


def test_a_result_has_what_its_command_asked_for(compose, tmp_path):
    small = ["dataset.phantom.counts={train:4,val:4,test:4}", "dataset.phantom.size=[64,64]"]
    asked = ["dataset=phantom", *small, "model=unet", "recipe=tiny", "metric.primary=iou"]
    asked += [f"runs={tmp_path}/runs", f"results={tmp_path}/results", "device=cpu", "seed=1"]
    config = plan_run(compose(*asked), asked).config
    assert config.overrides == ("dataset=phantom", *small, "model=unet", "metric.primary=iou")
    content = config.public_mapping()
    assert content["overrides"] == list(config.overrides) and str(tmp_path) not in repr(content)
    places = {"root": "", "runs": "", "results": "", "tracking": "none", "debug": False}
    assert RunConfig.from_mapping(content, **places).overrides == config.overrides
    quiet = plan_run(compose(*asked), []).config
    assert quiet.run_id == config.run_id and quiet.series == config.series
