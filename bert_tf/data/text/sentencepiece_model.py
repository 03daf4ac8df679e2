"""The content of a SentencePiece model file: what the graph can follow, and how it is spelled."""

from typing import Any

import sentencepiece
from google.protobuf.message import DecodeError
from sentencepiece import sentencepiece_model_pb2

from bert_tf.data.text import vocabulary

SPACE = "▁"
"""LOWER ONE EIGHTH BLOCK, which stands for a space in a model's pieces."""
_Model = sentencepiece_model_pb2.ModelProto
Piece, _Kind = _Model.SentencePiece, sentencepiece_model_pb2.TrainerSpec
TEXT_TYPES = (Piece.NORMAL, Piece.USER_DEFINED)
"""Of pieces that are spelled as the text that they stand for."""


def text_of(piece: str, kind: int) -> str:
    """What a piece of a kind stands for; of control tokens and parts of characters nothing."""
    if kind in TEXT_TYPES:
        return piece.replace(SPACE, " ")
    octet = int(piece[3:5], 16) if kind == Piece.BYTE else 0xFF
    return chr(octet) if octet < 0x80 else ""


def parse_model(content: bytes) -> Any:
    """A model that this package can follow.

    Raises:
        ValueError: it is damaged, of another kind, or has a normaliser of its own.
    """
    model = _Model()
    try:
        model.ParseFromString(content)
    except DecodeError as error:
        raise ValueError(_damaged(content)) from error
    # The specifications are behind the pieces: a file that was cut may do without.
    is_whole = model.HasField("trainer_spec") and model.HasField("normalizer_spec")
    # A piece that is no UTF-8 is read as bytes.
    if not is_whole or any(isinstance(piece.piece, bytes) for piece in model.pieces):
        raise ValueError(_damaged(content))
    trainer, normalizer = model.trainer_spec, model.normalizer_spec
    checks = (
        ("model_type", trainer.model_type, (_Kind.UNIGRAM, _Kind.BPE)),
        ("treat_whitespace_as_suffix", trainer.treat_whitespace_as_suffix, (False,)),
        ("escape_whitespaces", normalizer.escape_whitespaces, (True,)),
        ("add_dummy_prefix", normalizer.add_dummy_prefix, (True,)),
        ("rules of its own normaliser, bytes", len(normalizer.precompiled_charsmap), (0,)),
    )
    faults = [f"{name}={value}" for name, value, known in checks if value not in known]
    control = {piece.piece for piece in model.pieces if piece.type not in TEXT_TYPES}
    faults += [f"no {token}" for token in vocabulary.CONTROL_TOKENS if token not in control]
    if faults:
        raise ValueError(
            "a SentencePiece model must be unigram or BPE, with "
            f"{' '.join(vocabulary.CONTROL_TOKENS)} and without a normaliser of its own. "
            f"Received: {'; '.join(faults)}. Learn one with `bert-tf vocab --set "
            "vocabulary.kind=unigram`: models of other projects are not read."
        )
    try:
        sentencepiece.SentencePieceProcessor(model_proto=content)  # which checks the pieces
    except (RuntimeError, TypeError) as error:
        raise ValueError(_damaged(content)) from error
    return model


def _damaged(content: bytes) -> str:
    return (
        f"a SentencePiece model must be whole. Received: {len(content):,} bytes that are none. "
        "Take the file anew from where it came from."
    )


def spelled_with_spaces(model: Any) -> bytes:
    """The model without its own normaliser, spelled with spaces."""
    served = _Model()
    served.CopyFrom(model)
    served.normalizer_spec.add_dummy_prefix = False
    served.normalizer_spec.remove_extra_whitespaces = False
    served.normalizer_spec.escape_whitespaces = False
    served.trainer_spec.unk_surface = vocabulary.UNK
    for piece in served.pieces:
        if piece.type in TEXT_TYPES:
            piece.piece = piece.piece.replace(SPACE, " ")
    return served.SerializeToString(deterministic=True)
