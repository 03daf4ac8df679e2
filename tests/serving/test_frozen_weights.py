"""A server that is told that weights do not change: each version answers with its own."""

import numpy as np
import pytest
import tensorflow as tf

from serving.client import RestClient
from tests.serving.server_process import serve

WIDTH = 64


class Product(tf.Module):
    """x W + b, in the form that oneDNN has one kernel for."""

    def __init__(self, kernel: np.ndarray, dtype: tf.DType) -> None:
        super().__init__()
        self.kernel = tf.Variable(tf.cast(kernel, dtype))
        self.bias = tf.Variable(tf.zeros([WIDTH], dtype))

    @tf.function(
        autograph=False, input_signature=[tf.TensorSpec([None, WIDTH], tf.float32, name="x")]
    )
    def multiply(self, x):
        product = tf.matmul(tf.cast(x, self.kernel.dtype), self.kernel)
        return {"y": tf.cast(tf.nn.bias_add(product, self.bias), tf.float32)}


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
def test_each_version_has_its_own_weights_in_batches_of_any_size(dtype, tmp_path, monkeypatch):
    monkeypatch.setenv("TF_ONEDNN_ASSUME_FROZEN_WEIGHTS", "1")
    draw = np.random.default_rng(1)
    kernels = [draw.integers(-3, 4, [WIDTH, WIDTH]).astype(np.float32) for _ in range(2)]

    def publish(version: int) -> None:
        module = Product(kernels[version - 1], dtype)
        tf.saved_model.save(module, str(tmp_path / "tmp"), signatures=module.multiply)
        (tmp_path / "tmp").rename(tmp_path / str(version))

    publish(1)
    with serve(tmp_path, "--file_system_poll_wait_seconds=0.1") as server:
        for version in (1, 2):
            if version == 2:
                publish(2)
            with RestClient(server.rest_url, model_name="demo", version=version) as client:
                client.wait_until_available(60)
                for num_rows in (1, 16, 3, 40, 16):
                    # Small whole numbers: sums are exact in either type.
                    x = draw.integers(-1, 2, [num_rows, WIDTH])
                    y = np.array(client.predict(inputs={"x": x.tolist()}))
                    np.testing.assert_allclose(y, x @ kernels[version - 1], rtol=1e-2)
