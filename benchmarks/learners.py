"""Who learns in `learning_curve`: our model and tf-models-official's, each by its own step.

Both see the same batches and are measured by the same code; sizes, dropout, initialisation scale,
AdamW's numbers, clipping and the learning rate of each step are the same.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from bert_tf.config import ModelConfig, OptimizerConfig
from bert_tf.models.description import ModelDescription
from bert_tf.tasks.models import build_model
from bert_tf.training.engine.evaluation_pass import Evaluation
from bert_tf.training.engine.objective import PretrainingObjective
from bert_tf.training.engine.step import make_train_step
from bert_tf.training.engine.strategy import make_strategy, split_batches
from bert_tf.training.optimizers import learning_rate_at, make_optimizer

Batches = Callable[[], tf.data.Dataset]


@dataclass(frozen=True)
class Learner:
    """A model in training."""

    step: Callable[[int], Any]
    """Takes the number of the step, from 0, and trains on the next batch."""
    evaluate: Callable[[], dict[str, float]]
    """Metrics on the held-out batches, see `metrics.summarize`."""


@dataclass(frozen=True)
class Lesson:
    """What is learned, and how."""

    architecture: ModelConfig
    optimizer: OptimizerConfig
    num_steps: int
    seed: int
    length: int
    train_batches: Batches
    eval_batches: Batches


def our_learner(lesson: Lesson) -> Learner:
    """The package's model and step, as `bert-tf pretrain` runs them, in float32."""
    keras.utils.set_random_seed(lesson.seed)
    strategy = make_strategy()
    description = ModelDescription(
        kind="pretraining", architecture=lesson.architecture, max_seq_length=lesson.length
    )
    with strategy.scope():
        model = build_model(description, dtype="float32")
        optimizer = make_optimizer(model, config=lesson.optimizer, num_steps=lesson.num_steps)
    objective = PretrainingObjective()
    step = make_train_step(
        model,
        objective,
        optimizer,
        strategy=strategy,
        num_parts=1,
        max_grad_norm=lesson.optimizer.max_grad_norm,
        seed=lesson.seed,
    )
    batches = iter(split_batches(lesson.train_batches, strategy))
    return Learner(
        step=lambda number: step(batches, tf.constant(number, tf.int64)),
        evaluate=Evaluation(model, objective, lesson.eval_batches, strategy=strategy),
    )


def model_garden_learner(lesson: Lesson) -> Learner:
    """`MaskedLMTask` of tf-models-official: its model, losses, optimizer and step.

    Three things are set otherwise than its own defaults: the next-sentence head's kernels, which it
    draws from Glorot's distribution, are drawn like all others; the learning rate falls from the
    end of the warm-up; and it is float32 as ours.
    """
    import tf_keras
    from official.nlp.tasks import masked_lm

    tf_keras.mixed_precision.set_global_policy("float32")
    tf_keras.utils.set_random_seed(lesson.seed)
    task = masked_lm.MaskedLMTask(_task_config(lesson.architecture))
    model = task.build_model()
    model(_model_garden_inputs(next(iter(lesson.train_batches()))))  # creates the weights
    draw = tf_keras.initializers.TruncatedNormal(stddev=lesson.architecture.initializer_range)
    for layer in (model.classification_heads[0].dense, model.classification_heads[0].out_proj):
        layer.kernel.assign(draw(layer.kernel.shape))
    optimizer, metrics = _model_garden_optimizer(lesson), task.build_metrics()

    @tf.function
    def step(batch: dict[str, tf.Tensor]) -> Any:
        return task.train_step(_model_garden_inputs(batch), model, optimizer, metrics)

    batches: Iterator[Any] = iter(lesson.train_batches())
    return Learner(
        step=lambda number: step(next(batches)),
        evaluate=Evaluation(
            _UnderOurNames(model, lesson.architecture),
            PretrainingObjective(),
            lesson.eval_batches,
            strategy=make_strategy(),
        ),
    )


class _UnderOurNames:
    """The peer's model as `Evaluation` takes one."""

    num_classes = 2

    def __init__(self, model: Any, architecture: ModelConfig):
        self._model = model
        self.config = architecture

    def __call__(self, batch: dict[str, tf.Tensor], training: bool) -> dict[str, tf.Tensor]:
        theirs = self._model(_model_garden_inputs(batch), training=training)
        return {
            "masked_lm_logits": theirs["mlm_logits"],
            "next_sentence_logits": theirs["next_sentence"],
        }


def _task_config(architecture: ModelConfig) -> Any:
    from official.nlp.configs import bert, encoders
    from official.nlp.data import pretrain_dataloader
    from official.nlp.tasks import masked_lm

    encoder = encoders.BertEncoderConfig(
        vocab_size=architecture.vocab_size,
        hidden_size=architecture.hidden_size,
        num_layers=architecture.num_hidden_layers,
        num_attention_heads=architecture.num_attention_heads,
        intermediate_size=architecture.intermediate_size,
        dropout_rate=architecture.hidden_dropout_prob,
        attention_dropout_rate=architecture.attention_probs_dropout_prob,
        max_position_embeddings=architecture.max_position_embeddings,
        type_vocab_size=architecture.type_vocab_size,
        initializer_range=architecture.initializer_range,
    )
    head = bert.ClsHeadConfig(
        inner_dim=architecture.hidden_size, num_classes=2, name="next_sentence"
    )
    return masked_lm.MaskedLMConfig(
        model=bert.PretrainerConfig(
            encoder=encoders.EncoderConfig(type="bert", bert=encoder),
            cls_heads=[head],
            mlm_initializer_range=architecture.initializer_range,
        ),
        train_data=pretrain_dataloader.BertPretrainDataConfig(),
    )


def _model_garden_optimizer(lesson: Lesson) -> Any:
    """The AdamW of its BERT recipes, which clips by itself, with our learning rates."""
    import tf_keras
    from official.modeling.optimization import legacy_adamw

    class Schedule(tf_keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step: tf.Tensor) -> tf.Tensor:
            return learning_rate_at(step, config=lesson.optimizer, num_steps=lesson.num_steps)

        def get_config(self) -> dict[str, Any]:
            return {}

    config = lesson.optimizer
    return legacy_adamw.AdamWeightDecay(
        Schedule(),
        beta_1=config.beta_1,
        beta_2=config.beta_2,
        epsilon=config.epsilon,
        weight_decay_rate=config.weight_decay_rate,
        exclude_from_weight_decay=["LayerNorm", "layer_norm", "bias"],
        gradient_clip_norm=config.max_grad_norm,
    )


def _model_garden_inputs(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """A batch of ours under its names."""
    names = {"input_word_ids": "input_ids", "input_type_ids": "segment_ids"}
    return {
        name: batch[names.get(name, name)]
        for name in (
            *("input_word_ids", "input_mask", "input_type_ids", "masked_lm_positions"),
            *("masked_lm_ids", "masked_lm_weights", "next_sentence_labels"),
        )
    }
