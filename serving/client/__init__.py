"""Clients of a served model, TensorFlow Serving's or the local server's: REST, gRPC, asyncio.

Importing this imports no TensorFlow; only making a `GrpcClient` does.
"""

from serving.client.answers import (
    Answer,
    Candidate,
    Choice,
    Classification,
    Entity,
    GeneratedText,
    LabelSet,
    MaskFilling,
    QuestionAnswer,
)
from serving.client.async_client import AsyncClient
from serving.client.grpc_client import GrpcClient
from serving.client.model_client import ModelClient
from serving.client.rest_client import RestClient

__all__ = [
    "Answer",
    "AsyncClient",
    "Candidate",
    "Choice",
    "Classification",
    "Entity",
    "GeneratedText",
    "GrpcClient",
    "LabelSet",
    "MaskFilling",
    "ModelClient",
    "QuestionAnswer",
    "RestClient",
]
