"""An ONNX file with weights of eight bits, by onnxruntime's own quantisation.

The decision hidden here: what is made small, and how. Images: weights and activations, with
the ranges that calibration images give. Text: the weights of products of matrices, the head
and the embeddings. Activations are scaled as they come, one scale for all of them, which is
fast; but where a feed-forward layer multiplies two branches, as in the Llama family, a few
values are so large that the others vanish: there activations stay as they are, or have a
scale for every block of 32. Weights are signed, activations unsigned: that pair has the fast
instructions.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from osscar_core.datasets import ImageSet, load_images
from osscar_core.errors import OutputError
from osscar_core.models import LoadedModel
from osscar_core.tracing import TRACE_ERRORS, trace_reason

INT8_FILE = "model.int8.onnx"
CALIBRATION_IMAGES = 128
_AT_ONCE = 16
_BLOCK = 32
_EIGHT_BIT_SUMS = 4
"""The ``accuracy_level`` of onnxruntime's MatMulNBits that computes in int8."""


def calibration_images(loaded: LoadedModel, data: str) -> ImageSet:
    """Return the images that ranges of activations are taken from.

    Args:
        loaded: The image model.
        data: Where they are; of data with parts, its calibration part.

    Raises:
        DataError: Data missing or unreadable.
    """
    source = loaded.source
    return load_images(
        data,
        loaded.preprocess,
        limit=CALIBRATION_IMAGES,
        classes=source.classes,
        class_names=source.class_names,
        split="calibration",
    )


def write_int8(file: Path, out: Path, calibration: ImageSet | None = None) -> None:
    """Write a file with weights of eight bits beside one with weights of 32.

    Args:
        file: What `osscar_core.export.onnx_graph.write_onnx` wrote; it stays as it is.
        out: The file to write.
        calibration: Images, for an image model; ``None`` for text.

    Raises:
        OutputError: onnxruntime cannot quantise it.
    """
    from onnxruntime.quantization.shape_inference import quant_pre_process

    is_large = file.with_name(f"{file.name}.data").is_file()
    try:
        with tempfile.TemporaryDirectory(prefix=".int8.", dir=out.parent) as name, _quiet():
            # Constants are folded: a head that shares its weights with the embeddings is a
            # matrix of its own only then.
            folded = Path(name) / "folded.onnx"
            quant_pre_process(
                str(file),
                str(folded),
                skip_symbolic_shape=True,
                skip_onnx_shape=True,
                save_as_external_data=is_large,
            )
            _forget_shapes(folded)
            if calibration is None:
                _quantize_text(folded, out, is_large=is_large)
            else:
                _quantize_images(folded, out, calibration, is_large=is_large)
    except _errors() as error:
        raise OutputError(
            f"{file.name} cannot be written with weights of eight bits ({trace_reason(error)})",
            "Take the file with weights of 32 bits, or try another version of onnxruntime",
        ) from error


def _forget_shapes(file: Path) -> None:
    """Remove the shapes of what lies between: folding changes some, and leaves others said."""
    import onnx

    model = onnx.load(file, load_external_data=False)
    model.graph.ClearField("value_info")
    onnx.save(model, file)


def _quantize_text(file: Path, out: Path, *, is_large: bool) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    operators, source = ["MatMul", "Gemm", "Gather"], file
    if _is_gated(file):
        source, operators = file.with_name("blocks.onnx"), ["Gather"]
        _quantize_in_blocks(file, source, is_large=is_large)
    quantize_dynamic(
        str(source),
        str(out),
        op_types_to_quantize=operators,
        per_channel=True,
        weight_type=QuantType.QInt8,
        use_external_data_format=is_large,
    )


def _is_gated(file: Path) -> bool:
    """Return whether a weight is multiplied with the product of two activations."""
    import onnx

    graph = onnx.load(file, load_external_data=False).graph
    weights = {one.name for one in graph.initializer}
    products = {
        node.output[0]
        for node in graph.node
        if node.op_type == "Mul" and weights.isdisjoint(node.input)
    }
    return any(
        node.op_type == "MatMul" and node.input[0] in products and node.input[1] in weights
        for node in graph.node
    )


def _quantize_in_blocks(file: Path, out: Path, *, is_large: bool) -> None:
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import (
        DefaultWeightOnlyQuantConfig,
        MatMulNBitsQuantizer,
    )
    from onnxruntime.quantization.onnx_model import ONNXModel

    whole = ONNXModel(onnx.load(file))
    whole.replace_gemm_with_matmul()
    config = DefaultWeightOnlyQuantConfig(
        block_size=_BLOCK, is_symmetric=True, accuracy_level=_EIGHT_BIT_SUMS, bits=8
    )
    quantizer = MatMulNBitsQuantizer(whole.model, algo_config=config)
    quantizer.process()
    quantizer.model.save_model_to_file(str(out), is_large)


def _quantize_images(file: Path, out: Path, images: ImageSet, *, is_large: bool) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Pixels(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.batches = iter(images.batches(_AT_ONCE))

        def get_next(self) -> dict[str, Any] | None:
            batch = next(self.batches, None)
            return None if batch is None else {"pixels": batch[0].numpy()}

    quantize_static(
        str(file),
        str(out),
        Pixels(),
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        use_external_data_format=is_large,
    )


def _errors() -> tuple[type[Exception], ...]:
    """Return what quantisation raises; there is no common class."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    found = (getattr(state, name) for name in dir(state))
    own = (one for one in found if isinstance(one, type) and issubclass(one, Exception))
    damaged = importlib.import_module("google.protobuf.message").Error
    unshaped = importlib.import_module("onnx.shape_inference").InferenceError
    return (*TRACE_ERRORS, damaged, unshaped, *own)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the quantiser prints and logs to itself; its errors say what matters."""
    root, before = logging.getLogger(), logging.root.manager.disable
    handlers, level = list(root.handlers), root.level
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        root.handlers[:] = handlers  # importing the quantiser adds one
        root.setLevel(level)
        logging.disable(before)
