"""Quantizes TFLite files: dynamic int8 and float16. Each function reads a file and writes a file."""

from pathlib import Path

from ai_edge_quantizer import quantizer, recipe_manager
from ai_edge_quantizer.algorithm_manager import AlgorithmName
from ai_edge_quantizer.qtyping import (
    ComputePrecision,
    OpQuantizationConfig,
    QuantGranularity,
    TensorDataType,
    TensorQuantizationConfig,
    TFLOperationName,
)

WEIGHTY = (TFLOperationName.FULLY_CONNECTED, TFLOperationName.CONV_2D)
"""Operations whose weights are quantized here; the LSTM's are in `edge.export.tflite_lstm`"""


def dynamic_int8(float32: Path, out: Path, fully_connected: QuantGranularity = QuantGranularity.TENSORWISE) -> None:
    """Convolution weights per channel, fully connected weights per tensor, to int8.

    tflite-runtime 2.14 accepts per-channel fully connected weights and computes wrong probabilities. Weights per tensor
    are right under tflite-runtime and LiteRT.
    """
    recipe = recipe_manager.RecipeManager()
    for operation, granularity in zip(WEIGHTY, (fully_connected, QuantGranularity.CHANNELWISE), strict=True):
        weights = TensorQuantizationConfig(num_bits=8, symmetric=True, granularity=granularity)
        config = OpQuantizationConfig(weight_tensor_config=weights, compute_precision=ComputePrecision.INTEGER)
        recipe.add_quantization_config(regex=".*", operation_name=operation, op_config=config)
    _quantize(float32, out, recipe)


def float16(float32: Path, out: Path) -> None:
    """Store weights as float16; they are cast to float32 when the file is loaded."""
    recipe = recipe_manager.RecipeManager()
    for operation in WEIGHTY:
        weights = TensorQuantizationConfig(num_bits=16, dtype=TensorDataType.FLOAT)
        config = OpQuantizationConfig(
            weight_tensor_config=weights, compute_precision=ComputePrecision.FLOAT, explicit_dequantize=True
        )
        recipe.add_quantization_config(
            regex=".*", operation_name=operation, op_config=config, algorithm_key=AlgorithmName.FLOAT_CASTING
        )
    _quantize(float32, out, recipe)


def _quantize(float32: Path, out: Path, recipe: recipe_manager.RecipeManager) -> None:
    tool = quantizer.Quantizer(str(float32))
    tool.load_quantization_recipe(recipe.get_quantization_recipe())
    tool.quantize().export_model(str(out), overwrite=True)
