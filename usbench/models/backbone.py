"""The ResNets (He et al. 2016) of torchvision under the detectors: their normalisation, and their starting weights.

A trunk with weights of others keeps its stem and its first stage as they came (as torchvision's and DETR's recipes
do); one from scratch trains as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import torchvision
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet
from torchvision.ops import FrozenBatchNorm2d

from usbench.errors import ConfigError, RunError
from usbench.models import loop

NARROW = "resnet10w32"  # for tests: a block per stage, the first of 32 channels
RESNETS = (NARROW, "resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
NORMS: Mapping[str, Callable[[int], nn.Module]] = {
    "frozen": nn.BatchNorm2d,
    "batch": nn.BatchNorm2d,
    "group": partial(nn.GroupNorm, 32),
}
ADVICE = "a network is needed once; or take model.build.weights=null, or a file with a state dict"


class Narrow(ResNet):  # type: ignore[misc]
    """A ResNet whose stages are half as wide as torchvision's."""

    def _make_layer(self, block: Any, planes: int, *rest: Any, **more: Any) -> nn.Sequential:
        return cast(nn.Sequential, super()._make_layer(block, planes // 2, *rest, **more))


def resnet(name: str, norm: str, pretrained: bool) -> nn.Module:
    """A ResNet from scratch, its stem and first stage fixed where pretrained weights are to come.

    norm: frozen: nothing to train, as in the published counts: the statistics of pretrained weights, fixed; from
    scratch, where there are none to keep, those of the batch, without scale and shift. batch: batch normalisation.
    group: by 32 groups of channels (Wu and He 2018), whatever the batch. ConfigError for an unknown name or norm.
    """
    if name not in RESNETS:
        raise ConfigError(f"model.build.backbone: {', '.join(RESNETS)} were wanted, found {name!r}")
    if norm not in NORMS:
        raise ConfigError(f"options.norm: {', '.join(NORMS)} were wanted, found {norm!r}")
    layer = FrozenBatchNorm2d if norm == "frozen" and pretrained else NORMS[norm]
    if name == NARROW:
        net: Any = Narrow(BasicBlock, [1, 1, 1, 1], norm_layer=layer)
    else:
        net = torchvision.models.get_model(name, weights=None, norm_layer=layer)
    del net.fc
    if norm == "frozen" and not pretrained:
        unfreeze(net, nn.BatchNorm2d)
    if pretrained:
        fix(net)
    return cast(nn.Module, net)


def fix(net: Any) -> None:
    """A ResNet's stem and first stage stay as they are."""
    for part in (net.conv1, net.bn1, net.layer1):
        part.requires_grad_(False)


def unfreeze(net: nn.Module, kind: type[nn.Module]) -> None:
    """Put normalisation by the batch, without scale and shift, in the place of every layer of a kind; all trains."""
    for part in list(net.modules()):
        for name, layer in part.named_children():
            if isinstance(layer, kind):
                setattr(part, name, nn.BatchNorm2d(len(layer.weight), affine=False))  # type: ignore[arg-type]
    net.requires_grad_(True)


def widths(name: str) -> list[int]:
    """Channels of a ResNet's four stages."""
    if name == NARROW:
        return [32, 64, 128, 256]
    wide = 1 if name in ("resnet18", "resnet34") else 4
    return [wide * channels for channels in (64, 128, 256, 512)]


# ---- weights


def imagenet(name: str) -> dict[str, Tensor]:
    """torchvision's state dict of a ResNet; ConfigError where there is none, RunError where it can't be fetched."""
    if name == NARROW:
        raise ConfigError(
            f"model.build.weights=imagenet: there are none for {NARROW}; take resnet18, or weights=null"
        )
    return fetched(
        torchvision.models.get_model_weights(name).IMAGENET1K_V1, f"weights=imagenet for {name}"
    )


def fetched(weights: Any, what: str) -> dict[str, Tensor]:
    """The state dict of one of torchvision's weights, tensors only, from torch's own cache or its address."""
    try:
        state: dict[str, Tensor] = weights.get_state_dict(
            progress=False, check_hash=True, weights_only=True
        )
    except (OSError, RuntimeError) as unreachable:
        raise RunError(
            f"{what} could not be fetched ({type(unreachable).__name__}): {ADVICE}"
        ) from unreachable
    return state


def from_file(path: Path) -> dict[str, Tensor]:
    """A state dict, tensors only; RunError where there is none."""
    if not path.is_file():
        raise RunError(
            f"{path}: a file of weights was wanted, found none; or take model.build.weights=null"
        )
    try:
        state: dict[str, Tensor] = loop.read(path)
    except Exception as wrong:
        raise RunError(f"{path}: a state dict was wanted: {str(wrong).splitlines()[0]}") from wrong
    if not isinstance(state, dict) or not all(
        isinstance(value, Tensor) for value in state.values()
    ):
        raise RunError(f"{path}: a state dict was wanted, found something else")
    return state


def load(net: nn.Module, state: Mapping[str, Tensor], heads: tuple[str, ...], what: str) -> None:
    """Fill net with a state dict; of the layers whose names begin with one of `heads`, which depend on the classes,
    only those of the same shape. RunError where anything else of the net is missing or of another shape.

    Weights of a net that was normalised without scale and shift (see `unfreeze`) fit a frozen one: by 1 and 0.
    """
    own = net.state_dict()
    alike = {
        k: v
        for k, v in state.items()
        if not k.startswith(heads) or (k in own and own[k].shape == v.shape)
    }
    try:
        missing = net.load_state_dict(alike, strict=False).missing_keys
    except RuntimeError as wrong:
        raise RunError(
            f"{what}: weights of this net were wanted: {' '.join(str(wrong).split())[:200]}"
        ) from wrong
    frozen = [
        name for name, layer in net.named_modules() if "FrozenBatchNorm" in type(layer).__name__
    ]
    plain = {f"{name}.{part}" for name in frozen for part in ("weight", "bias")}
    spare = plain if plain <= set(missing) else set()
    lost = [
        k
        for k in missing
        if not k.startswith(heads) and not k.endswith("num_batches_tracked") and k not in spare
    ]
    if lost:
        raise RunError(
            f"{what}: weights of this net were wanted, {len(lost)} tensors are missing, the first {lost[0]}"
        )
