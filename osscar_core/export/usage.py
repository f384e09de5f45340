"""How to run an ONNX file, in English and Japanese.

The decision hidden here: what a person needs to run the file with onnxruntime and numpy,
who never saw this program.
"""

from __future__ import annotations

from osscar_core.export.comparing import Comparison
from osscar_core.export.items import Items
from osscar_core.notation import as_markdown, in_code

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
texts = [[{ids}], [{first}]]  # put yours here: token ids, of any length
longest = max(map(len, texts))
mask = np.array([[0] * (longest - len(text)) + [1] * len(text) for text in texts])
ids = np.array([[0] * (longest - len(text)) + text for text in texts])  # padded before the text
cache = {{  # of no tokens yet: (batch, heads, tokens, width) for every layer
    one.name: np.zeros((len(texts), one.shape[1], 0, one.shape[3]), np.float32)
    for one in session.get_inputs()
    if one.name.startswith("past_key_values")
}}
for _ in range(3):  # the likeliest next tokens
    given = {{"input_ids": ids, "attention_mask": mask, **cache}}
    logits, *present = session.run(None, given)
    cache = dict(zip(cache, present))
    ids = logits[:, -1:].argmax(-1)  # only the new token is read next
    mask = np.concatenate([mask, np.ones_like(ids)], axis=1)
    texts = [text + list(map(int, new)) for text, new in zip(texts, ids)]
print(texts)
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
        "model": as_markdown(model),
        "runtime": found.versions["onnxruntime"],
        "difference": found.max_difference,
        "relative": found.relative_difference,
        "shapes": ", ".join("x".join(map(str, shape)) for shape in found.shapes),
        "same": found.same,
        "count": len(items),
        "data": in_code(items.info.spec),
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
        first, *more = map(str, items.ids[0, :4].tolist())
        code = _TEXT.format(ids=", ".join((first, *more)), first=first)
        limit = settings["max_tokens"]
        english = {
            "input": f"`input_ids` (batch, tokens), int64, at most {limit} tokens with those before",
            "output": "`logits` (batch, tokens, vocabulary)",
            "prepared": (
                "`attention_mask` (batch, earlier and new tokens), int64, is 0 for padding, which "
                "goes before the text; positions are counted inside. The cache of earlier tokens "
                "goes in as `past_key_values.0.key` and so on, with no tokens at first, and comes "
                "out as `present.0.key` and so on."
            ),
            "quality": f"perplexity is {onnx} in ONNX and {torch} in torch",
            "tokenizer": "`tokenizer.json` turns text into ids, with the package `tokenizers`.\n\n"
            if has_tokenizer
            else "",
        }
        japanese = {
            **english,
            "input": f"`input_ids`（batch, tokens）、int64、以前のトークンを含めて最大{limit}トークン",
            "prepared": (
                "`attention_mask`（batch, 以前と新規のトークン）はint64で、パディングは0です。パディングは"
                "文の前に置きます。位置は内部で数えます。以前のトークンのキャッシュは`past_key_values.0.key`など"
                "として渡し（最初は0トークン）、`present.0.key`などとして返ります。"
            ),
            "quality": f"パープレキシティはONNXで{onnx}、torchで{torch}",
            "tokenizer": "`tokenizer.json`と`tokenizers`パッケージで文をトークンにできます。\n\n"
            if has_tokenizer
            else "",
        }
    english_text = _ENGLISH.format(code=code, **facts, **english)
    return f"{english_text}\n---\n\n{_JAPANESE.format(code=code, **facts, **japanese)}"
