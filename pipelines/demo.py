"""`make demo`: raw text to a served classifier, on text that every installation has.

    documentation of installed packages -> corpus, labelled texts
    corpus -> vocabulary -> records -> pretrained encoder
    labelled texts -> classifier on that encoder, and the same classifier from scratch
    the better one -> MLflow registry -> serving directory -> answers over REST and gRPC
    everything -> report.md with pictures

Run again, it reuses each step whose inputs have not changed.
"""

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bert_tf.cli_training import progress_shown
from bert_tf.config import Config, load_config
from bert_tf.files import write_whole
from bert_tf.folder_lock import lock_folder
from bert_tf.process import set_up_process, show_errors, tracking_uri
from bert_tf.progress import ProgressDisplay
from pipelines.steps import Step, run_step

log = logging.getLogger("pipelines.demo")  # also where this file is run as a script

PIPELINES = Path(__file__).parent
CONFIG_PATH = PIPELINES / "configs" / "demo.yaml"
MODEL_NAME = "documentation"
PACKAGE = PIPELINES.parent / "bert_tf"


def main() -> None:
    """Command line of the demo."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--output-dir", type=Path, default=Path("runs/demo"))
    parser.add_argument("--config", type=Path, default=CONFIG_PATH)
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="A.B=VALUE")
    arguments = parser.parse_args()
    output_dir = arguments.output_dir.resolve()
    output_dir.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{output_dir / 'mlflow.db'}")
    set_up_process()
    config = load_config(arguments.config, overrides=arguments.overrides)
    with show_errors(), lock_folder(output_dir, command="make demo"):
        run_demo(config, output_dir)


def run_demo(config: Config, output_dir: Path) -> None:
    """All steps in order; the last writes `report.md`."""
    started_at = time.monotonic()
    with ProgressDisplay(is_terminal=sys.stderr.isatty()) as display:
        flow = _Flow(config, output_dir, show=display.update)
        text = flow.text()
        vocabulary = flow.vocabulary(text)
        records = flow.records(text, vocabulary)
        encoder = flow.encoder(records)
        classifiers = {
            name: flow.classifier(name, text, encoder) for name in ("pretrained", "from_scratch")
        }
        flow.send_tracking(encoder, *classifiers.values())
        exports = {name: flow.export(step) for name, step in classifiers.items()}
        better = max(
            classifiers, key=lambda name: _metrics(classifiers[name])["classification_accuracy"]
        )
        registered = flow.registered(classifiers[better], exports[better])
        published = flow.published()
        answers = flow.answers(registered, text, exports)
        report = flow.report(
            encoder=encoder,
            classifiers=classifiers,
            better=better,
            published=published,
            answers=answers,
        )
    num_reused = sum(step.is_reused for step in flow.steps)
    print(report.read_text(encoding="utf-8"))
    print(
        f"{time.monotonic() - started_at:.0f} s; {num_reused} of {len(flow.steps)} steps reused. "
        f"Report with pictures: {report}"
    )


class _Flow:
    """The steps of the demo, each in a folder of `output_dir`."""

    def __init__(self, config: Config, output_dir: Path, *, show: Callable[..., None]):
        self.config = config
        self.output_dir = output_dir
        self.show = show
        self.steps: list[Step] = []

    def text(self) -> Step:
        """Documentation of installed packages: a corpus and labelled texts."""
        from pipelines.documentation_corpus import write_documentation_corpus
        from pipelines.documentation_sources import DEFAULT_PACKAGES, package_version

        versions = {package.label: package_version(package) for package in DEFAULT_PACKAGES}
        code = sorted(PIPELINES.glob("documentation_*.py"))
        # Few labels: that is when a pretrained encoder is worth having.
        limit = 100
        return self._run(
            "text",
            lambda directory: write_documentation_corpus(directory, max_examples_per_label=limit),
            code=code,
            versions=versions,
            max_examples_per_label=limit,
        )

    def vocabulary(self, text: Step) -> Step:
        """A WordPiece vocabulary of the corpus."""
        from bert_tf.data.text.tokenizer import learn_tokenizer

        config = self._with(corpus={"paths": (str(text.directory / "corpus.txt"),)})
        return self._run(
            "vocabulary",
            lambda directory: learn_tokenizer(config, directory, on_progress=self.show),
            settings=_settings(config, "seed", "corpus", "vocabulary", "tokenizer"),
            text=text,
        )

    def records(self, text: Step, vocabulary: Step) -> Step:
        """Sentence pairs as TFRecord files; some documents are held out."""
        from bert_tf.data.preparation.prepare import prepare_records

        config = self._with(
            corpus={"paths": (str(text.directory / "corpus.txt"),)},
            tokenizer={"vocabulary": str(vocabulary.directory)},
        )
        return self._run(
            "records",
            lambda directory: prepare_records(config, directory, on_progress=self.show),
            settings=_settings(config, "seed", "corpus", "examples", "records"),
            parents=[text, vocabulary],
        )

    def encoder(self, records: Step) -> Step:
        """A BERT pretrained on the records."""
        from bert_tf.training.pretraining import pretrain

        config = self._with(pretraining={"records": str(records.directory)})
        return self._run(
            "encoder",
            lambda directory: self._train(pretrain, config, directory, stage="pretrain"),
            settings=_settings(config, "seed", "model", "masking", "pretraining"),
            records=records,
        )

    def classifier(self, name: str, text: Step, encoder: Step) -> Step:
        """A classifier of the package of origin, on the encoder or from scratch."""
        from bert_tf.training.finetuning import finetune

        config = self._with(
            finetuning={
                "pretrained": str(encoder.directory),
                "from_scratch": name == "from_scratch",
                "train_path": str(text.directory / "train.tsv"),
                "eval_path": str(text.directory / "eval.tsv"),
            }
        )
        return self._run(
            f"classifier_{name}",
            lambda directory: self._train(finetune, config, directory, stage=f"finetune {name}"),
            settings=_settings(config, "seed", "finetuning"),
            parents=[text, encoder],
        )

    def send_tracking(self, *steps: Step) -> None:
        """What a tracking server that was away missed of steps that are now reused."""
        from bert_tf.training.tracking import send_pending

        for step in steps:
            if step.is_reused:
                try:
                    send_pending(step.directory, tracking_uri=tracking_uri())
                except ConnectionError as error:
                    log.warning("%s: still not sent to MLflow: %s", step.name, error)

    def export(self, classifier: Step) -> Step:
        """A SavedModel, in a folder of versions."""
        from bert_tf.export.saved_model import export_model

        config = self._with(export={"model": str(classifier.directory)})
        return self._run(
            classifier.name.replace("classifier", "saved_model"),
            lambda directory: export_model(config, directory),
            settings=_settings(config, "export"),
            classifier=classifier,
        )

    def registered(self, classifier: Step, saved_model: Step) -> Step:
        """The SavedModel as a version of MLflow's registry, champion from now on."""
        from bert_tf import registry
        from bert_tf.training.tracking import run_id_of

        uri = tracking_uri()

        def work(directory: Path) -> None:
            path = directory / "registered.json"
            if not path.is_file():  # an interrupted run may have registered already
                version = registry.register(
                    saved_model.directory / "1",
                    name=MODEL_NAME,
                    tracking_uri=uri,
                    run_id=run_id_of(classifier.directory),
                    metrics=_metrics(classifier),
                    files=[
                        classifier.directory / name
                        for name in (
                            "confusion_matrix.png",
                            "data_profile.json",
                            "provenance.json",
                        )
                    ],
                )
                write_whole(path, json.dumps({"version": version.version}))
            registry.promote(
                name=MODEL_NAME, version=json.loads(path.read_text())["version"], tracking_uri=uri
            )

        return self._run(
            "registered", work, max_attempts=3, uri=uri, parents=[classifier, saved_model]
        )

    def published(self) -> Path:
        """The champion below `serving/` for TF Serving; nothing to do where it already is."""
        from bert_tf import registry

        return registry.publish(
            name=MODEL_NAME,
            alias_or_version="champion",
            base_dir=self.output_dir / "serving",
            tracking_uri=tracking_uri(),
        )

    def answers(self, registered: Step, text: Step, exports: dict[str, Step]) -> Step:
        """What the server says over REST and gRPC about texts that no training has seen."""
        from pipelines.questions import ask

        return self._run(
            "answers",
            lambda directory: ask(
                self.output_dir / "serving" / MODEL_NAME,
                eval_path=text.directory / "eval.tsv",
                from_scratch_dir=exports["from_scratch"].directory,
                output_path=directory / "answers.json",
            ),
            code=[PACKAGE, PIPELINES / "questions.py", PIPELINES.parent / "serving"],
            parents=[registered, text, exports["from_scratch"]],
        )

    def report(self, **results: Any) -> Path:
        """`report.md` and its pictures."""
        from pipelines.report import write_report

        return write_report(
            self.output_dir, steps=self.steps, tracking_uri=tracking_uri(), **results
        )

    def _train(
        self, train: Callable[..., dict[str, float]], config: Config, directory: Path, *, stage: str
    ) -> None:
        train(
            config,
            directory,
            tracking_uri=tracking_uri(),
            on_progress=progress_shown(self.show, stage),
        )

    def _with(self, **sections: dict[str, Any]) -> Config:
        """The configuration with some values of its sections replaced."""
        return self.config.model_copy(
            update={
                name: getattr(self.config, name).model_copy(update=values)
                for name, values in sections.items()
            }
        )

    def _run(
        self,
        name: str,
        work: Callable[[Path], Any],
        *,
        code: Sequence[Path] = (PACKAGE,),
        max_attempts: int = 1,
        **inputs: Any,
    ) -> Step:
        step = run_step(
            name,
            work,
            inputs=inputs,
            code=code,
            parent_dir=self.output_dir,
            max_attempts=max_attempts,
        )
        self.steps.append(step)
        return step


def _settings(config: Config, *names: str) -> dict[str, Any]:
    return config.model_dump(mode="json", include=set(names))


def _metrics(step: Step) -> dict[str, float]:
    metrics: dict[str, float] = json.loads((step.directory / "metrics.json").read_text())
    return metrics


if __name__ == "__main__":
    main()
