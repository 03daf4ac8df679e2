"""What TF Serving's batching does to requests, and the check that finds rows that others change."""

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.conversion.convert import load_checkpoint
from bert_tf.data.text.windows import TextLimits
from bert_tf.exporting.batching_check import Batch
from bert_tf.exporting.closeness import CLOSENESS, ROUNDED
from bert_tf.exporting.signatures import ServingModel
from bert_tf.exporting.stock_batching import BatchRefusedError, StockBatching
from bert_tf.exporting.texts import TextInputs
from tests.conversion import minilm
from tests.exporting.test_row_answers import OK, ask


def test_stock_fills_up_with_the_first_element():
    batching = StockBatching(allowed_batch_sizes=(2, 4))
    first, second = np.array([[7, 8]]), np.array([[1, 2, 3], [4, 5, 6]])
    merged = batching.merge([{"x": first}, {"x": second}])
    assert merged["x"].tolist() == [[7, 8, 7], [1, 2, 3], [4, 5, 6], [1, 2, 3]]
    parts = batching.split({"y": np.arange(4)}, [1, 2])
    assert [part["y"].tolist() for part in parts] == [[0], [1, 2]]
    words = np.array([[b"a"]], object), np.array([[b"b", b"c"]], object)
    merged = batching.merge([{"x": word} for word in words])
    assert merged["x"].tolist() == [[b"a", b"a"], [b"b", b"c"]]


@pytest.mark.parametrize(
    ("pads", "second", "message"),
    [
        (False, np.zeros((1, 3), np.int32), "or pad_variable_length_inputs must be true"),
        (True, np.zeros((1, 0), np.int32), "empty in a batch of others that are not"),
        (True, np.zeros((1, 2, 1), np.int32), "of one rank.*which ends the server"),
        (False, np.zeros((1, 2, 1), np.int32), "must have equal dimensions but for the first"),
        (True, np.zeros((1, 2), np.float32), "of one type"),
    ],
)
def test_stock_refuses_whole_batches(pads, second, message):
    batching = StockBatching(pad_variable_length_inputs=pads)
    with pytest.raises(BatchRefusedError, match=message):
        batching.merge([{"x": np.zeros((1, 2), np.int32)}, {"x": second}])


def test_stock_has_nothing_to_fill_up_with_where_the_last_request_is_empty():
    full, empty = {"x": np.zeros(1)}, {"x": np.zeros(0)}
    assert StockBatching().merge([full, empty])["x"].shape == (1,)
    batching = StockBatching(allowed_batch_sizes=(4,))
    assert batching.merge([empty, full])["x"].shape == (4,)
    with pytest.raises(BatchRefusedError, match="which ends the server"):
        batching.merge([full, empty])


def test_stock_refuses_requests_whose_inputs_have_other_numbers_of_rows():
    with pytest.raises(ValueError, match="must be the same number of rows"):
        StockBatching().merge([{"x": np.zeros(1), "y": np.zeros(2)}])


def test_stock_refuses_outputs_that_are_no_batch():
    for value in (np.zeros(3), np.zeros(())):
        with pytest.raises(BatchRefusedError, match="the first dimension must be the batch, 2"):
            StockBatching().split({"y": value}, [1, 1])


def batch_of(function, *tasks, pads=True):
    """Faults of a function under stock's batching."""
    stock = StockBatching(pad_variable_length_inputs=pads)
    batch = Batch("signature", "predict", tasks, stock.merge(tasks), stock, pad_id=0)
    answers = []
    for request in batch.requests():
        try:
            answers.append(function(**request.arguments))
        except ValueError as error:
            answers.append(str(error))
    return batch.faults(answers)


