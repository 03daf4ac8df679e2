"""Takes passwords and keys, which come from the environment, out of what is written down."""

import os
import re

from bert_tf.tracking.sender import without_password

_SECRET_NAME = re.compile(r"PASSWORD|SECRET|TOKEN|CREDENTIAL|ACCESS_KEY|API_KEY|PRIVATE", re.I)
_SHORTEST = 4  # a shorter value is in many a word


def redact(text: str) -> str:
    """`text` without the passwords and keys that the environment holds."""
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name) and len(value) >= _SHORTEST:
            text = text.replace(value, "***")
    return without_password(text)
