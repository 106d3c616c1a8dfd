"""all-MiniLM-L6-v2 as an ONNX graph, written from its weights: so that nobody needs torch to run it.

The graph takes `input_ids` and `attention_mask` (int64, batch x tokens, at most 512 tokens) and gives `embedding`
(float32, batch x 384, length 1): BERT (Devlin et al. 2018, arXiv:1810.04805) with 6 layers, then the mean over the
tokens of the mask, as the model's card says. Names of weights are those of the published model.safetensors, with or
without the prefix `bert.`.
"""

import math
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LAYERS = 6
HEADS = 12
DIMS = 384
# Part of the name of cached files: raise it when the graph changes.
GRAPH_VERSION = 1
_OPSET = 17
_IR_VERSION = 9
# Added to the scores of padding before the softmax; -1e4 vanishes in float32 and still fits into float16.
_MASKED = -1e4
_EPSILON = 1e-12


def write_graph(weights: "Mapping[str, NDArray[np.float32]]", path: Path) -> None:
    """Write the graph with its weights to `path` (about 90 MB)."""
    onnx: Any = import_module("onnx")  # its types are incomplete
    graph = _Graph({name.removeprefix("bert."): value for name, value in weights.items()})
    _embedding_table(graph)
    hidden = graph.normalised("tokens_and_places", "embeddings.LayerNorm", "hidden")
    for layer in range(LAYERS):
        hidden = _layer(graph, f"encoder.layer.{layer}.", hidden)
    _mean_of_tokens(graph, hidden)
    model = graph.model()
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


class _Graph:
    """Nodes and constants in the order in which they are added. Every result has a name of its own."""

    def __init__(self, weights: "Mapping[str, NDArray[np.float32]]") -> None:
        self.weights = weights
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self._nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, name: str, value: "NDArray[Any]") -> str:
        import numpy as np
        from onnx import numpy_helper

        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def number(self, name: str, value: float) -> str:
        import numpy as np

        return self.constant(name, np.array(value, np.float32))

    def axes(self, name: str, *values: int) -> str:
        import numpy as np

        return self.constant(name, np.array(values, np.int64))

    def linear(self, inputs: str, weight: str, output: str) -> str:
        product = self.node(
            "MatMul", [inputs, self.constant(f"{output}.w", self.weights[f"{weight}.weight"].T)], f"{output}.product"
        )
        return self.node("Add", [product, self.constant(f"{output}.b", self.weights[f"{weight}.bias"])], output)

    def normalised(self, inputs: str, weight: str, output: str) -> str:
        scale = self.constant(f"{output}.scale", self.weights[f"{weight}.weight"])
        shift = self.constant(f"{output}.shift", self.weights[f"{weight}.bias"])
        return self.node("LayerNormalization", [inputs, scale, shift], output, axis=-1, epsilon=_EPSILON)

    def model(self) -> Any:
        from onnx import TensorProto, helper

        inputs = [
            helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "tokens"])
            for n in ("input_ids", "attention_mask")
        ]
        outputs = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", DIMS])]
        graph = helper.make_graph(self._nodes, "all-MiniLM-L6-v2", inputs, outputs, self._constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)


