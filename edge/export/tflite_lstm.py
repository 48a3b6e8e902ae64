"""The LSTM of a TFLite head as one operation per direction.

The converter would unroll an LSTM over its steps: hundreds of small operations that take more bytes than all int8
weights, and more time. So the converter receives only what follows the LSTM, and this module puts TFLite's own sequence
operation before it, in the file. Its weights may be float32, float16 or int8 (symmetric, one scale per LSTM gate).
"""

import copy
from collections.abc import Sequence
from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from torch import Tensor, nn

from crnn.models.head import Head

IDENTIFIER = b"TFL3"
BUILTIN = schema.BuiltinOperator
TYPES = {"float32": schema.TensorType.FLOAT32, "float16": schema.TensorType.FLOAT16, "int8": schema.TensorType.INT8}


class _Through(nn.Module):
    """Takes the place of the LSTM where the LSTM's output is the input."""

    def forward(self, states: Tensor) -> tuple[Tensor, None]:
        return states, None


def split(module: nn.Module) -> tuple[nn.LSTM, nn.Module] | None:
    """The LSTM of a head, and the rest of the head as a module of the LSTM's output; None if the module has no head."""
    heads = [part for part in module.modules() if isinstance(part, Head)]
    if len(heads) != 1:
        return None
    after = copy.deepcopy(module)
    for part in after.modules():
        if isinstance(part, Head):
            part.add_module("lstm", _Through())
    return heads[0].lstm, after


def prepend(lstm: nn.LSTM, n_steps: int, path: Path, weights: str) -> None:
    """Insert `lstm`, over `n_steps` steps, before the operations of the file; `weights`: float32, float16 or int8."""
    model = _read(path)
    writer = _Writer(model, weights)
    graph = model.subgraphs[0]
    (states,) = graph.inputs
    units = lstm.hidden_size
    steps = writer.tensor((1, n_steps, lstm.input_size))
    axis = writer.constant(np.array([1], dtype=np.int32), schema.TensorType.INT32)
    backwards = writer.tensor((1, n_steps, lstm.input_size))
    made = [writer.tensor((1, n_steps, units)) for _ in range(3)]
    reverse, reverse_options = BUILTIN.REVERSE_V2, schema.ReverseV2OptionsT()
    writer.operation(reverse, [steps, axis], backwards, reverse_options)
    writer.lstm(lstm, "", steps, made[0])
    writer.lstm(lstm, "_reverse", backwards, made[1])
    writer.operation(reverse, [made[1], axis], made[2], reverse_options)
    joined = schema.ConcatenationOptionsT()
    joined.axis = 2
    writer.operation(BUILTIN.CONCATENATION, [made[0], made[2]], states, joined)

    graph.operators = writer.operations + list(graph.operators)
    graph.inputs = [steps]
    model.signatureDefs = []  # they name the former input
    _write(model, path)


def finish(path: Path, input_name: str, output_name: str) -> None:
    """Name input and output, and remove the names and metadata that no runtime reads."""
    model = _read(path)
    graph = model.subgraphs[0]
    names = dict(zip((*graph.inputs, *graph.outputs), (input_name, output_name), strict=True))
    for at, tensor in enumerate(graph.tensors):
        tensor.name = names.get(at, "").encode()
    model.metadata, model.signatureDefs, model.description = [], [], b""
    _write(model, path)


def _read(path: Path) -> schema.ModelT:
    return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(path.read_bytes(), 0))


def _write(model: schema.ModelT, path: Path) -> None:
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    path.write_bytes(bytes(builder.Output()))
    path.chmod(0o644)  # the converter leaves it executable


class _Writer:
    """Adds tensors and operations to the first graph of a model."""

    def __init__(self, model: schema.ModelT, weights: str) -> None:
        self._model, self._graph, self._weights = model, model.subgraphs[0], weights
        self.operations: list[schema.OperatorT] = []

    def tensor(self, shape: Sequence[int], kind: int = TYPES["float32"], buffer: int = 0) -> int:
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = list(shape), kind, buffer
        tensor.name = f"t{len(self._graph.tensors)}".encode()
        tensor.hasRank = True
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def constant(self, values: np.ndarray, kind: int) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), dtype=np.uint8)
        self._model.buffers.append(buffer)
        return self.tensor(values.shape, kind, len(self._model.buffers) - 1)

    def weight(self, values: Tensor) -> int:
        """A matrix in the type of the weights; float16 is cast back by an operation that runs once, at loading."""
        array = values.detach().numpy()
        if self._weights == "int8":
            scale = float(np.abs(array).max()) / 127 or 1.0
            made = self.constant(np.round(array / scale).astype(np.int8), TYPES["int8"])
            quantization = schema.QuantizationParametersT()
            quantization.scale, quantization.zeroPoint = [scale], [0]
            self._graph.tensors[made].quantization = quantization
            return made
        made = self.constant(array.astype(self._weights), TYPES[self._weights])
        if self._weights == "float32":
            return made
        cast = self.tensor(array.shape)
        self.operation(BUILTIN.DEQUANTIZE, [made], cast, schema.DequantizeOptionsT())
        return cast

    def operation(self, code: int, inputs: list[int], output: int, options: object, version: int = 1) -> None:
        operation = schema.OperatorT()
        operation.opcodeIndex = self._code(code, version)
        operation.inputs, operation.outputs = inputs, [output]
        operation.builtinOptions = options
        operation.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        self.operations.append(operation)

    def _code(self, code: int, version: int) -> int:
        for at, known in enumerate(self._model.operatorCodes):
            if (known.builtinCode, known.version) == (code, version):
                return at
        made = schema.OperatorCodeT()
        made.builtinCode, made.deprecatedBuiltinCode, made.version = code, min(code, 127), version
        self._model.operatorCodes.append(made)
        return len(self._model.operatorCodes) - 1

    def lstm(self, lstm: nn.LSTM, direction: str, given: int, made: int) -> None:
        """One direction. Order of the LSTM gates in both libraries: input, forget, cell, output."""

        def quarters(name: str) -> tuple[Tensor, ...]:
            return getattr(lstm, f"{name}_l0{direction}").detach().chunk(4)

        from_input, from_state = ([self.weight(gate) for gate in quarters(f"weight_{name}")] for name in ("ih", "hh"))
        biases = [
            self.constant((a + b).numpy(), TYPES["float32"])
            for a, b in zip(quarters("bias_ih"), quarters("bias_hh"), strict=True)
        ]
        state, cell = (self.tensor((1, lstm.hidden_size)) for _ in range(2))
        for variable in (state, cell):
            self._graph.tensors[variable].isVariable = True
        absent = -1
        inputs = [given, *from_input, *from_state, *[absent] * 3, *biases, *[absent] * 2, state, cell, *[absent] * 4]
        options = schema.UnidirectionalSequenceLSTMOptionsT()
        options.fusedActivationFunction = schema.ActivationFunctionType.TANH
        version = 2 if self._weights == "int8" else 1
        self.operation(BUILTIN.UNIDIRECTIONAL_SEQUENCE_LSTM, inputs, made, options, version)
