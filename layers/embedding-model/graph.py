"""Builds the ONNX graph of all-MiniLM-L6-v2, from token ids to a normalised sentence vector.

The network is BERT (Devlin et al. 2018, https://arxiv.org/abs/1810.04805) with 6 layers, 384 channels and
12 heads, then the mean over the tokens and L2 normalisation, as in the model's own `modules.json`. Token types
are all 0, so their embedding is folded into the position table. The nodes are already in their fused forms,
so that the runtime has nothing left to optimise when it loads the file.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from quantization import Array, quantize_table, quantize_weight, smoothing_scales

LAYERS, WIDTH, HEADS, WINDOW = 6, 384, 12, 256
LAYER_NORM_EPSILON = 1e-12
OPSET = 21
MICROSOFT = "com.microsoft"  # the domain of onnxruntime's own operators
MICROSOFT_OPERATORS = frozenset({"BiasGelu", "MatMulIntegerToFloat", "MultiHeadAttention"})
# Just below the minimum of GELU, -0.16997: adding it makes GELU's result positive, and so all 8 bits useful.
GELU_SHIFT = np.float32(0.17004)

Tensors = dict[str, Array]
Maxima = dict[str, Array]


class _Graph:
    """The nodes and constants collected so far."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, value: npt.NDArray[np.generic] | np.generic) -> str:
        """Add a constant, once for each name, and return its name."""
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name)
        return name

    def node(self, operator: str, inputs: Sequence[str], name: str = "", **attributes: int | float) -> str:
        """Add a node with one output and return that output's name."""
        return self.outputs(operator, inputs, [name or f"{operator}_{len(self.nodes)}"], **attributes)[0]

    def outputs(
        self, operator: str, inputs: Sequence[str], outputs: list[str], **attributes: int | float
    ) -> list[str]:
        """Add a node with the named outputs and return their names."""
        domain = MICROSOFT if operator in MICROSOFT_OPERATORS else ""
        node = helper.make_node(operator, list(inputs), outputs, name=f"{outputs[0]}.node", domain=domain)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        self.nodes.append(node)
        return outputs


# Adds `input @ weight.T` for (graph, input, layer's name, weight); returns its name and a bias that it still lacks.
Linear = Callable[[_Graph, str, str, Array], tuple[str, Array]]


def float_graph(tensors: Tensors) -> onnx.ModelProto:
    """Return the fp32 network, which also outputs the input of every linear layer that is smoothed.

    Those outputs are named after the layer; their channels' maxima are what `quantized_graph` wants.
    """
    return _build(tensors, _float_linear)


def quantized_graph(tensors: Tensors, activation_maxima: Maxima) -> onnx.ModelProto:
    """Return the int8 network.

    Args:
        tensors: The original weights.
        activation_maxima: For each extra output of `float_graph`, its largest absolute value in each channel.
    """
    return _build(tensors, _quantized_linear(activation_maxima))


def _build(tensors: Tensors, linear: Linear) -> onnx.ModelProto:
    graph = _Graph()
    hidden = _embeddings(graph, tensors)
    mask = graph.node("Cast", ["attention_mask"], to=TensorProto.INT32)
    for layer in range(LAYERS):
        hidden = _layer(graph, tensors, linear, f"encoder.layer.{layer}.", hidden, mask)
    _pooling(graph, hidden)
    shape = ["batch", "sequence"]
    outputs = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", WIDTH])]
    if linear is _float_linear:
        probes = [name for node in graph.nodes for name in node.output if name.endswith(".probe")]
        outputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, [*shape, WIDTH]) for name in probes]
    return helper.make_model(
        helper.make_graph(
            graph.nodes,
            "all-MiniLM-L6-v2",
            [helper.make_tensor_value_info(n, TensorProto.INT64, shape) for n in ("input_ids", "attention_mask")],
            outputs,
            list(graph.constants.values()),
        ),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)],
        ir_version=10,
    )


def _embeddings(graph: _Graph, tensors: Tensors) -> str:
    # 8 bits for the table in both networks: half of the file, and 0.99997 of the cosine.
    table, scales = quantize_table(tensors["embeddings.word_embeddings.weight"])
    words = graph.node("Gather", [graph.constant("words", table), "input_ids"])
    words = graph.node("Cast", [words], to=TensorProto.FLOAT)
    words = graph.node("Mul", [words, graph.node("Gather", [graph.constant("word_scales", scales), "input_ids"])])
    token_type = tensors["embeddings.token_type_embeddings.weight"][0]
    positions = tensors["embeddings.position_embeddings.weight"][:WINDOW] + token_type
    length = graph.node("Shape", ["input_ids"], start=1, end=2)
    zero = graph.constant("zero", np.array([0]))
    positions = graph.node("Slice", [graph.constant("positions", positions), zero, length, zero])
    return _layer_norm(graph, tensors, "embeddings.LayerNorm", graph.node("Add", [words, positions]))


