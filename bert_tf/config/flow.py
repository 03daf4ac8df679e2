"""The section `flow`: what a flow needs beside the sections of its commands."""

import re
from typing import Annotated, Literal, Self

import pydantic

from bert_tf.config.registry_names import check_name
from bert_tf.config.section import Rate, Section, Share

_RegisteredName = Annotated[
    str, pydantic.Field(pattern=r"^[\w.-]+$"), pydantic.AfterValidator(check_name)
]


class FlowConfig(Section):
    """`bert-tf pipeline`: from files that change to a served model, again and again.

    Passwords and keys are not here: they come from the environment (`MLFLOW_TRACKING_USERNAME` and
    `_PASSWORD`, `AWS_SECRET_ACCESS_KEY` and so on).
    """

    model_name: _RegisteredName = "classifier"
    """Registered model of the classifier, and its folder below `serving_dir`."""
    encoder_name: _RegisteredName | None = None
    """Registered model of the encoder. Default: `model_name` and `-encoder`."""
    encoder_alias: str = "champion"
    """The version of the encoder that a classifier is made on."""
    checkpoint: str | None = None
    """For `domain_adaptation`: a published checkpoint, of any library that `bert-tf convert`
    reads."""
    min_new_documents: pydantic.PositiveInt = 100
    """`refresh` leaves fewer for later: from so few an encoder would learn them by heart."""
    continued_epochs: pydantic.PositiveFloat = 3.0
    """Passes over the new text of a continued pretraining, in the place of
    `pretraining.num_train_steps`."""
    replayed_share: Rate = 0.5
    """Of the text of a continued pretraining, how many documents have been read before: it keeps
    what was learnt from them. Others are drawn each time."""
    labelled_paths: tuple[str, ...] = ()
    """Files, folders and globs of labelled texts, tables of any kind, and two text files side by
    side as one name, `train.{en,de}`: all of them are read at every run, and divided by
    `labelled_held_out_share`. Not with `finetuning.train_path` and `eval_path`."""
    labelled_held_out_share: Share = 0.2
    """Share of labelled texts that no version is ever trained on, chosen by a hash of the text and
    the seed: what evaluation and gate read."""
    source_field: str | None = None
    """Column that says where a labelled text comes from: slices of the gate."""
    damaged_files: Literal["set_aside", "error"] = "set_aside"
    """A file that cannot be read: leave it out, and say so in log and report; or stop."""
    serving_dir: str | None = None
    """BASE of BASE/NAME/NUMBER, where TF Serving looks; or an address such as s3://…."""
    server_url: str | None = None
    """REST address of the server that serves it, for the smoke test. Default: a server that is
    started for the test on this machine."""
    server_timeout_seconds: pydantic.PositiveFloat = 300.0
    """Until the server has the new version."""
    num_smoke_texts: pydantic.PositiveInt = 16
    keep_served_versions: pydantic.PositiveInt | None = None
    """Older ones are removed from `serving_dir`. Default: none is."""
    keep_data: pydantic.PositiveInt = 90
    """What trainings read (labelled files, records) stays, the newest so many: a version can be
    trained again from it (`bert-tf registry reproduce`)."""
    engine: Literal["local", "ray"] = "local"
    """Of `prepare` and of training."""
    ray_address: str | None = None
    num_workers: pydantic.PositiveInt | None = None
    """Of training on Ray."""
    max_attempts: pydantic.PositiveInt = 3
    """Of a step that failed for what may be gone at the next attempt."""
    backoff_seconds: pydantic.NonNegativeFloat = 10.0
    """Before the second attempt; doubled before each further one."""
    step_timeout_minutes: pydantic.PositiveFloat = 24 * 60.0
    timeout_minutes: dict[str, pydantic.PositiveFloat] = pydantic.Field(default_factory=dict)
    """Of some steps, by name."""
    min_free_disk_gb: pydantic.NonNegativeFloat = 1.0
    """Must be left beside what a step is expected to write."""
    cron: str = "0 3 * * *"
    """When the schedule starts it."""
    time_zone: str = "UTC"

    @pydantic.field_validator("server_url", "serving_dir", "ray_address")
    @classmethod
    def _has_no_password(cls, address: str | None) -> str | None:
        if address is not None and re.search(r"://[^/@]*@", address):
            raise ValueError(
                "an address must not hold a user or password: configurations are written down. "
                "Received: one with @. Give them in the environment."
            )
        return address

    @pydantic.model_validator(mode="after")
    def _store_needs_server(self) -> Self:
        if "://" in (self.serving_dir or "") and self.server_url is None:
            raise ValueError(
                "serving_dir on a store needs server_url: a server that is started for the smoke "
                "test sees this machine's folders. Received: no server_url. Set it."
            )
        return self

    @pydantic.model_validator(mode="after")
    def _encoder_has_a_name(self) -> Self:
        check_name(self.encoder)
        return self

    @property
    def encoder(self) -> str:
        """The registered encoder's name."""
        return self.encoder_name or f"{self.model_name}-encoder"
