"""Clients of a served model, TensorFlow Serving's or the local server's: REST, gRPC, asyncio.

Importing this imports no TensorFlow; only making a `GrpcClient` does.
"""

from serving.client.answers import Classification, Entity, LabelSet, MaskFilling
from serving.client.async_client import AsyncClient
from serving.client.grpc_client import GrpcClient
from serving.client.model_client import ModelClient
from serving.client.rest_client import RestClient

__all__ = [
    "AsyncClient",
    "Classification",
    "Entity",
    "GrpcClient",
    "LabelSet",
    "MaskFilling",
    "ModelClient",
    "RestClient",
]
