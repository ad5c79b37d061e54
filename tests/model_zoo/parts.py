"""Layers of Keras: those with weights, and those that have looked at data."""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from ._kinds import KERAS, add, kind, ramp, registered


@kind()
def recurrent() -> Any:
    x = keras.Input((4, 3))
    y = layers.LSTM(2, return_sequences=True)(x)
    y = layers.Bidirectional(layers.GRU(2, return_sequences=True))(y)
    y = layers.Bidirectional(
        layers.LSTM(1), backward_layer=layers.LSTM(2, go_backwards=True)
    )(y)
    model = keras.Model(x, layers.Dense(1)(y))
    model.compile("rmsprop", "mse")
    return model


@kind(work=lambda model: model(ramp(2, 4, 3)))
def stateful_recurrent() -> Any:
    gru = layers.GRU(2, stateful=True, reset_after=False, dropout=0.5, seed=3)
    return keras.Sequential([keras.Input(batch_shape=(2, 4, 3)), gru])


@registered
class Leaky(layers.Layer):
    """A cell of one's own."""

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(**options)
        self.units = self.state_size = units

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units))
        self.decay = self.add_weight(shape=(self.units,), trainable=False)
        self.built = True

    def call(self, x: Any, states: Any) -> Any:
        y = states[0] * self.decay + ops.matmul(x, self.kernel)
        return y, [y]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


@kind()
def cells() -> Any:
    x = keras.Input((4, 3))
    y = layers.RNN(Leaky(2), return_sequences=True)(x)
    stack = [layers.LSTMCell(2), Leaky(3), layers.GRUCell(2)]
    y = layers.RNN(layers.StackedRNNCells(stack))(y)
    return keras.Model(x, layers.Dense(1)(y))


@kind()
def convolution() -> Any:
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(2, 3, padding="same"),
            layers.BatchNormalization(),
            layers.DepthwiseConv2D(3),
            layers.SeparableConv2D(2, 2),
            layers.Conv2DTranspose(1, 2),
            layers.PReLU(shared_axes=[1, 2]),
            layers.GroupNormalization(1),
            layers.GlobalAveragePooling2D(),
        ]
    )
    model.compile("sgd", "mse")
    return model


@kind(work=lambda model: model(ramp(2, 2), training=True))
def dropout() -> Any:
    return keras.Sequential(
        [keras.Input((2,)), layers.Dropout(0.5, seed=3), layers.Dense(1)]
    )


@kind()
def augmentation() -> Any:
    return keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            layers.RandomFlip(seed=1),
            layers.RandomContrast(0.5, seed=2),
            layers.Conv2D(1, 2),
        ]
    )


@kind()
def wrappers() -> Any:
    x = keras.Input((3, 4))
    y = layers.TimeDistributed(layers.Dense(2))(x)
    y = layers.SpectralNormalization(layers.Dense(2))(y)
    return keras.Model(x, y)


@kind()
def transformer_block() -> Any:
    words = keras.Input((4,), dtype="int32")
    x = layers.Embedding(7, 4)(words)
    attended = layers.MultiHeadAttention(2, 2)(x, x)
    x = layers.LayerNormalization()(x + attended)
    grouped = layers.GroupQueryAttention(2, 2, 1)(x, x)
    y = layers.LayerNormalization()(x + grouped)
    y = layers.Dropout(0.1, seed=3)(layers.Dense(4, activation="gelu")(y))
    model = keras.Model(words, layers.EinsumDense("abc,cd->abd", (None, 2))(y))
    model.compile("adamw", "mse")
    return model


@kind()
def embedding() -> Any:
    model = keras.Sequential(
        [keras.Input((3,), dtype="int32"), layers.Embedding(5, 2), layers.Flatten()]
    )
    model.compile("adam", "mse")
    return model


@registered
class Logits(layers.Layer):
    """A layer that uses, and so saves, the weights of another."""

    def build(self, embeddings: Any) -> None:
        self.tied = embeddings
        self.bias = self.add_weight((self.tied.shape[0],))
        self.built = True

    def call(self, x: Any) -> Any:
        return ops.matmul(x, ops.transpose(self.tied)) + self.bias


