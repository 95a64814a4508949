"""The nets of the published tables: against the packages' own where there are any, their sizes,
their weights.
"""

from __future__ import annotations

import sys

import pytest
import safetensors.torch
import torch
from torchvision.models.segmentation import deeplabv3_resnet50

from usbench.errors import ConfigError, RunError
from usbench.models.loop_model import load_weights
from usbench.models.nets.deeplabv3 import DeepLabV3
from usbench.models.nets.samed import SAMed, build_sam
from usbench.models.nets.swinunet import SwinUNet
from usbench.models.nets.transunet import TransUNet
from usbench.models.nets.unet import UNet

pytestmark = pytest.mark.usefixtures("one_thread")

ENCODER = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_dim": 64}
ENCODER |= {"global_attn_indexes": [1], "window_size": 2}
DECODER = {
    "hidden_size": 32,
    "mlp_dim": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "iou_head_hidden_dim": 32,
}


def samed(classes: int = 3, side: int = 64) -> SAMed:
    torch.manual_seed(0)
    return SAMed(classes, (side, side), encoder=ENCODER, decoder=DECODER).eval()


NETS = {
    "unet": lambda size: UNet(3, 4),
    "deeplabv3": lambda size: DeepLabV3(3, "resnet18"),
    "transunet": lambda size: TransUNet(3, size, (1, 1, 1), 32, 1, 2),
    "swinunet": lambda size: SwinUNet(3, size, 24, (1, 2, 4, 8)),
}


@pytest.mark.train
@pytest.mark.parametrize("size", [(64, 64), (32, 96), (96, 160)])
@pytest.mark.parametrize("name", NETS)
def test_logits_of_every_size_and_each_pixel_counts(name, size):
    """A pixel of the image reaches logits that are near it, and every weight has a gradient."""
    torch.manual_seed(0)
    net = NETS[name](size)
    images = torch.randn(2, 3, *size)
    output = net.train()(images)
    outputs = output if isinstance(output, tuple) else (output,)
    assert all(logits.shape == (2, 3, *size) for logits in outputs)
    sum(logits.pow(2).mean() for logits in outputs).backward()
    assert [key for key, weight in net.named_parameters() if weight.grad is None] == []
    net.eval()
    with torch.inference_mode():
        before = net(images)
        images[0, :, size[0] // 2, size[1] // 2] += 20
        moved = (net(images) - before).abs().amax(1)
    assert moved[0].max() > 0 and moved[1].max() == 0
    assert moved[0, size[0] // 2, size[1] // 2] > 0


def test_deeplab_is_torchvision_s():
    torch.manual_seed(0)
    theirs = deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=4, aux_loss=True)
    ours = DeepLabV3(4)
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(2, 3, 64, 64)
    torch.manual_seed(1)
    result = ours.train()(images)
    torch.manual_seed(1)
    expected = theirs.train()(images)
    torch.testing.assert_close(result[0], expected["out"])
    torch.testing.assert_close(result[1], expected["aux"])
    with torch.inference_mode():
        torch.testing.assert_close(ours.eval()(images), theirs.eval()(images)["out"])


@pytest.mark.parametrize("backbone", ["resnet18", "resnet34"])
def test_the_small_backbones_keep_an_eighth_of_the_size(backbone):
    net = DeepLabV3(2, backbone)
    trunk = net.backbone
    x = trunk.maxpool(trunk.relu(trunk.bn1(trunk.conv1(torch.randn(1, 3, 64, 64)))))
    assert trunk.layer4(trunk.layer3(trunk.layer2(trunk.layer1(x)))).shape == (1, 512, 8, 8)


def test_a_backbone_that_there_is_not():
    with pytest.raises(ConfigError, match=r"options\.backbone.*vgg16"):
        DeepLabV3(2, "vgg16")


# ---- SAMed


def test_the_adapters_begin_as_nothing_and_alone_are_trained_in_the_encoder():
    """With the adapters' zeros the net is SAM; 21 tensors of the prompts' side get no gradient."""
    net, images = samed(), torch.randn(1, 3, 64, 64)
    features = net.sam.vision_encoder(images).last_hidden_state
    plain = build_sam(3, 64, ENCODER, DECODER)
    ours = {key.replace(".qkv.qkv.", ".qkv."): value for key, value in net.sam.state_dict().items()}
    plain.load_state_dict(
        {key: value for key, value in ours.items() if ".down." not in key and ".up." not in key}
    )
    torch.testing.assert_close(plain.eval().vision_encoder(images).last_hidden_state, features)
    trained = [
        key
        for key, weight in net.named_parameters()
        if weight.requires_grad and "vision_encoder" in key
    ]
    assert len(trained) == 2 * 4 and all(".down." in key or ".up." in key for key in trained)


def test_queries_and_values_are_adapted_but_not_keys():
    net, width = samed(), ENCODER["hidden_size"]
    layer = net.sam.vision_encoder.layers[0].attn.qkv
    x = torch.randn(5, width)
    before = layer(x)
    with torch.no_grad():
        for up in layer.up:
            up.weight.fill_(0.1)
    moved = (layer(x) - before).abs().unflatten(1, (3, width)).amax((0, 2))
    assert moved[0] > 0 and moved[1] == 0 and moved[2] > 0


def test_sam_s_own_weights_are_taken_up_but_for_what_depends_on_classes(tmp_path):
    """A SAM for images of 128 px with three masks, as the released ones are, in a net of 64 px with
    five planes.
    """
    torch.manual_seed(1)
    theirs = build_sam(3, 128, ENCODER, DECODER)
    source = theirs.state_dict()
    del source[
        "prompt_encoder.shared_embedding.positional_embedding"
    ]  # the same tensor as another: it is stored once
    safetensors.torch.save_file(source, str(tmp_path / "sam.safetensors"))
    net = samed(5)
    load_weights(net, tmp_path / "sam.safetensors")
    ours = net.sam.state_dict()
    key = "vision_encoder.layers.0.mlp.lin1.weight"
    assert (ours[key] == source[key]).all()
    qkv = "vision_encoder.layers.0.attn.qkv"
    assert (ours[f"{qkv}.qkv.weight"] == source[f"{qkv}.weight"]).all()
    assert ours["vision_encoder.pos_embed"].shape == (1, 4, 4, 32)
    coarse = (
        source["vision_encoder.pos_embed"].unflatten(1, (4, 2)).unflatten(3, (4, 2)).mean((2, 4))
    )
    torch.testing.assert_close(
        ours["vision_encoder.pos_embed"], coarse
    )  # half the size: the mean of four places
    again = samed(5)
    torch.save(net.state_dict(), tmp_path / "ours.pt")
    load_weights(again, tmp_path / "ours.pt")
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        assert (again(images) == net(images)).all()


def test_weights_of_another_net_are_refused(tmp_path):
    torch.save(
        {"vision_encoder.pos_embed": torch.zeros(1, 4, 4, 32), "shell": torch.zeros(1)},
        tmp_path / "x.pt",
    )
    with pytest.raises(RunError, match="SAM's weights don't fit"):
        load_weights(samed(), tmp_path / "x.pt")


@pytest.mark.parametrize("size", [(64, 96), (40, 40)])
def test_a_size_that_sam_cannot_have(size):
    with pytest.raises(ConfigError, match="equal multiples of 16"):
        SAMed(2, size, encoder=ENCODER, decoder=DECODER)


def test_without_the_package_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(RunError, match=r"pip install 'usbench\[transformers\]'"):
        samed()
