"""Messages in text form, as the tables of gRPC requests write them."""

from tests.serving.stock.case import GrpcCase

IMPL = "servables/tensorflow/predict_impl_test.cc PredictImplTest"
RUN = "servables/tensorflow/predict_util_test.cc PredictImplTest"
UTIL = "servables/tensorflow/predict_util.cc"
TWO = "dtype: DT_FLOAT float_val: 2"


def spec(name: str, signature: str = "", version: str = "", more: str = "") -> str:
    """A model spec in text form: spec("published", "serving_default", "1")."""
    parts = [f'name: "{name}"', f'signature_name: "{signature}"' if signature else ""]
    parts += [f"version {{ value: {version} }}" if version else "", more]
    return "model_spec { " + " ".join(parts) + " }"


def tensors(field: str, **values: str) -> str:
    return " ".join(
        f'{field} {{ key: "{name}" value {{ {value} }} }}' for name, value in values.items()
    )


def inputs(**values: str) -> str:
    return tensors("inputs", **values)


def shaped(dtype: str, sizes: str, values: str = "") -> str:
    """A tensor: shaped("INT32", "2 3", "int_val: 1")."""
    dims = " ".join(f"dim {{ size: {size} }}" for size in sizes.split())
    return f"dtype: DT_{dtype} tensor_shape {{ {dims} }} {values}"


def answered(
    name: str, outputs: str, signature: str = "serving_default", version: str = "1"
) -> str:
    return f"{outputs} {spec(name, signature, version)}"


def feature(name: str, kind: str, *values: str) -> str:
    listed = " ".join(f"value: {value}" for value in values)
    return f'feature {{ key: "{name}" value {{ {kind}_list {{ {listed} }} }} }}'


def floats(**values: float) -> str:
    """An example with float features: floats(x=2)."""
    found = (feature(name, "float", str(value)) for name, value in values.items())
    return "features { " + " ".join(found) + " }"


def examples(*content: str) -> str:
    listed = " ".join(f"examples {{ {example} }}" for example in content)
    return f"input {{ example_list {{ {listed} }} }}"


def with_context(context: str, *content: str) -> str:
    listed = " ".join(f"examples {{ {example} }}" for example in content)
    return f"input {{ example_list_with_context {{ {listed} context {{ {context} }} }} }}"


def values(*numbers: float) -> str:
    return "result { " + " ".join(f"regressions {{ value: {n} }}" for n in numbers) + " }"


def predicted(id: str, request: str, response: str, source: str) -> GrpcCase:
    return GrpcCase(id, "Predict", request, source, response=response)


def predict_fails(id: str, request: str, code: str, error: str, source: str) -> GrpcCase:
    return GrpcCase(id, "Predict", request, source, code=code, error=error)
