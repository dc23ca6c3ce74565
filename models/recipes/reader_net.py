"""The plate reader: 128 x 40 RGB of a straightened plate -> 10 characters and its country.

Convolutions down to 5 x 32 cells; ten slots each look at the cells with weights that depend on
what is there and on the whole plate's layout, so one network reads one line and two.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers
from norm import Norm
from plates import COUNTRIES, SLOTS

WIDTH, HEIGHT = 128, 40
SYMBOLS = 37  # 0-9 A-Z and "nothing"


def _from_left_to_right(shape, dtype=None):
    """Where each slot looks at first: its share of one line; training starts much faster."""
    rows, cols = HEIGHT // 8, WIDTH // 4
    slot = (np.arange(SLOTS) + 0.8) * cols / (SLOTS - 0.6)
    away = np.arange(cols)[:, None] - slot
    bias = np.broadcast_to(10 - 0.5 * (away / 2.5) ** 2, (rows, cols, SLOTS)).reshape(shape)
    return keras.ops.convert_to_tensor(bias.astype("float32"))


def build(*, channels_first: bool = False) -> keras.Model:
    """Outputs `text` (10 x 37) and `country` (9), both logits.

    Weights are the same either way round: torch trains channels first, TFLite runs channels last.
    """
    axis = 1 if channels_first else -1
    keras.config.set_image_data_format("channels_first" if channels_first else "channels_last")
    shape = (3, HEIGHT, WIDTH) if channels_first else (HEIGHT, WIDTH, 3)

    def conv(x, name, filters, size=3, strides=1):
        x = layers.Conv2D(
            filters, size, strides=strides, padding="same", use_bias=False, name=name
        )(x)
        x = Norm(axis=axis, momentum=0.97, name=f"{name}_norm")(x)
        return layers.ReLU()(x)

    def flat(x, channels):
        """cells x channels, whichever way round the picture is."""
        if not channels_first:
            return layers.Reshape((cells, channels))(x)
        return layers.Permute((2, 1))(layers.Reshape((channels, cells))(x))

    cells = (HEIGHT // 8) * (WIDTH // 4)
    image = layers.Input(shape, name="image")
    x = conv(image, "conv1", 24, strides=2)
    x = conv(x, "conv2", 40, strides=2)
    x = conv(x, "conv3", 64)
    x = conv(x, "conv4", 96, strides=(2, 1))
    x = layers.Add()([x, conv(x, "conv5", 96)])
    x = layers.Add()([x, conv(x, "conv6", 96)])

    narrow = flat(conv(x, "narrow", 12, size=1), 12)
    narrow = layers.Reshape((cells * 12,))(narrow)  # Flatten would turn it round for torch
    whole = layers.Dense(128, activation="relu", name="whole")(narrow)
    whole = layers.Dropout(0.1)(whole)

    look = flat(layers.Conv2D(SLOTS, 1, name="look")(x), SLOTS)  # cells x slots
    # Never below 0, ten under a likely place: int8 has no room for values that softmax drops.
    place = layers.Dense(
        cells * SLOTS, activation="relu", name="place", bias_initializer=_from_left_to_right
    )(whole)
    place = layers.Reshape((cells, SLOTS))(place)
    weights = layers.Softmax(axis=1)(layers.Add()([look, place]))
    weights = layers.Permute((2, 1))(weights)
    seen = layers.Dot(axes=(2, 1))([weights, flat(x, 96)])  # slots x 96

    context = layers.Dense(SLOTS * 128, name="context")(layers.Dense(32, name="layout")(whole))
    context = layers.Reshape((SLOTS, 128))(context)
    hidden = layers.ReLU()(layers.Add()([layers.Dense(128, name="hidden")(seen), context]))
    text = layers.Dense(SYMBOLS, name="text")(hidden)
    average = layers.GlobalAveragePooling2D()(x)
    country = layers.Dense(len(COUNTRIES), name="country")(layers.Concatenate()([whole, average]))
    return keras.Model(image, [text, country])
