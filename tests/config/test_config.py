"""Configuration: YAML and overrides in, a frozen tree or a clear refusal out."""

import pydantic
import pytest

from bert_tf.config import (
    MODEL_SIZES,
    Config,
    ModelConfig,
    load_config,
    required,
    validate_config,
    write_config,
)


def test_overrides_reach_every_depth_and_are_read_as_yaml():
    config = load_config(
        overrides=[
            "pretraining.training.optimizer.learning_rate=3e-4",
            "corpus.paths=[a.txt, b.txt]",
            "examples.next_sentence=false",
            "pretraining.max_eval_steps=null",
        ]
    )
    assert config.pretraining.training.optimizer.learning_rate == 3e-4
    assert config.corpus.paths == ("a.txt", "b.txt")
    assert config.examples.next_sentence is False
    assert config.pretraining.max_eval_steps is None


def test_overrides_win_over_the_file(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("seed: 1\nmasking: {masked_lm_prob: 0.2}\n")
    config = load_config(path, overrides=["seed=2"])
    assert (config.seed, config.masking.masked_lm_prob) == (2, 0.2)


def test_a_section_keeps_its_own_defaults_when_one_key_is_set():
    config = load_config(overrides=["pretraining.training.optimizer.learning_rate=1e-3"])
    assert config.pretraining.training.batch_size == 256
    assert config.pretraining.training.optimizer.warmup_share == 0.01
    assert config.finetuning.training.batch_size == 32


@pytest.mark.parametrize("size", MODEL_SIZES)
def test_a_size_sets_the_numbers_that_are_not_given(size):
    model = load_config(overrides=[f"model.size={size}", "model.num_hidden_layers=1"]).model
    assert model.hidden_size == MODEL_SIZES[size]["hidden_size"]
    assert model.num_hidden_layers == 1


def test_a_size_set_over_a_resolved_file_is_the_size_that_counts(tmp_path):
    path = write_config(load_config(overrides=["model.size=mini"]), tmp_path)
    model = load_config(path, overrides=["model.size=base", "model.num_hidden_layers=3"]).model
    assert (model.hidden_size, model.num_hidden_layers) == (768, 3)


def test_another_kind_of_size_over_a_resolved_file_leaves_nothing_of_the_first(tmp_path):
    path = write_config(load_config(overrides=["model.size=transformer_base"]), tmp_path)
    assert load_config(path).model == ModelConfig(size="transformer_base")
    assert load_config(path, overrides=["model.size=mini"]).model == ModelConfig(size="mini")
    overrides = ["model.size=transformer_tiny", "model.norm_first=true"]
    expected = ModelConfig(size="transformer_tiny", norm_first=True)
    assert load_config(overrides=overrides).model == expected


def test_what_is_written_reads_back_equal(tmp_path):
    config = load_config(overrides=["model.size=mini", "tokenizer.lower_case=true"])
    assert load_config(write_config(config, tmp_path)) == config


def test_the_tree_is_frozen():
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        Config().seed = 3


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.hiden_size=3", r"model.hiden_size is not a setting. Did you mean model.hidden_s"),
        ("pretraning.records=x", r"pretraning is not a setting. Did you mean pretraining\?"),
        ("model.num_attention_heads=7", r"must divide hidden_size. Received: .*=768.*=7"),
        (
            "masking.mask_share=0.95",
            r"mask_share \+ random_share must be at most 1. Received: 0.95",
        ),
        ("masking.masked_lm_prob=1.5", r"masking.masked_lm_prob: .* Received: 1.5"),
        ("tokenizer.strip_accents=true", r"strip_accents needs lower_case"),
        ("pretraining.training.accumulation_steps=3", r"must be a multiple of .* Received: batch"),
        ("seed.a=3", r"seed: .* Received: {'a': 3}"),
        ("seed=-1", r"seed: .* Received: -1"),
        ("corpus.paths=[a", r"--set corpus.paths: the value must be YAML. Received: '\[a'"),
        ("model.size=[a]", r"model.size: .* Received: \['a'\]"),
        ("nothing", r"--set must be KEY=VALUE"),
    ],
)
def test_what_is_wrong_is_refused_with_a_reason(override, message):
    with pytest.raises(ValueError, match=message):
        load_config(overrides=[override])


