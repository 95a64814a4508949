"""SAMed (Zhang and Liu 2023): Segment Anything (Kirillov et al. 2023) of transformers, no prompts.

The image encoder is fixed but for rank-4 adapters (Hu et al. 2021) on queries and values; the
decoder gives a mask per class. From scratch the package would draw weights with an SD of 1e-10,
and a position code of so high a frequency that neighbours have nothing in common; undone here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from usbench.errors import ConfigError
from usbench.models.backbone import import_transformers

PATCH = 16  # px of a side
SD = 0.02  # of weights from scratch
Settings = Mapping[str, int | float | str]  # of a part, as its configuration in transformers
# Tensors of the decoder that depend on the classes: SAM's own gives 3 masks.
CLASS_PARTS = re.compile(
    r"mask_decoder\.(mask_tokens|output_hypernetworks_mlps|iou_prediction_head)"
)
# Tensors that SAM's own weights lack besides: adapters, and the second position code.
ADDED = re.compile(
    r"\.attn\.qkv\.(down|up)\.|prompt_encoder\.shared_embedding\.positional_embedding$"
)


class SAMed(nn.Module):
    """On ViT-B at 256 px with 10 planes: 91,866,903 parameters, 5,194,263 of them trained.

    (21 tensors of these belong to prompts and get no gradient.)
    """

    name = "samed"
    version = 1

    def __init__(
        self,
        classes: int,
        size: tuple[int, int],
        rank: int = 4,
        encoder: Settings | None = None,
        decoder: Settings | None = None,
    ) -> None:
        """Build the net.

        Args:
            size: (height, width) px, equal multiples of 16.
            rank: of the adapters.
            encoder, decoder: further settings of SamVisionConfig and SamMaskDecoderConfig.

        Raises:
            ConfigError: another size.
            RunError: transformers isn't installed.
        """
        super().__init__()
        if size[0] != size[1] or size[0] % PATCH:
            raise ConfigError(
                f"recipe.size: expected equal multiples of {PATCH} for SAMed, got {tuple(size)}"
            )
        self.sam: Any = build_sam(classes, size[0], encoder or {}, decoder or {})
        self.sam.vision_encoder.requires_grad_(False)
        for layer in self.sam.vision_encoder.layers:
            layer.attn.qkv = LowRankAdapter(layer.attn.qkv, rank)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, h, w) → (B, classes, h, w), enlarged from a quarter of the size."""
        features = self.sam.vision_encoder(images).last_hidden_state
        with torch.autocast(images.device.type, enabled=False):  # an angle: bf16 has three digits
            places = self.sam.get_image_wide_positional_embeddings()
        _, no_prompt = self.sam.prompt_encoder(None, None, None, None)
        masks, _ = self.sam.mask_decoder(
            image_embeddings=features,
            image_positional_embeddings=places.expand(len(images), -1, -1, -1),
            sparse_prompt_embeddings=None,
            dense_prompt_embeddings=no_prompt,
            multimask_output=True,
        )
        return F.interpolate(masks[:, 0], images.shape[2:], mode="bilinear", align_corners=False)

    def load_state_dict(
        self, state_dict: Mapping[str, Tensor], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load the weights of a SAMed as they are, or those of transformers' SAM.

        Of SAM's, what depends on the classes is left out, and positions are resampled to this
        size. RuntimeError where they don't fit.
        """
        if "vision_encoder.pos_embed" not in state_dict:
            return super().load_state_dict(state_dict, strict, assign)
        shapes = {name: value.shape for name, value in self.state_dict().items()}
        adapted = {
            f"sam.{name.replace('.attn.qkv.', '.attn.qkv.qkv.')}": value
            for name, value in state_dict.items()
            if not CLASS_PARTS.search(name)
        }
        fitting = {
            name: resample_positions(value, shapes.get(name, value.shape))
            for name, value in adapted.items()
        }
        result = super().load_state_dict(fitting, strict=False)
        lost = [n for n in result.missing_keys if not (CLASS_PARTS.search(n) or ADDED.search(n))]
        if wrong := [*result.unexpected_keys, *lost]:
            raise RuntimeError(f"SAM's weights don't fit: {wrong[0]}")
        return result


class LowRankAdapter(nn.Module):
    """Wraps a layer that makes queries, keys and values.

    Adds low-rank terms to queries and values, which begin as 0.
    """

    def __init__(self, qkv: nn.Linear, rank: int) -> None:
        super().__init__()
        width = qkv.in_features
        self.qkv = qkv
        self.down = nn.ModuleList(nn.Linear(width, rank, bias=False) for _ in "qv")
        self.up = nn.ModuleList(nn.Linear(rank, width, bias=False) for _ in "qv")
        for weight in self.up.parameters():
            nn.init.zeros_(weight)

    def forward(self, x: Tensor) -> Tensor:
        """(…, width) → (…, 3 · width)."""
        queries, values = (up(down(x)) for down, up in zip(self.down, self.up, strict=True))
        added = torch.cat([queries, torch.zeros_like(queries), values], -1)
        return cast(Tensor, self.qkv(x) + added)


def build_sam(classes: int, side: int, encoder: Settings, decoder: Settings) -> Any:
    """transformers' SamModel for square images of `side` px, from scratch."""
    transformers = import_transformers("samed")
    width = int(decoder.get("hidden_size", 256))  # shared by encoder, prompts and decoder
    config = transformers.SamConfig(
        vision_config=transformers.SamVisionConfig(
            **{
                "image_size": side,
                "patch_size": PATCH,
                "output_channels": width,
                "num_pos_feats": width // 2,
                "initializer_range": SD,
                **encoder,
            }
        ),
        prompt_encoder_config=transformers.SamPromptEncoderConfig(
            image_size=side, patch_size=PATCH, hidden_size=width
        ),
        mask_decoder_config=transformers.SamMaskDecoderConfig(
            num_multimask_outputs=classes, **decoder
        ),
    )
    net = transformers.SamModel(config)
    # SD 1, as in SAM's own code; the package's is half of the encoder's width.
    code = torch.randn(2, width // 2)
    for part in (net.shared_image_embedding, net.prompt_encoder.shared_embedding):
        del part.positional_embedding  # a parameter there, but nothing trains it
        part.register_buffer("positional_embedding", code)
    return net


def resample_positions(value: Tensor, shape: torch.Size) -> Tensor:
    """Resample positions learnt at another size, linearly; other tensors stay as they are.

    Args:
        value: (1, h, w, channels), or relative positions (2n − 1, channels).
    """
    if value.shape == shape or value.dim() != len(shape) or value.shape[-1] != shape[-1]:
        return value
    if value.dim() == 4:
        planes = value.movedim(3, 1)
        return F.interpolate(planes, shape[1:3], mode="bilinear", align_corners=False).movedim(1, 3)
    if value.dim() == 2:
        return F.interpolate(value.T[None], size=shape[0], mode="linear", align_corners=False)[0].T
    return value
