"""How to run an ONNX file, in English and Japanese.

The decision hidden here: what a person needs to run the file with onnxruntime and numpy,
who never saw this program.
"""

from __future__ import annotations

from osscar_core.export.comparing import Comparison
from osscar_core.export.items import Items

_IMAGES = """```python
import json

import numpy as np
import onnxruntime as ort

inputs = json.load(open("inputs.json", encoding="utf8"))
session = ort.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])


def classify(pictures):  # RGB, uint8, (batch, {size}, {size}, 3)
    pixels = (pictures / 255 - inputs["mean"]) / inputs["std"]
    pixels = pixels.transpose(0, 3, 1, 2).astype(np.float32)
    return session.run(["logits"], {{"pixels": pixels}})[0]


pictures = np.zeros((2, {size}, {size}, 3), np.uint8)  # put yours here
print([inputs["class_names"][best] for best in classify(pictures).argmax(1)])
```"""

_TEXT = """```python
import numpy as np
import onnxruntime as ort

session = ort.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
ids = np.array([[{ids}]])  # put yours here: int64, (batch, tokens)
for _ in range(3):  # the likeliest next tokens
    logits = session.run(["logits"], {{"input_ids": ids}})[0]
    ids = np.concatenate([ids, logits[:, -1:].argmax(-1)], axis=1)
print(ids)
```"""

_ENGLISH = """# {model} as ONNX

`model.onnx` reads {input} and gives {output}. {prepared}

Install `onnxruntime` and `numpy`; nothing else is needed.

{code}

{tokenizer}Read back by onnxruntime {runtime} in a process of its own and compared with the model in torch:
largest difference {difference:.1e} ({relative:.1e} of the largest output) on inputs of shape {shapes};
{same:.2%} of the predictions are the same; {quality}, on the same {count} items of `{data}`.
Operators: opset {opset}. Large weights lie in `model.onnx.data`; keep it beside `model.onnx`.
"""

_JAPANESE = """# ONNX形式の{model}

`model.onnx`の入力は{input}、出力は{output}です。{prepared}

必要なのは`onnxruntime`と`numpy`だけです。

{code}

{tokenizer}onnxruntime {runtime}の別プロセスで読み直し、torchのモデルと比べました。最大の差は{difference:.1e}（最大出力の{relative:.1e}）、
入力の形は{shapes}です。予測の{same:.2%}が一致し、{quality}です（同じ{count}件、`{data}`）。
演算子：opset {opset}。大きな重みは`model.onnx.data`にあります。`model.onnx`と同じ場所に置いてください。
"""


def onnx_usage(
    model: str, found: Comparison, items: Items, opset: int, *, has_tokenizer: bool
) -> str:
    """Return the lines in English, then in Japanese."""
    settings = items.settings
    facts = {
        "model": model,
        "runtime": found.versions["onnxruntime"],
        "difference": found.max_difference,
        "relative": found.relative_difference,
        "shapes": ", ".join("x".join(map(str, shape)) for shape in found.shapes),
        "same": found.same,
        "count": len(items),
        "data": items.info.spec,
        "opset": opset,
    }
    values = (
        f"{value:.2%}" if found.metric == "top1" else f"{value:.4f}"
        for value in (found.quality, found.model_quality)
    )
    onnx, torch = values
    if items.ids is None:
        described = items.info.preprocess or f"{settings['size']} x {settings['size']}"
        code = _IMAGES.format(size=settings["size"])
        english = {
            "input": f"`pixels` (batch, 3, {settings['size']}, {settings['size']}), float32",
            "output": "`logits` (batch, classes)",
            "prepared": f"Pictures are prepared like this: {described}; see `inputs.json`.",
            "quality": f"top-1 accuracy is {onnx} in ONNX and {torch} in torch",
            "tokenizer": "",
        }
        japanese = {
            **english,
            "prepared": f"画像の前処理：{described}。`inputs.json`にもあります。",
            "quality": f"top-1正解率はONNXで{onnx}、torchで{torch}",
        }
    else:
        ids = ", ".join(str(token) for token in items.ids[0, :4].tolist())
        code = _TEXT.format(ids=ids)
        limit = settings["max_tokens"]
        english = {
            "input": f"`input_ids` (batch, tokens), int64, at most {limit} tokens",
            "output": "`logits` (batch, tokens, vocabulary)",
            "prepared": (
                "There is no cache: every new token reads the whole text again. There is no "
                "padding: all texts of a batch have the same length."
            ),
            "quality": f"perplexity is {onnx} in ONNX and {torch} in torch",
            "tokenizer": "`tokenizer.json` turns text into ids, with the package `tokenizers`.\n\n"
            if has_tokenizer
            else "",
        }
        japanese = {
            **english,
            "prepared": (
                "キャッシュはなく、トークンごとに全文を読み直します。パディングもないため、"
                "同じバッチの文は同じ長さにしてください。"
            ),
            "quality": f"パープレキシティはONNXで{onnx}、torchで{torch}",
            "tokenizer": "`tokenizer.json`と`tokenizers`パッケージで文をトークンにできます。\n\n"
            if has_tokenizer
            else "",
        }
    english_text = _ENGLISH.format(code=code, **facts, **english)
    return f"{english_text}\n---\n\n{_JAPANESE.format(code=code, **facts, **japanese)}"
