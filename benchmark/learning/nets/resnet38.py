"""The wide ResNet-38 ("ResNet38-d") of weakly supervised segmentation, output stride 8.

Wu et al., Wider or Deeper, Pattern Recognition 2019, with the dilations of AffinityNet (Ahn and Kwak, CVPR 2018).
Modules bear the names of the published weight file `res38d.pth`, so that it loads as it is.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

RESNET38 = "resnet38"
"""Its name among the encoders."""
CHANNELS = (512, 1024, 4096)
"""Channels of the three maps that `ResNet38.forward` returns."""
STAGES: tuple[tuple[str, int, tuple[int, int, int], int, tuple[int, int], tuple[int, int]], ...] = (
    ("b2", 3, (64, 128, 128), 2, (1, 1), (1, 1)),
    ("b3", 3, (128, 256, 256), 2, (1, 1), (1, 1)),
    ("b4", 6, (256, 512, 512), 2, (1, 1), (1, 1)),
    ("b5", 3, (512, 512, 1024), 1, (1, 2), (2, 2)),
)
"""Name, repeats, channels in → mid → out, stride of the first block, its dilations, dilations of the others."""


class BasicBlock(nn.Module):
    """BN-ReLU-conv3-BN-ReLU-conv3. The shortcut is the input, or a 1 × 1 convolution of the BN-ReLU output."""

    def __init__(self, channels: tuple[int, int, int], stride: int, dilations: tuple[int, int]) -> None:
        super().__init__()
        inputs, middle, outputs = channels
        first, second = dilations
        self.bn_branch2a = nn.BatchNorm2d(inputs)
        self.conv_branch2a = nn.Conv2d(inputs, middle, 3, stride, first, first, bias=False)
        self.bn_branch2b1 = nn.BatchNorm2d(middle)
        self.conv_branch2b1 = nn.Conv2d(middle, outputs, 3, 1, second, second, bias=False)
        self.conv_branch1: nn.Conv2d | None = None
        if inputs != outputs or stride != 1:
            self.conv_branch1 = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The block's output, and its input after the first BN-ReLU."""
        entrance = functional.relu(self.bn_branch2a(x))
        shortcut = x if self.conv_branch1 is None else self.conv_branch1(entrance)
        branch = functional.relu(self.bn_branch2b1(self.conv_branch2a(entrance)))
        return self.conv_branch2b1(branch) + shortcut, entrance


class BottleneckBlock(nn.Module):
    """BN-ReLU-conv1-BN-ReLU-dropout-conv3-BN-ReLU-dropout-conv1; the shortcut is always a 1 × 1 convolution."""

    def __init__(self, inputs: int, outputs: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.bn_branch2a = nn.BatchNorm2d(inputs)
        self.conv_branch2a = nn.Conv2d(inputs, outputs // 4, 1, bias=False)
        self.bn_branch2b1 = nn.BatchNorm2d(outputs // 4)
        self.dropout_2b1 = nn.Dropout2d(dropout)
        self.conv_branch2b1 = nn.Conv2d(outputs // 4, outputs // 2, 3, 1, dilation, dilation, bias=False)
        self.bn_branch2b2 = nn.BatchNorm2d(outputs // 2)
        self.dropout_2b2 = nn.Dropout2d(dropout)
        self.conv_branch2b2 = nn.Conv2d(outputs // 2, outputs, 1, bias=False)
        self.conv_branch1 = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The block's output, and its input after the first BN-ReLU."""
        entrance = functional.relu(self.bn_branch2a(x))
        branch = self.dropout_2b1(functional.relu(self.bn_branch2b1(self.conv_branch2a(entrance))))
        branch = self.dropout_2b2(functional.relu(self.bn_branch2b2(self.conv_branch2b1(branch))))
        return self.conv_branch2b2(branch) + self.conv_branch1(entrance), entrance


class ResNet38(nn.Module):
    """Images B × 3 × H × W → three maps at stride 8, of 512, 1024 and 4096 channels.

    They are the BN-ReLU outputs at the entrances of b5 and of b6, and ReLU(bn7) of the last block
    (OEEM's "last three stages"; released code). `b7_dilation`: 2 in OEEM's classifier, 4 in its segmentation net
    and in the original. 105.0 M parameters in convolutions.
    """

    def __init__(self, b7_dilation: int = 4) -> None:
        super().__init__()
        self.conv1a = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        for name, repeats, (inputs, middle, outputs), stride, first, others in STAGES:
            self.add_module(name, BasicBlock((inputs, middle, outputs), stride, first))
            for number in range(1, repeats):
                self.add_module(f"{name}_{number}", BasicBlock((outputs, middle, outputs), 1, others))
        self.b6 = BottleneckBlock(1024, 2048, 4, 0.3)
        self.b7 = BottleneckBlock(2048, 4096, b7_dilation, 0.5)
        self.bn7 = nn.BatchNorm2d(4096)

    def forward(self, images: Tensor) -> list[Tensor]:
        """The three maps, shallow to deep."""
        x = self.conv1a(images)
        entrances = {}
        for name, block in self.named_children():
            if name not in ("conv1a", "bn7"):
                x, entrances[name] = block(x)
        return [entrances["b5"], entrances["b6"], functional.relu(self.bn7(x))]
