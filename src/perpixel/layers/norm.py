"""Batch normalisation that also trains on a single value per channel."""

import torch.nn.functional as F
from torch import Tensor, nn


class BatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d`, except that one value per channel is normalised by the running statistics.

    In training, `nn.BatchNorm2d` raises on a batch of one 1x1 map: one value has no variance. Global pooling
    makes such a map out of every batch of one image. Here that map is normalised by the running mean and variance, as
    in eval, and leaves them as they are. Everything else, the state_dict keys too, is `nn.BatchNorm2d`'s.

    It inherits, against the habit of this package, so that what looks for batch norms finds it:
    `SyncBatchNorm.convert_sync_batchnorm`, fusing for inference, and weight decay groups.

    >>> import torch
    >>> norm = BatchNorm2d(3, eps=1e-5, momentum=0.1).train()
    >>> norm(torch.ones(1, 3, 1, 1)).shape
    torch.Size([1, 3, 1, 1])
    """

    def forward(self, input: Tensor) -> Tensor:
        """`(B, C, H, W)` float -> the same shape."""
        batch, _, height, width = input.shape
        if self.training and batch * height * width == 1:
            return F.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
            )
        return super().forward(input)
