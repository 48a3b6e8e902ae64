"""Encoder and head as .pte files for ExecuTorch's XNNPACK: float32, and int8 by PT2E."""

from pathlib import Path

import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
    XNNPACKQuantizer,
    get_symmetric_quantization_config,
)
from executorch.devtools.backend_debug import get_delegation_info
from executorch.exir import to_edge_transform_and_lower
from torch.export import ExportedProgram, default_decompositions, export
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

from edge.export.exporters import Part


def float32(part: Part) -> ExportedProgram:
    return export(part.module, (part.example,))


def int8(part: Part, inputs: list[torch.Tensor]) -> ExportedProgram:
    """`part` with int8 operations: of an encoder everything that XNNPACK has in int8, by the ranges of `inputs`; of a
    head its products, by the ranges of the moment (one input is needed all the same, for the weights to be seen).

    (To spare the first convolution, as our own static int8 does, is not possible: given names of modules, the quantizer
    marks nothing at all.)
    """
    program, dynamic = export(part.module, (part.example,)), part.name == "head"
    if dynamic:  # the quantizer knows no LSTM: its steps are laid out first, their products kept whole
        kept = default_decompositions()
        kept.pop(torch.ops.aten.linear.default)
        program = program.run_decompositions(kept)
    config = get_symmetric_quantization_config(is_per_channel=True, is_dynamic=dynamic)
    prepared = prepare_pt2e(program.module(), XNNPACKQuantizer().set_global(config))
    with torch.no_grad():
        for x in inputs:
            prepared(x)
    return export(convert_pt2e(prepared), (part.example,))


def lower(program: ExportedProgram, path: Path) -> dict:
    """Write `program` for XNNPACK; returns how much of it XNNPACK takes: the rest runs in ExecuTorch's own kernels."""
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    path.write_bytes(lowered.to_executorch().buffer)
    info = get_delegation_info(lowered.exported_program().graph_module)
    return {
        "delegated_nodes": info.num_delegated_nodes,
        "other_nodes": info.num_non_delegated_nodes,
        "delegate_calls": info.num_delegated_subgraphs,
    }
