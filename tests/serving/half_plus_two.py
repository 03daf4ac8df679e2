"""The model of TensorFlow Serving's own tests, y = x / 2 + 2, with the signatures it has there.

As published it is a SavedModel of TensorFlow 1: its signatures share one placeholder of serialised
examples, and `serving_default` feeds a tensor that is computed from them.
"""

from pathlib import Path

import tensorflow as tf


def save_half_plus_two(directory: Path) -> Path:
    """Writes it; returns the directory."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        serialized = v1.placeholder(tf.string, name="tf_example")
        feature = v1.FixedLenFeature([1], tf.float32)
        x = tf.identity(v1.parse_example(serialized, {"x": feature})["x"], name="x")
        half, two = v1.get_variable("a", initializer=0.5), v1.get_variable("b", initializer=2.0)
        y = tf.add(tf.multiply(half, x), two, name="y")
        session.run(v1.global_variables_initializer())
        info, constants = v1.saved_model.utils.build_tensor_info, v1.saved_model.signature_constants

        def signature(inputs, outputs, method_name):
            return v1.saved_model.build_signature_def(
                {key: info(value) for key, value in inputs.items()},
                {key: info(value) for key, value in outputs.items()},
                method_name,
            )

        builder = v1.saved_model.Builder(str(directory))
        builder.add_meta_graph_and_variables(
            session,
            [tf.saved_model.SERVING],
            {
                "serving_default": signature({"x": x}, {"y": y}, constants.PREDICT_METHOD_NAME),
                "regress_x_to_y": signature(
                    {"inputs": serialized}, {"outputs": y}, constants.REGRESS_METHOD_NAME
                ),
                "classify_x_to_y": signature(
                    {"inputs": serialized}, {"scores": y}, constants.CLASSIFY_METHOD_NAME
                ),
            },
        )
        builder.save()
    return directory