def _embedding_table(graph: _Graph) -> None:
    from onnx import TensorProto

    words, kinds = (
        graph.weights["embeddings.word_embeddings.weight"],
        graph.weights["embeddings.token_type_embeddings.weight"],
    )
    # A single text has token type 0 throughout, so that its vector can be added to the places once and for all.
    places = graph.weights["embeddings.position_embeddings.weight"] + kinds[0]
    tokens = graph.node("Gather", [graph.constant("words", words), "input_ids"], "tokens")
    shape = graph.node("Shape", ["input_ids"], "shape")
    count = graph.node("Slice", [shape, graph.axes("one", 1), graph.axes("two", 2)], "count")
    used = graph.node("Slice", [graph.constant("places", places), graph.axes("zero", 0), count], "used_places")
    graph.node("Add", [tokens, used], "tokens_and_places")
    mask = graph.node("Cast", ["attention_mask"], "mask", to=TensorProto.FLOAT)
    wide = graph.node("Unsqueeze", [mask, graph.axes("axes_1_2", 1, 2)], "mask_wide")
    padding = graph.node("Sub", [graph.number("1.0", 1.0), wide], "padding")
    graph.node("Mul", [padding, graph.number("masked", _MASKED)], "bias")
    graph.axes("by_head", 0, 0, HEADS, DIMS // HEADS)
    graph.axes("joined", 0, 0, DIMS)
    graph.number("scale", 1 / math.sqrt(DIMS // HEADS))
    graph.number("0.5", 0.5)
    graph.number("1/sqrt2", 1 / math.sqrt(2))


def _layer(graph: _Graph, prefix: str, hidden: str) -> str:
    heard = _attention(graph, f"{prefix}attention.", hidden)
    inner = graph.linear(heard, f"{prefix}intermediate.dense", f"{prefix}inner")
    # The exact GELU, x/2 (1 + erf(x / sqrt 2)), with which the model was trained (not its tanh approximation).
    error = graph.node("Erf", [graph.node("Mul", [inner, "1/sqrt2"], f"{prefix}gelu.1")], f"{prefix}gelu.2")
    gate = graph.node("Add", [error, "1.0"], f"{prefix}gelu.3")
    active = graph.node("Mul", [graph.node("Mul", [inner, gate], f"{prefix}gelu.4"), "0.5"], f"{prefix}gelu")
    outer = graph.linear(active, f"{prefix}output.dense", f"{prefix}outer")
    return graph.normalised(
        graph.node("Add", [outer, heard], f"{prefix}sum"), f"{prefix}output.LayerNorm", f"{prefix}hidden"
    )


def _attention(graph: _Graph, prefix: str, hidden: str) -> str:
    by_head: dict[str, str] = {}
    for part in ("query", "key", "value"):
        flat = graph.linear(hidden, f"{prefix}self.{part}", f"{prefix}{part}")
        split = graph.node("Reshape", [flat, "by_head"], f"{prefix}{part}.split")
        order = [0, 2, 3, 1] if part == "key" else [0, 2, 1, 3]
        by_head[part] = graph.node("Transpose", [split], f"{prefix}{part}.by_head", perm=order)
    scores = graph.node("MatMul", [by_head["query"], by_head["key"]], f"{prefix}scores")
    scaled = graph.node("Mul", [scores, "scale"], f"{prefix}scaled")
    weights = graph.node(
        "Softmax", [graph.node("Add", [scaled, "bias"], f"{prefix}unmasked")], f"{prefix}weights", axis=-1
    )
    context = graph.node("MatMul", [weights, by_head["value"]], f"{prefix}context.by_head")
    turned = graph.node("Transpose", [context], f"{prefix}context.turned", perm=[0, 2, 1, 3])
    dense = graph.linear(
        graph.node("Reshape", [turned, "joined"], f"{prefix}context"), f"{prefix}output.dense", f"{prefix}dense"
    )
    return graph.normalised(
        graph.node("Add", [dense, hidden], f"{prefix}sum"), f"{prefix}output.LayerNorm", f"{prefix}heard"
    )


def _mean_of_tokens(graph: _Graph, hidden: str) -> None:
    weight = graph.node("Unsqueeze", ["mask", graph.axes("axis_2", 2)], "mask_3")
    graph.axes("axis_1", 1)
    total = graph.node("ReduceSum", [graph.node("Mul", [hidden, weight], "kept"), "axis_1"], "total", keepdims=0)
    count = graph.node("ReduceSum", [weight, "axis_1"], "token_count", keepdims=0)
    graph.node("LpNormalization", [graph.node("Div", [total, count], "mean")], "embedding", axis=-1, p=2)