def test_a_file_that_is_no_configuration_is_refused(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("- a list\n")
    with pytest.raises(ValueError, match=r"must hold sections.* Received: list"):
        load_config(path)
    path.write_text("a: [unclosed\n")
    with pytest.raises(ValueError, match="must be YAML"):
        load_config(path)
    with pytest.raises(FileNotFoundError, match="must exist"):
        load_config(tmp_path / "absent.yaml")


def test_a_missing_value_names_its_key():
    assert required("x", key="a.b", what="a folder") == "x"
    with pytest.raises(ValueError, match=r"a.b must be set. Received: nothing. Set a.b to a fold"):
        required(None, key="a.b", what="a folder")


@pytest.mark.parametrize("key", ["server_url", "serving_dir", "ray_address"])
def test_addresses_of_a_flow_hold_no_password(key):
    values = {"server_url": "http://server:8501", key: "http://me:secret@host:1"}
    with pytest.raises(ValueError, match="must not hold a user or password") as error:
        validate_config({"flow": values})
    assert "secret" not in str(error.value).replace("Received: one with @", "")


def test_a_store_needs_the_address_of_its_server():
    with pytest.raises(ValueError, match="needs server_url"):
        validate_config({"flow": {"serving_dir": "s3://models"}})
    flow = {"serving_dir": "s3://models", "server_url": "http://server:8501"}
    assert validate_config({"flow": flow}).flow.serving_dir == "s3://models"


@pytest.mark.parametrize("text", ["model:\nseed: 3\n", "model: {}\nseed: 3\n", "seed: 3\n"])
def test_a_section_without_a_value_is_one_left_out(tmp_path, text):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    assert load_config(path) == load_config(overrides=["seed=3"])
    assert load_config(path, overrides=["model.size=mini"]).model.hidden_size == 256


def test_sections_below_a_section_may_have_no_value_too(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("finetuning:\n  training:\n  task:\n")
    overrides = ["finetuning.training.batch_size=4", "finetuning.task.name=regression"]
    assert load_config(path, overrides=overrides) == load_config(overrides=overrides)


def test_a_section_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("model: {size: mini}\nseed: 3\nmodel: {size: tiny}\n")
    with pytest.raises(ValueError, match=r"c\.yaml:3: .*'model' again, which is in line 1 already"):
        load_config(path)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("corpus.paths=x", r"corpus.paths: must be a list. .*'x'. .*--set 'corpus.paths=\[x\]'"),
        ("vocabulary.user_tokens=a", r"must be a list. Received: 'a'. Write \[a\]"),
        ("pretraining.phases=x", r"pretraining.phases: must be a list. Received: 'x'."),
        ("pretraining.phases=[{records: a}]", r"phases.0.num_train_steps: must be set"),
        ("model=x", r"model: must be a section, `name: value` lines. Received: 'x'"),
        ("seed.a.b=x", r"seed: "),
        ("tokenizer.vocabulary=5", r"tokenizer.vocabulary: must be a text .*Received: 5"),
        ("finetuning.train_path=5", r"finetuning.train_path: must be a text .*or a list. .*: 5"),
        ("finetuning.num_epochs=.inf", r"num_epochs: must be a finite number. Received: inf"),
        ("seed=0x" + "f" * 5000, r"seed: must be less .*Received: a number of 20,000 bits"),
        ("seed=" + "9" * 5000, r"--set seed: .*a number of 5,000 digits"),
        ("model={size: mini, size: tiny}", r"--set model: .*'size' again"),
        ("seed=" + "[" * 5000, r"--set seed: .*nested too deeply"),
        ("seed=\udcff", r"--set seed: the value must be YAML"),
        ("tokenizer.vocabulary=a #b", "must stand in quotes.*Write --set 'tokenizer.vocabulary="),
        ("tokenizer.vocabulary=#b", "must stand in quotes"),
        ("tokenizer.vocabulary=&x", "must stand in quotes"),
        ("finetuning.training.batch_size=yes", "batch_size: must be a number. Received: True"),
        ("finetuning.training.batch_size=1:30", "batch_size: must be a valid integer"),
        ("corpus.encoding=idna", "must be a text encoding"),
        ("corpus.paths=-", r"must be a list. Received: '-'. Write \[-\]"),
        (r'tokenizer.vocabulary="\ud800"', "half a surrogate pair"),
    ],
)
def test_an_override_that_cannot_be_is_refused_with_what_to_write(override, message):
    with pytest.raises(ValueError, match=message):
        load_config(overrides=[override])


def test_a_value_with_settings_below_it_is_refused(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("model: mini\n")
    with pytest.raises(ValueError, match=r"model must be a section. Received: the value 'mini'"):
        load_config(path, overrides=["model.size=tiny"])


def test_values_that_look_odd_are_taken_as_they_stand() -> None:
    overrides = ['tokenizer.vocabulary="a #b"', "finetuning.training.batch_size=010"]
    config = load_config(overrides=[*overrides, "finetuning.from_scratch=yes"])
    assert config.tokenizer.vocabulary == "a #b"
    assert config.finetuning.training.batch_size == 10
    assert config.finetuning.from_scratch
