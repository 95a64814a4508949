"""Segmentation nets of segmentation-models-pytorch: how they are built."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import cast

import segmentation_models_pytorch as smp
from torch import nn

from usbench.errors import ConfigError, RunError
from usbench.models import Recipe
from usbench.models.loop_keys import SMP
from usbench.models.segmenter import Segmenter


class SmpSegmenter(Segmenter):
    """A Segmenter whose net smp builds."""

    name = "segmenter"  # in run ids
    version = 3
    keys = SMP

    def __init__(
        self,
        architecture: str,
        encoder: str,
        weights: str | None,
        classes: int,
        exclusive: bool,
        recipe: Recipe,
        channels_last: bool = True,
        options: Mapping[str, object] | None = None,
        in_channels: int = 1,
    ) -> None:
        """See Segmenter for what isn't said here.

        Args:
            architecture: a name of smp: unet, deeplabv3 …
            encoder: one of smp's encoders.
            options: further arguments of the architecture.
        """
        super().__init__(
            classes,
            exclusive,
            recipe,
            partial(create_net, architecture, encoder, in_channels=in_channels),
            weights,
            channels_last,
            options,
            in_channels,
        )


def create_net(
    architecture: str,
    encoder: str,
    classes: int,
    imagenet: bool = False,
    in_channels: int = 1,
    **options: object,
) -> nn.Module:
    """A net of smp that gives so many planes of logits.

    Args:
        imagenet: whether the encoder starts from ImageNet's weights.
        options: further arguments of the architecture.

    Raises:
        ConfigError: smp can't build it.
        RunError: the weights can't be fetched.
    """
    try:
        return cast(
            nn.Module,
            smp.create_model(
                architecture,
                encoder_name=encoder,
                encoder_weights="imagenet" if imagenet else None,
                in_channels=in_channels,
                classes=classes,
                **options,
            ),
        )
    except (KeyError, ValueError, TypeError) as wrong:
        raise ConfigError(f"smp can't build {architecture} on {encoder}: {wrong}") from wrong
    except OSError as unreachable:
        raise RunError(
            f"weights=imagenet for {encoder} could not be fetched "
            f"({type(unreachable).__name__}): a network is needed once; "
            "or take model.build.weights=null, or a file with a state dict"
        ) from unreachable
