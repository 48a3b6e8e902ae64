"""TFLite files made smaller: dynamic int8 and float16. Each works on a file and writes a file."""

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
"""Operations that hold the weights, an LSTM's aside (`edge.export.tflite_lstm`)"""


def dynamic_int8(float32: Path, out: Path, fully_connected: QuantGranularity = QuantGranularity.TENSORWISE) -> None:
    """Convolution weights per channel, fully connected weights per tensor, to int8.

    Per-channel fully connected weights run without any error on tflite-runtime 2.14 and give wrong probabilities
    there; per tensor is right on it and on LiteRT.
    """
    recipe = recipe_manager.RecipeManager()
    for operation, granularity in zip(WEIGHTY, (fully_connected, QuantGranularity.CHANNELWISE), strict=True):
        weights = TensorQuantizationConfig(num_bits=8, symmetric=True, granularity=granularity)
        config = OpQuantizationConfig(weight_tensor_config=weights, compute_precision=ComputePrecision.INTEGER)
        recipe.add_quantization_config(regex=".*", operation_name=operation, op_config=config)
    _quantize(float32, out, recipe)


def float16(float32: Path, out: Path) -> None:
    """Weights stored as float16, cast to float32 when the file is loaded; what is computed stays float32."""
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
