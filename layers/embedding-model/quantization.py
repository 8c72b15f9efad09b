"""Chooses the int8 numbers: weights per output channel, and the scales that even out activations."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

# How much of an input channel's range moves from the activation into the weight, 0 to 1 (`smoothing_scales`).
# Between 0.6 and 0.75 the mean cosine to fp32 is the same; 0.7 was the best by a hair.
MIGRATION_STRENGTH = 0.7


def quantize_table(table: Array) -> tuple[npt.NDArray[np.int8], Array]:
    """Quantise an embedding table symmetrically, one scale per row.

    Args:
        table: [rows, width].

    Returns:
        The int8 table, and its scales, [rows, 1].
    """
    scales = np.abs(table).max(axis=1, keepdims=True) / np.float32(127)
    return np.rint(table / scales).astype(np.int8), scales


def quantize_weight(weight: Array) -> tuple[npt.NDArray[np.int8], Array]:
    """Quantise a linear layer's weight symmetrically, one scale per output channel.

    x86 without VNNI multiplies unsigned activations by signed weights with VPMADDUBSW, which adds each two
    neighbouring products in 16 bits and saturates (https://www.felixcloutier.com/x86/pmaddubsw). The usual
    remedy, 7-bit weights ("reduce_range"), gives up half the precision. It is enough that no two
    neighbours of one sign together exceed 32767 / 255 = 128.5: the scale is widened only as far as that
    needs, the result is exact on every processor, and the same on all of them.

    Args:
        weight: [outputs, inputs], an even number of inputs.

    Returns:
        The int8 weight as [inputs, outputs], and its scales, [outputs].
    """
    pairs = weight.reshape(len(weight), -1, 2)
    positive = np.maximum(pairs, 0).sum(axis=2).max(axis=1)
    negative = np.maximum(-pairs, 0).sum(axis=2).max(axis=1)
    # Rounding adds up to a half to each of the two, so 127.4 keeps their sum at 128 or below.
    pair_limit = np.maximum(positive, negative) / np.float32(127.4)
    scales = np.maximum(np.abs(weight).max(axis=1) / np.float32(127), pair_limit)
    return np.ascontiguousarray(np.rint(weight / scales[:, None]).astype(np.int8).T), scales


def smoothing_scales(activation_maxima: Array, weight: Array) -> Array:
    """Return what each input channel is divided by, its weights being multiplied by the same.

    This is SmoothQuant (Xiao et al. 2022, https://arxiv.org/abs/2211.10438, equation 4): a few of BERT's
    channels are many times larger than the rest and would leave these too few of the 8 bits.

    The scales are rounded to half powers of two, so that the last bits of a calibration run on another
    processor do not change the built file.

    Args:
        activation_maxima: The largest absolute activation seen in each channel, [inputs].
        weight: [outputs, inputs].

    Returns:
        [inputs], with a geometric mean near 1.
    """
    ranges = np.maximum(activation_maxima, np.float32(1e-3))
    scales = ranges**MIGRATION_STRENGTH / np.abs(weight).max(axis=0) ** (1 - MIGRATION_STRENGTH)
    logarithms = np.log2(scales)
    halves: Array = np.rint((logarithms - logarithms.mean()) * 2).astype(np.float32)
    return np.exp2(halves / 2)
