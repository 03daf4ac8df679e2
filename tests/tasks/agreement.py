"""A task from outside of the package: what share of readers agrees with a text."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from bert_tf.config import Section
from bert_tf.data.tables.values import numbers_of
from bert_tf.metrics.outcomes import Outcomes
from bert_tf.metrics.regression import MAE, PEARSON
from bert_tf.models.objective import Sums
from bert_tf.tasks.base import Report, Signature
from bert_tf.tasks.texts import TextTask


class AgreementSettings(Section):
    """Beside `finetuning.task.name`."""

    percent: bool = False
    """Whether shares are given, and answered, out of a hundred."""


class Agreement(TextTask):
    """A share between 0 and 1, by cross-entropy with it."""

    Settings = AgreementSettings
    metrics = (MAE, PEARSON)
    slice_metric = MAE
    answer_names = ("share",)
    has_class_names = False

    @property
    def _whole(self):
        return 100.0 if self.settings.percent else 1.0

    def read_targets(self, table, section):
        values = numbers_of(table, section.label_field, key="finetuning.label_field")
        return [float(value) for value in values / self._whole]

    def target_counts(self, examples):
        counts = np.histogram(examples.targets, bins=10, range=(0, 1))[0]
        return {f"{tenth / 10:.1f}": int(count) for tenth, count in enumerate(counts)}

    def learn(self, train):
        return {"task_state": self.state()}

    def check(self, examples, description):
        pass

    def targets(self, examples, description):
        return {"shares": np.asarray(examples.targets, np.float32)}

    def num_outputs(self, description):
        return 1

    def objective(self, description):
        return AgreementObjective()

    def decode(self, outputs, description):
        return {"share": self._whole * tf.sigmoid(outputs[:, 0])}

    def outcomes(self, examples, answers):
        return Outcomes(
            targets=np.asarray(examples.targets),
            predictions=np.asarray(answers["share"], float) / self._whole,
        )

    def report(self, outcomes, directory: Path):
        (directory / "agreement.md").write_text(f"{len(outcomes)} texts\n", encoding="utf-8")
        return Report(files=("agreement.md",))

    def signatures(self, description):
        regress = Signature("examples", lambda answers: {"outputs": answers["share"]}, "regress")
        return {**super().signatures(description), "regress": regress}

    def disagreement(self, expected, received, *, tolerance):
        difference = abs(expected["share"] - received["share"])
        return None if difference <= tolerance * self._whole else f"{difference} apart"


class AgreementObjective:
    """Cross-entropy with the share."""

    def weights(self, batch):
        return {"agreement": tf.reduce_sum(batch["weights"])}

    def sums(self, outputs, batch):
        losses = tf.nn.sigmoid_cross_entropy_with_logits(batch["shares"], outputs[:, 0])
        return Sums(loss={"agreement": tf.reduce_sum(losses * batch["weights"])}, correct={})
