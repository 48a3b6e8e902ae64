"""Dynamic int8: weights of linear and recurrent layers as int8, activations quantized as they come."""

import logging
from pathlib import Path


def dynamic_int8_onnx(float32: Path, int8: Path) -> None:
    """MatMul, Gemm and LSTM weights to int8 per tensor.

    Convolutions stay float32: ONNX Runtime's ConvInteger makes the whole model slower than float32.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # It advises a pre-processing pass that changes nothing in these graphs, and names each tensor it leaves alone.
    logging.disable(logging.WARNING)
    try:
        quantize_dynamic(float32, int8, op_types_to_quantize=["MatMul", "Gemm", "LSTM"], weight_type=QuantType.QInt8)
    finally:
        logging.disable(logging.NOTSET)


def dynamic_int8_tflite(float32: Path, int8: Path) -> None:
    """Convolution weights per channel, fully connected weights per tensor, to int8.

    Per-channel fully connected weights run without any error on tflite-runtime 2.14 and give wrong probabilities
    there; per tensor is right on it and on LiteRT.
    """
    from ai_edge_quantizer import quantizer, recipe_manager
    from ai_edge_quantizer.qtyping import (
        ComputePrecision,
        OpQuantizationConfig,
        QuantGranularity,
        TensorQuantizationConfig,
        TFLOperationName,
    )

    recipe = recipe_manager.RecipeManager()
    for operation, granularity in (
        (TFLOperationName.FULLY_CONNECTED, QuantGranularity.TENSORWISE),
        (TFLOperationName.CONV_2D, QuantGranularity.CHANNELWISE),
    ):
        recipe.add_quantization_config(
            regex=".*",
            operation_name=operation,
            op_config=OpQuantizationConfig(
                weight_tensor_config=TensorQuantizationConfig(num_bits=8, symmetric=True, granularity=granularity),
                compute_precision=ComputePrecision.INTEGER,
            ),
        )
    tool = quantizer.Quantizer(str(float32))
    tool.load_quantization_recipe(recipe.get_quantization_recipe())
    tool.quantize().export_model(str(int8))
