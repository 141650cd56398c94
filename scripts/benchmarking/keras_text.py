"""The benchmark's text classifier in Keras 3 on TensorFlow, trained by ``fit`` on batches of rows of similar length."""

import os
from collections.abc import Iterator

import numpy as np

from benchmarking.rows import CLIP, DROPOUT, RATE, SIZE, load_rows
from benchmarking.turns import Turn, Work
from seqtrain.data.rows.batching import bucketed_batches


def loop(rows: str, cell: str, batch_size: int = 64) -> tuple[Turn, int]:
    """A turn of the compiled model's ``fit``; TensorFlow uses as many threads as the other contestants."""
    os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2"}
    import keras
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")
    threads = int(os.environ["OMP_NUM_THREADS"])
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    keras.utils.set_random_seed(0)
    found = load_rows(rows)
    offsets, labels = found["offsets"], found["labels"].astype(np.int32)
    lengths, rng = np.diff(offsets), np.random.default_rng(0)

    tokens = keras.Input((None,), dtype="int32")
    vectors = keras.layers.Embedding(found["vocab_size"], SIZE, mask_zero=True)(tokens)
    layer = {"gru": keras.layers.GRU, "lstm": keras.layers.LSTM}[cell](SIZE, return_sequences=True)
    states = keras.layers.Bidirectional(layer)(keras.layers.Dropout(DROPOUT)(vectors))
    hidden = keras.layers.Dense(2 * SIZE, activation="tanh")(states)
    scores = keras.layers.Dense(1, use_bias=False)(hidden)
    padding = keras.ops.cast(keras.ops.equal(tokens, 0), "float32")[:, :, None]
    weights = keras.ops.softmax(scores - 1e9 * padding, axis=1)
    pooled = keras.layers.Dropout(DROPOUT)(keras.ops.sum(weights * states, axis=1))
    model = keras.Model(tokens, keras.layers.Dense(found["num_classes"])(pooled))
    model.compile(
        keras.optimizers.AdamW(RATE, weight_decay=0.0, global_clipnorm=CLIP),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )

    def turn(steps: int | None) -> Work:
        batches = bucketed_batches(lengths, batch_size, None, rng)[:steps]
        work = Work()

        def padded() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for chosen in batches:
                position = np.arange(lengths[chosen].max())
                real = position < lengths[chosen, None]
                index = np.where(real, offsets[chosen, None] + position, 0)
                work.add(int(lengths[chosen].sum()), real.size)
                yield np.where(real, found["tokens"][index], 0).astype(np.int32), labels[chosen]

        shapes = tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None,), tf.int32)
        dataset = tf.data.Dataset.from_generator(padded, output_signature=shapes)
        model.fit(dataset.apply(tf.data.experimental.assert_cardinality(len(batches))), verbose=0, shuffle=False)
        return work

    return turn, model.count_params()
