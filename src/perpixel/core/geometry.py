"""Integer geometry: how sizes change on the way through a network."""


def unet_valid_output(length: int, depth: int = 4) -> int:
    """The rows (or columns) that a U-Net of unpadded convolutions predicts from `length` of them.

    `depth` is the number of 2x2 poolings. Raises `ValueError` where the network cannot take `length`: where a pooling
    would meet an odd map, or where nothing would be left.

    Source: Ronneberger et al., MICCAI 2015, figure 1 (572 -> 388).

    >>> unet_valid_output(572)
    388
    """
    size = length
    for _ in range(depth):
        size -= 4  # two 3x3 convolutions without padding
        if size % 2:
            raise ValueError(f"a pooling of the U-Net would meet an odd map; got {length}, see unet_valid_input")
        size //= 2
    size -= 4
    for _ in range(depth):
        size = 2 * size - 4
    if size <= 0:
        raise ValueError(f"nothing would be left for the U-Net to predict; got {length}, see unet_valid_input")
    return size


def unet_valid_input(length: int, depth: int = 4) -> int:
    """The least input from which a U-Net of unpadded convolutions predicts `length` rows (or columns) or more.

    The margin, input less output, is 184 at depth 4 and is shared by both sides. Raises `ValueError` below 1.

    Source: Ronneberger et al., MICCAI 2015, section 2: "select the input tile size such that all 2x2 max-pooling
    operations are applied to a layer with an even x- and y-size".

    >>> unet_valid_input(388), unet_valid_input(389), unet_valid_input(1)
    (572, 588, 188)
    """
    if length < 1:
        raise ValueError(f"a U-Net predicts 1 row or more; got {length}")
    size = length
    for _ in range(depth):
        size = (size + 4 + 1) // 2  # undo "twice, less 4", rounded up
    size += 4
    for _ in range(depth):
        size = 2 * size + 4
    return size
