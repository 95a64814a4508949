"""SAMed (Zhang and Liu 2023): Segment Anything (Kirillov et al. 2023) of transformers without prompts, its image
encoder fixed but for rank-4 adapters (Hu et al. 2021) on queries and values; a mask per class from its decoder.

Knows what the package does that a net from scratch can't bear: weights drawn with an SD of 1e-10, and a position code
of so high a frequency that neighbours have nothing in common. Imports transformers only inside a function: it is an
extra.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from usbench.errors import ConfigError, RunError

PATCH = 16  # px of a side
SD = 0.02  # of weights from scratch
OF_CLASSES = (
    "mask_tokens",
    "output_hypernetworks_mlps",
    "iou_prediction_head",
)  # of the decoder: 3 masks in SAM's own


class SAMed(nn.Module):
    """On ViT-B at 256 px with 10 planes: 91,866,903 parameters, 5,194,263 of them trained (21 tensors of these belong
    to prompts and get no gradient)."""

    name = "samed"
    version = 1

    def __init__(
        self,
        classes: int,
        size: tuple[int, int],
        rank: int = 4,
        encoder: Mapping[str, Any] | None = None,
        decoder: Mapping[str, Any] | None = None,
    ) -> None:
        """size: (height, width) px, equal multiples of 16; rank: of the adapters; encoder, decoder: further settings of
        transformers' SamVisionConfig and SamMaskDecoderConfig. ConfigError for another size, RunError where
        transformers isn't installed.
        """
        super().__init__()
        if size[0] != size[1] or size[0] % PATCH:
            raise ConfigError(
                f"recipe.size: equal multiples of {PATCH} were wanted for SAMed, found {tuple(size)}"
            )
        self.sam: Any = sam(classes, size[0], dict(encoder or {}), dict(decoder or {}))
        for parameter in self.sam.vision_encoder.parameters():
            parameter.requires_grad_(False)
        for layer in self.sam.vision_encoder.layers:
            layer.attn.qkv = Adapted(layer.attn.qkv, rank)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, h, w) → (B, classes, h, w), enlarged from a quarter of the size."""
        features = self.sam.vision_encoder(images).last_hidden_state
        with torch.autocast(images.device.type, enabled=False):  # an angle: bf16 has three digits
            places = self.sam.get_image_wide_positional_embeddings()
        _, nothing = self.sam.prompt_encoder(None, None, None, None)
        masks, _ = self.sam.mask_decoder(
            image_embeddings=features,
            image_positional_embeddings=places.expand(len(images), -1, -1, -1),
            sparse_prompt_embeddings=None,
            dense_prompt_embeddings=nothing,
            multimask_output=True,
        )
        return F.interpolate(
            masks[:, 0], size=images.shape[2:], mode="bilinear", align_corners=False
        )

    def adopt(self, state: Mapping[str, Tensor]) -> None:
        """Take weights: those of a SAMed as they are, or those of transformers' SAM without what depends on the
        classes, its positions resampled to this size. RuntimeError where they don't fit.
        """
        if "vision_encoder.pos_embed" not in state:
            self.load_state_dict(dict(state))
            return
        own, fitting = self.state_dict(), {}
        for name, value in state.items():
            if any(f"mask_decoder.{part}" in name for part in OF_CLASSES):
                continue
            adapted = f"sam.{name.replace('.attn.qkv.', '.attn.qkv.qkv.')}"
            fitting[adapted] = resampled(value, own[adapted].shape) if adapted in own else value
        lost = self.load_state_dict(fitting, strict=False)
        missing = [name for name in lost.missing_keys if not known_missing(name)]
        if missing or lost.unexpected_keys:
            raise RuntimeError(f"SAM's weights don't fit: {(missing + lost.unexpected_keys)[0]}")


class Adapted(nn.Module):
    """A layer that makes queries, keys and values, with low-rank additions to queries and values that begin as 0."""

    def __init__(self, qkv: nn.Linear, rank: int) -> None:
        super().__init__()
        self.qkv, width = qkv, qkv.in_features
        self.down = nn.ModuleList(nn.Linear(width, rank, bias=False) for _ in "qv")
        self.up = nn.ModuleList(nn.Linear(rank, width, bias=False) for _ in "qv")
        for weight in self.up.parameters():
            nn.init.zeros_(weight)

    def forward(self, x: Tensor) -> Tensor:
        """(…, width) → (…, 3 · width)."""
        added = [up(down(x)) for down, up in zip(self.down, self.up, strict=True)]
        whole: Tensor = self.qkv(x) + torch.cat(
            [added[0], torch.zeros_like(added[0]), added[1]], -1
        )
        return whole


def sam(classes: int, side: int, encoder: dict[str, Any], decoder: dict[str, Any]) -> Any:
    """transformers' SamModel for square images, from scratch."""
    package = transformers()
    width = int(
        decoder.get("hidden_size", 256)
    )  # of the features that encoder, prompts and decoder share
    sight = {
        "output_channels": width,
        "num_pos_feats": width // 2,
        "initializer_range": SD,
        **encoder,
    }
    config = package.SamConfig(
        vision_config=package.SamVisionConfig(image_size=side, patch_size=PATCH, **sight),
        prompt_encoder_config=package.SamPromptEncoderConfig(
            image_size=side, patch_size=PATCH, hidden_size=width
        ),
        mask_decoder_config=package.SamMaskDecoderConfig(num_multimask_outputs=classes, **decoder),
    )
    net = package.SamModel(config)
    code = torch.randn(
        2, width // 2
    )  # SD 1, as in SAM's own code; the package's is half of the encoder's width
    for part in (net.shared_image_embedding, net.prompt_encoder.shared_embedding):
        del part.positional_embedding  # a parameter there, but nothing trains it
        part.register_buffer("positional_embedding", code)
    return net


def resampled(value: Tensor, shape: torch.Size) -> Tensor:
    """Positions learnt at another size, bilinear: (1, h, w, channels), or relative ones (2n − 1, channels)."""
    if value.shape == shape or value.dim() != len(shape) or value.shape[-1] != shape[-1]:
        return value
    if value.dim() == 4:
        planes = F.interpolate(
            value.movedim(3, 1), size=shape[1:3], mode="bilinear", align_corners=False
        )
        return planes.movedim(1, 3)
    if value.dim() == 2:
        return F.interpolate(value.T[None], size=shape[0], mode="linear", align_corners=False)[0].T
    return value


def known_missing(name: str) -> bool:
    """What SAM's own weights don't have: the adapters, what depends on the classes, and the position code twice."""
    parts = (".attn.qkv.down.", ".attn.qkv.up.", *(f"mask_decoder.{part}" for part in OF_CLASSES))
    return any(part in name for part in parts) or name.endswith(
        "prompt_encoder.shared_embedding.positional_embedding"
    )


def transformers() -> Any:
    """The package; RunError where it isn't installed."""
    try:
        import transformers as package
    except ImportError as missing:
        raise RunError(
            f"model=samed needs the package transformers, which can't be imported ({missing}); "
            "pip install 'usbench[transformers]'"
        ) from missing
    return package
