"""A learned router as bytes, for a file: plain numbers and texts, nothing that is executed when it is read."""

from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from penstock.core.routing.features import Vocabulary
from penstock.core.routing.learning import Weights
from penstock.core.routing.router import HeldOut, Model
from penstock.errors import Finding, Invalid

FORM = "penstock router 1"
_HINT = "make it with `penstock route fit EXAMPLES --out FILE`"


class StoredModel(Struct, frozen=True):
    """A model with the embedder whose vectors it was learned from, and a digest of its examples."""

    model: Model
    embedder: str
    digest: str


class _Form(Struct, frozen=True):
    form: str
    embedder: str
    digest: str
    routes: list[str]
    dims: int
    keys: bytes
    worth: bytes
    words: bytes
    meaning: bytes
    bias: bytes
    least: float
    spread: float
    held_out: HeldOut


def encode_model(stored: StoredModel) -> bytes:
    """Return the stored form of a model."""
    model = stored.model
    weights, known = model.weights, model.vocabulary
    return msgspec.msgpack.encode(
        _Form(
            FORM,
            stored.embedder,
            stored.digest,
            list(model.routes),
            len(weights.meaning),
            known.keys.tobytes(),
            known.worth.tobytes(),
            weights.words.astype(np.float16).tobytes(),
            weights.meaning.tobytes(),
            weights.bias.tobytes(),
            model.least,
            model.spread,
            model.held_out,
        )
    )


def decode_model(body: bytes, name: str) -> StoredModel:
    """Return the model in `name`, whose bytes are given; `Invalid` when it is none."""
    try:
        form = msgspec.msgpack.decode(body, type=_Form)
        routes = len(form.routes)
        keys = _read(form.keys, np.uint64)
        words = _read(form.words, np.float16).astype(np.float32).reshape(len(keys) + 1, routes)
        weights = Weights(
            words, _read(form.meaning, np.float32).reshape(form.dims, routes), _read(form.bias, np.float32)
        )
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise Invalid(name, (Finding("(whole)", f"is no router ({error})", _HINT),)) from error
    if form.form != FORM or len(weights.bias) != routes or not form.spread > 0:
        raise Invalid(name, (Finding("(whole)", f"is damaged, or of another version ({form.form[:40]!r})", _HINT),))
    known = Vocabulary(keys, _read(form.worth, np.float32))
    model = Model(tuple(form.routes), known, weights, form.least, form.spread, form.held_out)
    return StoredModel(model, form.embedder, form.digest)


def _read(body: bytes, kind: Any) -> NDArray[Any]:
    return np.frombuffer(body, np.dtype(kind))