def _layer(graph: _Graph, tensors: Tensors, linear: Linear, prefix: str, hidden: str, mask: str) -> str:
    parts = [f"{prefix}attention.self.{part}" for part in ("query", "key", "value")]
    weight = np.concatenate([tensors[f"{part}.weight"] for part in parts])
    bias = np.concatenate([tensors[f"{part}.bias"] for part in parts])
    projected, correction = linear(graph, hidden, f"{prefix}attention.self", weight)
    heads = graph.outputs("Split", [projected], parts, axis=-1, num_outputs=3)
    bias_name = graph.constant(f"{prefix}attention.self.bias", bias + correction)
    context = graph.node("MultiHeadAttention", [*heads, bias_name, mask], num_heads=HEADS)

    hidden = _residual(graph, tensors, linear, f"{prefix}attention.output", context, hidden)

    name = f"{prefix}intermediate.dense"
    grown, correction = linear(graph, hidden, name, tensors[f"{name}.weight"])
    bias_name = graph.constant(f"{name}.bias", tensors[f"{name}.bias"] + correction)
    grown = graph.node("BiasGelu", [grown, bias_name])
    return _residual(graph, tensors, linear, f"{prefix}output", grown, hidden)


def _residual(graph: _Graph, tensors: Tensors, linear: Linear, prefix: str, branch: str, hidden: str) -> str:
    # Two additions and LayerNormalization, not SkipLayerNormalization: on one CPU thread the latter took six
    # times as long (460 against 80 microseconds for 200 tokens, onnxruntime 1.31).
    name = f"{prefix}.dense"
    branch, correction = linear(graph, branch, name, tensors[f"{name}.weight"])
    bias = graph.constant(f"{name}.bias", tensors[f"{name}.bias"] + correction)
    total = graph.node("Add", [graph.node("Add", [branch, bias]), hidden])
    return _layer_norm(graph, tensors, f"{prefix}.LayerNorm", total)


def _layer_norm(graph: _Graph, tensors: Tensors, name: str, value: str) -> str:
    constants = [graph.constant(f"{name}.{part}", tensors[f"{name}.{part}"]) for part in ("weight", "bias")]
    return graph.node("LayerNormalization", [value, *constants], axis=-1, epsilon=LAYER_NORM_EPSILON)


def _pooling(graph: _Graph, hidden: str) -> None:
    # The mean's division by the number of tokens cancels in the normalisation, so the masked sum is enough.
    axis = graph.constant("pooling_axis", np.array([1]))
    mask = graph.node("Unsqueeze", [graph.node("Cast", ["attention_mask"], to=TensorProto.FLOAT), axis])
    total = graph.node("Squeeze", [graph.node("MatMul", [mask, hidden]), axis])
    graph.node("LpNormalization", [total], name="embedding", axis=-1, p=2)


def _is_smoothed(layer: str) -> bool:
    """Whether a layer reads a LayerNorm's output, where the outlying channels are."""
    return layer.endswith((".attention.self", ".intermediate.dense"))


def _float_linear(graph: _Graph, value: str, layer: str, weight: Array) -> tuple[str, Array]:
    if _is_smoothed(layer):
        value = graph.node("Identity", [value], name=f"{layer}.probe")
    product = graph.node("MatMul", [value, graph.constant(f"{layer}.weight", weight.T)])
    return product, np.zeros(len(weight), np.float32)


def _quantized_linear(activation_maxima: Maxima) -> Linear:
    """Return a linear layer that quantises each row (token) of its input by that row's own largest value."""

    def linear(graph: _Graph, value: str, layer: str, weight: Array) -> tuple[str, Array]:
        shifted = not layer.endswith((".attention.self", ".attention.output.dense", ".intermediate.dense"))
        if _is_smoothed(layer):
            smoothing = smoothing_scales(activation_maxima[f"{layer}.probe"], weight)
            weight = weight * smoothing
            value = graph.node("Mul", [value, graph.constant(f"{layer}.smoothing", 1 / smoothing)])
        if shifted:
            value = magnitude = graph.node("Add", [value, graph.constant("gelu_shift", GELU_SHIFT)])
            scale, zero = graph.constant("1/255", np.float32(1 / 255)), graph.constant("u0", np.uint8(0))
        else:
            magnitude = graph.node("Abs", [value])
            scale, zero = graph.constant("1/127", np.float32(1 / 127)), graph.constant("u128", np.uint8(128))
        last = graph.constant("last_axis", np.array([-1]))
        # Never 0: a LayerNorm's output, a mean of values and a shifted GELU have no row of nothing but zeros.
        largest = graph.node("ReduceMax", [magnitude, last], keepdims=1)
        codes = graph.node("QuantizeLinear", [graph.node("Div", [value, largest]), scale, zero])
        integers, scales = quantize_weight(weight)
        product = graph.node(
            "MatMulIntegerToFloat",
            [
                codes,
                graph.constant(f"{layer}.weight", integers),
                scale,
                graph.constant(f"{layer}.scales", scales),
                zero,
            ],
        )
        # With the quantised weight, not the original, so that the shift cancels exactly.
        correction = -GELU_SHIFT * (integers * scales).sum(axis=0) if shifted else np.zeros_like(scales)
        return graph.node("Mul", [product, largest]), correction.astype(np.float32)

    return linear
