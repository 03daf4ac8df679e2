"""A model that samples what it writes: every way to say how, a text for itself."""

import asyncio
import json
import urllib.error
import urllib.request

import keras
import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import bert_tf
from bert_tf.exporting.mlflow_model import check_example, make_example, make_signature
from bert_tf.models.description import ModelDescription
from bert_tf.models.folder import save_model
from bert_tf.registry.versions import register
from bert_tf.tasks.models import build_model
from serving import errors
from serving.client import AsyncClient, GrpcClient, RestClient
from serving.local_server import LocalServer
from serving.server.model_config import ModelSettings
from tests.exporting.test_saved_model import ARCHITECTURE, VOCABULARY, WordPieceTokenizer, export
from tests.mlflow_stores import make_database

EXPORTED = {"method": "sample", "max_length": 10, "seed": 3, "temperature": 0.8, "top_k": 9}
SETTINGS = {"seed": 3, "temperature": 0.8, "top_k": 9, "top_p": 1.0}
"""The same as a request says them."""
TEXTS = ["good film", "한글 좋아요", "the bad film .", ""]
WRONG = [
    ({"temperature": 0.0}, "temperature must be above 0"),
    ({"temperature": -1.0}, "temperature must be above 0"),
    ({"temperature": float("nan")}, "temperature must be above 0"),
    ({"top_p": 0.0}, "top_p must be above 0 and at most 1"),
    ({"top_p": 1.5}, "top_p must be above 0 and at most 1"),
    ({"top_k": -1}, "top_k must be 1 or above, or 0"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model whose answers were to be searched for by a beam, until an export says otherwise."""
    path = tmp_path_factory.mktemp("model")
    WordPieceTokenizer(
        VOCABULARY, lower_case=False, strip_accents=False, unicode_normalization="NFC"
    ).save(path)
    description = ModelDescription(
        kind="sequence_to_sequence",
        architecture=ARCHITECTURE.model_copy(update={"num_decoder_layers": 1}),
        max_seq_length=16,
        has_pooler=False,
    )
    keras.utils.set_random_seed(4)
    save_model(build_model(description), description, path)
    return path


@pytest.fixture(scope="module")
def version(folder, tmp_path_factory):
    """Exported with all checks."""
    base = tmp_path_factory.mktemp("served") / "texts"
    return export(folder, base, check=True, decoding=EXPORTED)


@pytest.fixture(scope="module")
def loaded(version):
    return bert_tf.load(version)


@pytest.fixture(scope="module")
def sample(loaded):
    """The signature of the SavedModel, asked with columns."""
    function = loaded.signatures["sample"]
    specs = function.structured_input_signature[1]

    def ask(texts, **settings):
        columns = SETTINGS | settings
        given = {name: np.resize(np.array(it), len(texts)) for name, it in columns.items()}
        given["text"] = np.array([text.encode() for text in texts], object)
        answers = function(**{key: tf.constant(it, specs[key].dtype) for key, it in given.items()})
        return {name: value.numpy() for name, value in answers.items()}

    return ask


@pytest.fixture(scope="module", params=["rest", "grpc"])
def client(request, version):
    settings = ModelSettings(name="texts", base_path=version.parent)
    with LocalServer([settings], port=0, rest_api_port=0) as server:
        made = (
            RestClient(server.rest_url, model_name="texts")
            if request.param == "rest"
            else GrpcClient(server.grpc_address, model_name="texts")
        )
        with made:
            yield made


def texts_of(answers):
    return [text.decode() for text in answers["generated_text"]]


def test_signatures_are_those_of_the_method(folder, loaded):
    assert {"sample", "sample_settings"} <= loaded.signatures.keys()
    model = bert_tf.load(folder)  # of a beam, in memory
    assert not {"sample", "sample_settings"} & model.signatures.keys()
    with pytest.raises(ValueError, match="settings are for models that sample"):
        model.predict(TEXTS, settings={"seed": 1})


def test_the_export_says_what_it_has(loaded):
    told = loaded.predict(["a"], signature_name="sample_settings").iloc[0]
    assert told.to_dict() == pytest.approx(SETTINGS)


def test_exported_settings_are_those_of_the_default_signature(loaded, sample):
    default = loaded.predict(TEXTS)
    assert texts_of(sample(TEXTS)) == default["generated_text"].tolist()
    assert len(set(default["generated_text"])) > 1


def test_a_seed_gives_a_text_the_same_in_any_batch(sample):
    seeds = [7, 8, 9, 10]
    together = texts_of(sample(TEXTS, seed=seeds))
    alone = [texts_of(sample([text], seed=seed)) for text, seed in zip(TEXTS, seeds, strict=True)]
    assert [text for (text,) in alone] == together
    many = texts_of(sample([TEXTS[0]] * 40, seed=list(range(40))))
    assert many[7] == together[0]
    assert len(set(many)) > 10
    one = sample([TEXTS[0]] * 2, seed=5, top_k=[1, 0], temperature=[3.0, 1e-6])
    assert len(set(texts_of(one))) == 1, "the likeliest token either way"


def test_a_wrong_row_says_so_and_leaves_the_others_alone(sample):
    right = sample(TEXTS, seed=[1, 2, 3, 4])
    for settings, message in WRONG:
        ((name, value),) = settings.items()
        column = [SETTINGS[name], value, SETTINGS[name], SETTINGS[name]]
        found = sample(TEXTS, seed=[1, 2, 3, 4], **{name: column})
        assert message in found["status"][1].decode()
        for output, values in found.items():
            np.testing.assert_array_equal(values[[0, 2, 3]], right[output][[0, 2, 3]])
            if output != "status":
                assert not np.any(values[1]), output


def test_another_number_of_settings_than_of_texts_is_refused(loaded):
    function = loaded.signatures["sample"]
    specs = function.structured_input_signature[1]
    for texts, rows in ((3, 2), (1, 2), (2, 1), (2, 0)):
        given = {
            name: tf.ones([rows], spec.dtype) for name, spec in specs.items() if name != "text"
        }
        with pytest.raises(tf.errors.InvalidArgumentError, match="the same number of rows"):
            function(text=tf.fill([texts], "a"), **given)


def test_python_sets_numbers_or_one_a_text(loaded, sample):
    expected = texts_of(sample(TEXTS, seed=[4, 5, 6, 7], temperature=2.0))
    found = loaded.predict(TEXTS, settings={"seed": [4, 5, 6, 7], "temperature": 2.0}, batch_size=3)
    assert found["generated_text"].tolist() == expected
    wrong = loaded.predict(TEXTS[:2], settings={"top_p": [0.5, 2.0]})
    assert wrong["status"].str.contains("top_p").tolist() == [False, True]
    assert loaded.predict([], settings={"seed": 1}).empty
    for settings, message in (
        ({"sead": 1}, r"must be one of seed, temperature, top_k, top_p\. Received: 'sead'"),
        ({"seed": 1.5}, r"seed must be a whole number \(int64\), or one for each of 4 texts"),
        ({"seed": [1, 2]}, "one for each of 4 texts"),
        ({"top_k": 2**40}, r"top_k must be a whole number \(int32\)"),
        ({"temperature": "hot"}, "temperature must be a number"),
    ):
        with pytest.raises(ValueError, match=message):
            loaded.predict(TEXTS, settings=settings)


def test_clients_set_numbers_or_one_a_text(client, sample):
    expected = texts_of(sample(TEXTS, seed=[4, 5, 6, 7], top_p=0.9))
    found = client.generate(TEXTS, seed=[4, 5, 6, 7], top_p=0.9)
    assert [it.text for it in found] == expected, "what is left out is as exported"
    awaited = asyncio.run(AsyncClient(client).generate(TEXTS, **SETTINGS))
    default = client.generate(TEXTS)
    assert [it.text for it in awaited] == [it.text for it in default]
    assert client.generate([], seed=1) == []
    for settings, message in WRONG:
        with pytest.raises(errors.InvalidArgumentError, match=message):
            client.generate(TEXTS, seed=1, **settings)
    for settings, message in (
        ({"seed": 1.5}, "seed must be a whole number, or one for each of 4 texts"),
        ({"top_p": [0.5]}, "top_p must be a number, or one for each of 4 texts"),
        ({"temperature": "1"}, "temperature must be a number"),
    ):
        with pytest.raises(ValueError, match=message):
            client.generate(TEXTS, **settings)


def test_requests_that_are_none_are_400(version):
    """Over REST, as other clients may send them."""
    row = {"text": "a", **SETTINGS}
    settings = ModelSettings(name="texts", base_path=version.parent)
    with LocalServer([settings], port=0, rest_api_port=0) as server:

        def ask(*rows):
            body = json.dumps({"signature_name": "sample", "instances": rows}).encode()
            url = f"{server.rest_url}/v1/models/texts:predict"
            try:
                with urllib.request.urlopen(urllib.request.Request(url, data=body)) as answer:
                    return answer.status, json.load(answer)["predictions"]
            except urllib.error.HTTPError as error:
                return error.code, json.load(error)["error"]

        assert ask(row)[0] == 200
        code, (refused, answered) = ask({**row, "temperature": float("nan")}, row)
        assert (code, answered["status"]) == (200, "OK")
        assert refused["status"].startswith("temperature must be above 0")
        without_seed = {name: value for name, value in row.items() if name != "seed"}
        for wrong in (
            without_seed,
            {**row, "seed": 1.5},
            {**row, "seed": 2**63},
            {**row, "seed": "1"},
            {**row, "top_k": 2**31},
            {**row, "top_p": None},
            {**row, "temperature": [1.0]},
        ):
            assert ask(wrong)[0] == 400, wrong


def test_the_registry_s_entry_takes_settings_as_parameters(version, sample, tmp_path):
    signature = make_signature(version)
    assert signature.inputs.required_input_names() == ["text"]
    assert sorted(signature.inputs.optional_input_names()) == sorted(SETTINGS)
    told = {spec.name: spec.default for spec in signature.params}
    assert told == pytest.approx({"signature_name": "serving_default", **SETTINGS})
    check_example(version, example=make_example(None, signature=signature))
    uri = make_database(tmp_path / "mlflow.db")
    registered = register(version, name="texts", tracking_uri=uri)
    client = mlflow.MlflowClient(uri, registry_uri=uri)
    model = mlflow.pyfunc.load_model(
        client.get_logged_model(str(registered.model_id)).artifact_location
    )
    frame = pd.DataFrame({"text": TEXTS})
    found = model.predict(frame, params={"signature_name": "sample", "seed": 5})
    assert found["generated_text"].tolist() == texts_of(sample(TEXTS, seed=5))
    rows = frame.assign(seed=[4, 5, 6, 7])
    found = model.predict(rows, params={"signature_name": "sample", "temperature": 2.0})
    expected = texts_of(sample(TEXTS, seed=[4, 5, 6, 7], temperature=2.0))
    assert found["generated_text"].tolist() == expected