@registered
class Tied(keras.Model):
    """A variable that belongs to two layers, and so is saved with each of them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.words, self.logits = layers.Embedding(5, 2), Logits()

    def build(self, input_shape: Any) -> None:
        self.words.build()
        self.logits.build(self.words.embeddings)
        self.built = True

    def call(self, x: Any) -> Any:
        return self.logits(self.words(x))


@kind(data_sets=3)
def tied_variables() -> Any:
    model = Tied()
    model.build((None, 3))
    return model


@kind()
def normalization() -> Any:
    normalize = layers.Normalization(axis=-1)
    normalize.adapt(np.random.normal(3, 2, (20, 3)).astype("float32"))
    bins = layers.Discretization(num_bins=3, output_mode="one_hot")
    bins.adapt(np.random.normal(size=(50, 3)).astype("float32"))
    x = keras.Input((3,))
    binned = layers.Flatten()(bins(x))
    y = layers.Concatenate()([normalize(x), binned])
    return keras.Model(x, layers.Dense(1)(y))


@registered
class Lookups(keras.Model):
    """Vocabularies, which are assets where they were learned.

    They are beside what is computed, since only TensorFlow computes with strings.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.given = layers.StringLookup(vocabulary=["ja", "nein", "größe"])
        self.words = layers.StringLookup(num_oov_indices=2)
        self.ids = layers.IntegerLookup()
        self.text = layers.TextVectorization(max_tokens=9, ngrams=2)
        self.head = layers.Dense(2)

    def adapt(self) -> None:
        """Learns every vocabulary; there are as many words under every seed."""
        words = np.array(["a", "b", "", "größe", "日本", "x y", "\U0001f680", "\\"])
        repeated = np.repeat(words, np.random.permutation(len(words)) + 1)
        self.words.adapt(repeated)
        self.ids.adapt(np.array([3, -5, 2**40, 3, 7]))
        texts = np.array(["the cat sat", "the cat", "a größe mat", "mat mat"])
        self.text.adapt(np.random.permutation(texts))

    def build(self, input_shape: Any) -> None:
        self.head.build(input_shape)
        self.built = True

    def call(self, x: Any) -> Any:
        return self.head(x)


@kind(data_sets=2, hidden=True)
def lookups() -> Any:
    model = Lookups()
    model.adapt()
    model.build((None, 3))
    return model


@registered
class Weighted(keras.Model):
    """Vocabularies with a weight for each word, which are no variables of a layer."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.words = layers.StringLookup(output_mode="tf_idf")
        self.text = layers.TextVectorization(output_mode="tf_idf")
        self.head = layers.Dense(2)

    def adapt(self) -> None:
        """Learns other weights of the same words under every seed."""
        texts = np.array(["the cat sat", "the cat", "a größe mat", "mat mat"])
        times = np.random.permutation(len(texts)) + 1
        self.text.adapt(np.repeat(texts, times))
        self.words.adapt(np.repeat(["a", "b", "größe", "\U0001f680"], times)[:, None])

    def build(self, input_shape: Any) -> None:
        self.head.build(input_shape)
        self.built = True

    def call(self, x: Any) -> Any:
        return self.head(x)


@kind(
    data_sets=4,
    hidden=True,
    unloaded={"model": "could not be loaded"} if KERAS < (3, 14) else {},
)
def weighted_lookups() -> Any:
    model = Weighted()
    model.adapt()
    model.build((None, 3))
    return model


def _text(*rows: str) -> Any:
    text = layers.TextVectorization(output_sequence_length=3)
    text.adapt(np.array(rows))
    return text


def _strings(*words: str) -> Any:
    lookup = layers.StringLookup()
    lookup.adapt(np.array(words))
    return lookup


def _integers(*numbers: int) -> Any:
    lookup = layers.IntegerLookup()
    lookup.adapt(np.array(numbers))
    return lookup


def _add_in_graph(name: str, dtype: str, make: Any) -> None:
    def graph() -> Any:
        x = keras.Input((1,), dtype=dtype)
        y = layers.Flatten()(layers.Embedding(9, 2)(make()(x)))
        model = keras.Model(x, layers.Dense(1)(y))
        model.compile("adam", "mse")
        return model

    add(name, graph, backends=("tensorflow",), hidden=True)


_add_in_graph("string_lookup", "string", lambda: _strings("a", "b", "größe"))
_add_in_graph("integer_lookup", "int64", lambda: _integers(3, 5, 7))
_add_in_graph("text_vectorization", "string", lambda: _text("the cat", "on the mat"))
