"""The ResNets (He et al. 2016) of torchvision under detectors: normalisation and starting weights.

A backbone with pretrained weights keeps its stem and its first stage as they came (as the recipes
of torchvision and DETR do); one from scratch trains as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import torchvision
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet
from torchvision.ops import FrozenBatchNorm2d

from usbench.errors import ConfigError, RunError
from usbench.models import look_up
from usbench.models.checkpoints import load_state

NARROW = "resnet10w32"  # for tests: a block per stage, the first of 32 channels
RESNETS = {  # channels of the four stages
    NARROW: (32, 64, 128, 256),
    **dict.fromkeys(("resnet18", "resnet34"), (64, 128, 256, 512)),
    **dict.fromkeys(("resnet50", "resnet101", "resnet152"), (256, 512, 1024, 2048)),
}
NORMS: Mapping[str, Callable[[int], nn.Module]] = {
    "frozen": nn.BatchNorm2d,
    "batch": nn.BatchNorm2d,
    "group": partial(nn.GroupNorm, 32),
}
ADVICE = "a network is needed once; or take model.build.weights=null, or a file with a state dict"


class NarrowResNet(ResNet):  # type: ignore[misc]
    """A ResNet whose stages are half as wide as torchvision's."""

    def _make_layer(self, block: Any, planes: int, *rest: Any, **more: Any) -> nn.Sequential:
        return cast(nn.Sequential, super()._make_layer(block, planes // 2, *rest, **more))


def build_resnet(name: str, norm: str, pretrained: bool) -> nn.Module:
    """A ResNet from scratch; its stem and first stage are fixed where weights are to come.

    Args:
        name: one of `RESNETS`.
        norm: frozen: the fixed statistics of pretrained weights, nothing to train, as in the
            published parameter counts; from scratch, where there are none, those of the batch
            without scale and shift. batch: batch normalisation. group: by 32 groups of channels
            (Wu and He 2018), whatever the batch.
        pretrained: whether pretrained weights are loaded afterwards.

    Raises:
        ConfigError: an unknown name or norm.
    """
    stage_widths(name)
    is_frozen = norm == "frozen" and pretrained
    layer = FrozenBatchNorm2d if is_frozen else look_up(NORMS, norm, "options.norm")
    net: Any = (
        NarrowResNet(BasicBlock, [1, 1, 1, 1], norm_layer=layer)
        if name == NARROW
        else torchvision.models.get_model(name, weights=None, norm_layer=layer)
    )
    del net.fc
    if norm == "frozen" and not pretrained:
        unfreeze(net, nn.BatchNorm2d)
    if pretrained:
        fix_first_layers(net)
    return cast(nn.Module, net)


def fix_first_layers(net: Any) -> None:
    """Keep a ResNet's stem and first stage as they are."""
    for part in (net.conv1, net.bn1, net.layer1):
        part.requires_grad_(False)


def unfreeze(net: nn.Module, kind: type[nn.Module]) -> None:
    """Replace each layer of a kind by batch normalisation without scale and shift; all trains."""
    for part in list(net.modules()):
        for name, layer in part.named_children():
            if isinstance(layer, kind):
                channels = len(layer.weight)  # type: ignore[arg-type]
                setattr(part, name, nn.BatchNorm2d(channels, affine=False))
    net.requires_grad_(True)


def import_transformers(model: str) -> Any:
    """The package transformers, an extra; RunError where it isn't installed."""
    try:
        import transformers
    except ImportError as missing:
        raise RunError(
            f"model={model} needs the package transformers, which can't be imported ({missing}); "
            "pip install 'usbench[transformers]'"
        ) from missing
    return transformers


def stage_widths(name: str) -> tuple[int, ...]:
    """Channels of a ResNet's four stages; ConfigError where there is no such ResNet."""
    return look_up(RESNETS, name, "model.build.backbone")


# ---- weights


def load_imagenet(net: nn.Module, name: str) -> None:
    """Fill a ResNet with torchvision's ImageNet weights.

    Raises:
        ConfigError: there are none.
        RunError: they can't be fetched.
    """
    if name == NARROW:
        raise ConfigError(
            f"model.build.weights=imagenet: there are none for {NARROW}; "
            "take resnet18, or weights=null"
        )
    weights = torchvision.models.get_model_weights(name).IMAGENET1K_V1
    load_state(net, fetch(weights, f"weights=imagenet for {name}"), (), "weights=imagenet")


def fetch(weights: Any, description: str) -> dict[str, Tensor]:
    """The state dict of one of torchvision's weights, from torch's own cache or its address."""
    try:
        return cast(
            dict[str, Tensor],
            weights.get_state_dict(progress=False, check_hash=True, weights_only=True),
        )
    except (OSError, RuntimeError) as unreachable:
        raise RunError(
            f"{description} could not be fetched ({type(unreachable).__name__}): {ADVICE}"
        ) from unreachable
