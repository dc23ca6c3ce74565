"""The plate finder: 256 x 192 RGB -> for each cell of 8 px a plate's centre, size and corners.

A small encoder with one way back up and three heads, after CenterNet (Zhou et al. 2019): the
peak of `heat` is the plate, `size` its upright box, `shape` what its corners differ from that.
"""

from __future__ import annotations

import keras
from keras import layers
from norm import Norm

WIDTH, HEIGHT, STRIDE = 256, 192, 8
UNIT_PX = 16.0  # sizes are natural logarithms of parts of this


def build(*, channels_first: bool = False) -> keras.Model:
    """Outputs `heat` (rows x cols x 1, logit), `size` (x 4) and `shape` (x 8).

    size: dx, dy from the middle of the cell in cells, ln(width / 16 px), ln(height / 16 px).
    shape: corners minus the corners of the upright box, in parts of its width and height, in the
    order upper left, upper right, lower right, lower left.
    """
    axis = 1 if channels_first else -1
    keras.config.set_image_data_format("channels_first" if channels_first else "channels_last")
    shape = (3, HEIGHT, WIDTH) if channels_first else (HEIGHT, WIDTH, 3)

    def conv(x, name, filters, size=3, strides=1, dilation=1):
        x = layers.Conv2D(
            filters,
            size,
            strides=strides,
            padding="same",
            use_bias=False,
            dilation_rate=dilation,
            name=name,
        )(x)
        x = Norm(axis=axis, momentum=0.97, name=f"{name}_norm")(x)
        return layers.ReLU()(x)

    image = layers.Input(shape, name="image")
    x = conv(image, "conv1", 12, strides=2)
    x = conv(x, "conv2", 24, strides=2)
    x = conv(x, "conv3", 48, strides=2)
    fine = layers.Add()([x, conv(x, "conv4", 48)])
    x = conv(fine, "conv5", 104, strides=2)
    x = layers.Add()([x, conv(x, "conv6", 104)])
    x = layers.Add()([x, conv(x, "wide2", 104, dilation=2)])
    x = layers.Add()([x, conv(x, "wide4", 104, dilation=4)])
    x = layers.UpSampling2D(2, interpolation="nearest")(conv(x, "up", 48, size=1))
    x = conv(layers.Add()([x, fine]), "merge", 48)
    heat = layers.Conv2D(1, 1, name="heat", bias_initializer=keras.initializers.Constant(-4.0))
    return keras.Model(
        image,
        [heat(x), layers.Conv2D(4, 1, name="size")(x), layers.Conv2D(8, 1, name="shape")(x)],
    )