def test_the_check_finds_a_mask_that_is_filled_up_with_ones():
    def mean(input_ids, input_mask):
        return {"mean": (input_ids * input_mask).sum(axis=1) / input_mask.sum(axis=1)}

    short = {"input_ids": np.array([[4, 5]]), "input_mask": np.array([[1, 1]])}
    long = {"input_ids": np.array([[9, 5, 1]]), "input_mask": np.array([[1, 1, 1]])}
    (fault,) = batch_of(mean, short, long)
    assert fault == "signature, output mean, request 0: another answer beside others"


def test_the_check_finds_a_row_that_fails_the_others_and_one_that_shows():
    def refuse(x):
        if (x < 0).any():
            raise ValueError("a number is negative")
        return {"y": x}

    tasks = {"x": np.array([1])}, {"x": np.array([-1])}
    assert batch_of(refuse, *tasks) == ["signature fails: a number is negative"]
    assert batch_of(lambda x: {"y": x - x.mean()}, *tasks)
    assert batch_of(lambda x: {"y": x[:1]}, *tasks) != []
    assert batch_of(lambda x: {"y": x + 0.0}, *tasks) == []


def test_the_check_finds_what_is_not_padding_beyond_a_row():
    short, long = {"x": np.array([[4, 5]])}, {"x": np.array([[9, 5, 1]])}
    assert len(batch_of(lambda x: {"y": x}, short, long)) == 1
    assert batch_of(lambda x: {"y": np.where(x == 4, 0, x) * (x != x[:, :1])}, short, long) == []


def test_rounded_answers_may_be_further_apart():
    expected, received = np.array([8.0, 0.01]), np.array([8.0, 0.1])
    assert ROUNDED.holds(expected, received)
    assert not ROUNDED.holds(expected, received + 1)
    assert not CLOSENESS["float32"].holds(expected, received)
    assert ROUNDED.holds(np.array([b"a"]), np.array([b"b"]))
    assert not ROUNDED.holds(np.array([b"a"]), np.array([b"b"]), is_exact=True)


@pytest.fixture(scope="module")
def embedder():
    """MiniLM as it is served."""
    model = load_checkpoint(minilm.folder())
    model.network.encoder.skips_padding = True
    texts = TextInputs(model.tokenizer, TextLimits(64), pad_to_multiple_of=8)
    return ServingModel(model.network, texts, model.description)


@pytest.mark.parametrize("pads", [True, False])
def test_an_embedding_of_minilm_beside_a_longer_row_is_the_one_alone(embedder, pads):
    texts = [b"A cat sits.", b"A film about the sea. " * 6, b"Stock markets fell sharply today."]
    names = ("input_ids", "segment_ids")
    alone = []
    for text in texts:
        inputs = embedder.text_inputs(tf.constant([text]))
        length = inputs["input_mask"].numpy().sum(axis=1)
        alone.append({name: inputs[name].numpy()[:, : length[0]] for name in names})
        alone[-1]["lengths"] = length
    widths = {request["input_ids"].shape[1] for request in alone}
    assert len(widths) == 3
    stock = StockBatching(pad_variable_length_inputs=pads, allowed_batch_sizes=(1, 4))
    sent = alone
    if not pads:  # each client fills up as it likes
        missing = [(0, 0), (0, max(widths))]
        sent = [
            {
                "lengths": request["lengths"],
                **{
                    name: np.pad(request[name], missing, constant_values=101)[:, : max(widths)]
                    for name in names
                },
            }
            for request in alone
        ]
    outputs = ask(embedder, "token_ids", stock.merge(sent))
    parts = stock.split(outputs, [1, 1, 1])
    for text, request, part in zip(texts, alone, parts, strict=True):
        expected = ask(embedder, "token_ids", request)["embedding"][0]
        of_text = ask(embedder, "embed", {"text": np.array([text], object)})["embedding"][0]
        for other in (expected, of_text):
            cosine = part["embedding"][0] @ other / np.linalg.norm(other)
            assert cosine / np.linalg.norm(part["embedding"][0]) == pytest.approx(1.0, abs=1e-5)
        assert part["status"].tolist() == [OK]
