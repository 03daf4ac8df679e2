"""Files of warm-up requests: with which of them a version loads, and what it says of the others."""

from __future__ import annotations

import dataclasses

CODE = "servables/tensorflow/saved_model_warmup_util.cc"
UTIL = "servables/tensorflow/saved_model_warmup_util_test.cc RunSavedModelWarmupUntrackedTest"
TEST = "servables/tensorflow/saved_model_warmup_test.cc SavedModelBundleWarmupTest"
FLOAT = 'inputs { key: "x" value { dtype: DT_FLOAT float_val: 1 } }'
PREDICT = f"predict_log {{ request {{ {FLOAT} }} }}"
EXAMPLE = "input { example_list { examples { } } }"


@dataclasses.dataclass(frozen=True)
class WarmupCase:
    """The file of a version, and the state of the version then."""

    id: str
    source: str
    records: tuple[str | bytes, ...] = ()
    """`PredictionLog`s in text form; bytes are records as they are."""
    content: bytes | None = None
    """The whole file, if it is no TFRecord."""
    has_file: bool = True
    model: str = "float"
    code: str = "OK"
    error: str = ""


def fails(id: str, code: str, error: str, source: str, *records: str | bytes, **more) -> WarmupCase:
    return WarmupCase(id, source, records, code=code, error=error, **more)


CASES = [
    WarmupCase("no file", f"{UTIL}.NoWarmupDataFile", has_file=False),
    WarmupCase("an empty file", f"{UTIL}.WarmupDataFileEmpty", content=b""),
    WarmupCase("ten requests", f"{UTIL}.RunSuccess", (PREDICT,) * 10),
    WarmupCase("1,000 requests", f"{UTIL}.RunSuccess", (PREDICT,) * 1000),
    WarmupCase("an empty record", f"{CODE}: a log without a type is passed over", (b"",)),
    WarmupCase(
        "another model's name",
        "servables/tensorflow/saved_model_warmup.cc: the model of the request is not looked at",
        (
            'predict_log { request { model_spec { name: "none" version { value: 9 } } '
            + FLOAT
            + " } }",
        ),
    ),
    WarmupCase(
        "every kind of request",
        f"{TEST}.MixedWarmupData",
        (
            'classify_log { request { model_spec { signature_name: "classify_x_to_y" }'
            f" {EXAMPLE} }} }}",
            "regress_log"
            f' {{ request {{ model_spec {{ signature_name: "regress_x_to_y" }} {EXAMPLE} }} }}',
            f"predict_log {{ request {{ {FLOAT} }} }}",
            'multi_inference_log { request { tasks { model_spec { name: "m" signature_name:'
            ' "regress_x_to_y" } method_name: "tensorflow/serving/regress" } '
            f"{EXAMPLE} }} }}",
        ),
        model="published",
    ),
    fails(
        "1,001 requests",
        "INVALID_ARGUMENT",
        "Number of warmup records exceeds the maximum (1000)",
        f"{UTIL}.TooManyWarmupRecords",
        *(PREDICT,) * 1001,
    ),
    fails(
        "no TFRecord",
        "DATA_LOSS",
        "Please verify your warmup data is in TFRecord format",
        f"{UTIL}.UnsupportedFileFormat",
        content=b"any, not TFRecord",
    ),
    fails(
        "a record that is no log",
        "INVALID_ARGUMENT",
        "Failed to parse warmup record: ",
        f"{UTIL}.UnparsableRecord",
        b"malformed_record",
    ),
    fails(
        "a request that fails",
        "INVALID_ARGUMENT",
        "input size does not match signature",
        f"{UTIL}.RunFailure",
        PREDICT,
        "predict_log { request { } }",
    ),
    fails(
        "an unknown signature",
        "FAILED_PRECONDITION",
        'Serving signature key "none" not found.',
        f"{UTIL}.RunFailure",
        'predict_log { request { model_spec { signature_name: "none" } } }',
    ),
    fails(
        "a log of a session",
        "UNIMPLEMENTED",
        "Unsupported log_type for warmup",
        f"{TEST}.UnsupportedLogType_SessionRun",
        "session_run_log { }",
    ),
    fails(
        "a log of a stream",
        "UNIMPLEMENTED",
        "Unsupported log_type for warmup",
        f"{TEST}.UnsupportedLogType_PredictStreamed",
        "predict_streamed_log { }",
    ),
]
