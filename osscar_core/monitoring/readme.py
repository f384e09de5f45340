"""The README of a kit, in English and Japanese.

The decision hidden here: what the person who runs the model in earnest has to know, who
never saw this program.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from osscar_core.monitoring.records import FalseAlarms, Language
from osscar_core.monitoring.thresholds import Division


@dataclass(frozen=True, slots=True)
class Facts:
    """What a README states.

    Attributes:
        model: Name of the pruned model.
        dense: Name of the dense model, if the kit has it.
        data: The reference data.
        task: ``image`` or ``text``.
        input: How items are prepared.
        division: Which reference items did what.
        alarm_rate: Rate of false alarms the thresholds are set for.
        false_alarms: What was measured.
        difference: Of the exported program from the model.
        agreement: Of pruned and dense model at export.
        torch: Version of torch.
        has_tokenizer: Whether the kit can read text.
    """

    model: str
    dense: str | None
    data: str
    task: str
    input: dict[str, Any]
    division: Division
    alarm_rate: float
    false_alarms: tuple[FalseAlarms, ...]
    difference: float
    agreement: float | None
    torch: str
    has_tokenizer: bool


def readme(facts: Facts, language: Language) -> str:
    """Return the README in one language, or in both, English first."""
    parts = {"en": (_english,), "ja": (_japanese,), "both": (_english, _japanese)}[language]
    return "\n\n---\n\n".join(part(facts) for part in parts) + "\n"


_FIRST = """```sh
python -m venv venv
venv/bin/pip install torch=={torch}
venv/bin/python monitor.py verify
venv/bin/python monitor.py score example.pt
venv/bin/python monitor.py history
```"""

_SHADOW = """```sh
venv/bin/python monitor.py shadow example.pt --share 0.5
```"""

_USE = """```python
import torch

PROGRAM = "model.pt2"  # "dense.pt2"
model = torch.export.load(PROGRAM).module()
logits, features = model({items})
```"""

_CRON = (
    "0 6 1 * * cd /PATH/TO/KIT && venv/bin/python monitor.py score BATCH.pt --json >> scores.log"
)


def _rates(facts: Facts, row: str) -> str:
    return "\n".join(
        row.format(
            size=one.size, rate=one.rate, resamples=one.resamples, low=one.low, high=one.high
        )
        for one in facts.false_alarms
    )


def _english(facts: Facts) -> str:
    least, most = facts.division.sizes[0], facts.division.sizes[-1]
    tests = (
        "distance, class mix and confidence"
        if facts.task == "image"
        else ("distance and confidence")
    )
    rates = _rates(
        facts,
        "- batches of {size}: measured {rate:.1%} over {resamples} resamples "
        "(95% interval {low:.1%} to {high:.1%})",
    )
    return f"""# Monitoring kit for {facts.model}

Tells whether what the model sees has changed since it was checked. Needs Python 3.11 or newer and
torch, nothing else. No data leaves this folder.

## Run it

{_FIRST.format(torch=facts.torch)}

`example.pt` holds items like those of the baseline. Every command takes `--json`.

| exit code | means |
| --- | --- |
| 0 | no alarm |
| 2 | something is wrong with what was given; one line says what |
| 3 | alarm, or the warning of the shadow comparison |
| 4 | a file of the kit is not the one that was exported |

## Your own batch

{_english_input(facts)}

Give {least} items or more, drawn at random from the time in question. A run of consecutive items
resembles itself and raises alarms more often. Of more than {most}, {most} are drawn.

## What an alarm means

A batch is compared with {facts.division.baseline} items of `{facts.data}`: {tests}. `monitor.py`
states the formulas. An alarm says that the batch differs from the baseline by more than chance
explains. It does not say that the model is wrong: look at the items, label a few, and compare.

Thresholds are set for {facts.alarm_rate:.2%} false alarms, all tests together, by re-drawing
baseline and batch from {len(facts.division.pool)} reference items. On
{len(facts.division.held_out)} items that set no threshold:

{rates}

These resamples share items, and the baseline is one draw: take the interval as a guide.
No alarm is no proof: small changes need large batches.

## Once a month

1. Draw a batch of the month's items and score it. Each score adds a line to `history.csv`.
2. `monitor.py history` lists all scores and says *no action*, *watch* or *re-check*; it prints the rule.
3. *watch*: score another batch. *re-check*: label a few hundred items, measure the quality of both
   models, then keep the model, go back to the dense one, or export a new kit on data as it is now.

As a line of crontab:

```
{_CRON}
```

## Shadow comparison

{_english_shadow(facts)}

## Go back to the dense model

{_english_rollback(facts)}

## Check the files

`monitor.py verify` compares every file with `manifest.json` and prints the digest of the manifest
itself: keep that one elsewhere, as told at export. `score` checks the files that it uses.
`model.pt2` differs from the model it came from by {facts.difference:.1e} of its largest output.
"""


def _english_input(facts: Facts) -> str:
    if facts.task == "image":
        size, resize = facts.input["size"], facts.input["resize"]
        how = f"their shorter side to {resize}, then the centre" if resize else "to that size"
        return (
            "A file of `torch.save` with pictures as they come from the camera: RGB, uint8, "
            "(N, 3, H, W), or a list of (3, H, W).\n"
            f"Pictures of {size} x {size} are taken as they are, others resized ({how}); "
            "`prepare_images` in `monitor.py` is all there is to it."
        )
    text = (
        "With `pip install tokenizers` also a `.txt` file, or a `.jsonl` file with one document as\n"
        '`{"text": "..."}` a line: use the form that the reference data had.'
        if facts.has_tokenizer
        else "This model's tokenizer cannot be carried along: give token ids."
    )
    return (
        "A file of `torch.save` with token ids, int64, (N, T) or (T,). Rows are cut into windows "
        f"of {facts.input['seqlen']} tokens.\n{text}"
    )


def _english_shadow(facts: Facts) -> str:
    if facts.dense is None:
        return "This kit has no dense model. Export it again with `--dense MODEL` to have one."
    return f"""{_SHADOW}

Both models run on a random share of a batch. They agreed on {facts.agreement:.2%} of the predictions
at export; the warning comes when even the upper end of the 99% interval lies below that."""


def _english_rollback(facts: Facts) -> str:
    if facts.dense is None:
        return (
            "Keep the dense model's files where the application can load them; going back is a "
            "change of one path.\nExport the kit with `--dense MODEL` to have them here."
        )
    return f"""`dense.pt2` is {facts.dense}, with the same inputs and outputs as `model.pt2`. Going back is a
change of one path, and so is coming forth again:

{_use(facts)}

Keep `dense.pt2` as long as the pruned model is in use, and try the way back once before you need it."""


def _use(facts: Facts) -> str:
    if facts.task == "image":
        return _USE.format(items="monitor.prepare_images(images, settings)").replace(
            "import torch\n",
            "import json\n\nimport torch\n\nimport monitor\n\n"
            'settings = json.load(open("baseline.json", encoding="utf8"))["input"]\n'
            'images = torch.load("example.pt")',
        )
    return _USE.format(items="ids").replace(
        "import torch\n", 'import torch\n\nids = torch.load("example.pt")'
    )


def _japanese(facts: Facts) -> str:
    least, most = facts.division.sizes[0], facts.division.sizes[-1]
    tests = "距離・クラス構成・確信度" if facts.task == "image" else "距離・確信度"
    rates = _rates(
        facts,
        "- {size} 件のバッチ：{resamples} 回の再抽出で実測 {rate:.1%}"
        "（95% 区間 {low:.1%} ～ {high:.1%}）",
    )
    return f"""# {facts.model} の監視キット

モデルに入るデータが、検査した時点から変わっていないかを調べます。必要なのは Python 3.11 以降と torch だけです。
データがこのフォルダの外に出ることはありません。

## 動かし方

{_FIRST.format(torch=facts.torch)}

`example.pt` は基準と同じ種類のデータです。どのコマンドにも `--json` を付けられます。

| 終了コード | 意味 |
| --- | --- |
| 0 | 警報なし |
| 2 | 入力に問題があります（内容を 1 行で示します） |
| 3 | 警報、または並行比較の警告 |
| 4 | キットのファイルが書き出し時と異なります |

## 手元のデータで使う

{_japanese_input(facts)}

対象期間から無作為に選んだ {least} 件以上を渡してください。連続した項目は互いに似ているため、警報が出やすくなります。
{most} 件を超える場合は、その中から {most} 件を抽出します。

## 警報の意味

バッチを `{facts.data}` の {facts.division.baseline} 件と比べます（{tests}）。計算式は `monitor.py` の冒頭にあります。
警報は、偶然では説明できない違いがあることを示します。モデルが間違っているという意味ではありません。
データを見て、いくつかに正解を付け、比べてください。

しきい値は、すべての検定を合わせた誤警報率が {facts.alarm_rate:.2%} になるように、{len(facts.division.pool)} 件の
参照データから基準とバッチを何度も引き直して決めています。しきい値の決定に使っていない
{len(facts.division.held_out)} 件で測った結果：

{rates}

再抽出どうしは項目を共有し、基準は 1 つだけなので、区間は目安です。
警報がないことは、変化がない証明ではありません。小さな変化を見つけるには大きなバッチが必要です。

## 毎月の点検

1. その月のデータからバッチを選び、`score` を実行します。結果は `history.csv` に 1 行ずつ追記されます。
2. `monitor.py history` は全結果を並べ、対応不要（no action）・要観察（watch）・要再検査（re-check）を
   規則とともに示します。
3. 要観察のときは、別のバッチで確かめます。要再検査のときは、数百件に正解を付けて両方のモデルの品質を測り、
   使い続ける、密モデルに戻す、今のデータでキットを書き出し直す、のいずれかを選びます。

crontab の例：

```
{_CRON}
```

## 密モデルとの並行比較

{_japanese_shadow(facts)}

## 密モデルに戻す

{_japanese_rollback(facts)}

## ファイルの確認

`monitor.py verify` は全ファイルを `manifest.json` と照合し、`manifest.json` 自身のダイジェストを表示します。
書き出し時に示された値を、別の場所に控えておいてください。`score` も使うファイルを照合します。
`model.pt2` と元のモデルの差は、最大の出力の {facts.difference:.1e} です。
"""


def _japanese_input(facts: Facts) -> str:
    if facts.task == "image":
        size, resize = facts.input["size"], facts.input["resize"]
        how = f"短辺を {resize} に縮小し中央を切り出し" if resize else "この大きさに変更"
        return (
            "カメラから得たままの画像を `torch.save` で保存します：RGB、uint8、(N, 3, H, W)、"
            "または (3, H, W) のリスト。\n"
            f"{size} × {size} の画像はそのまま使い、ほかは大きさを変えます（{how}）。"
            "処理は `monitor.py` の `prepare_images` にあります。"
        )
    text = (
        "`pip install tokenizers` を実行すれば、`.txt` ファイル、または 1 行に 1 文書"
        '（`{"text": "..."}`）の `.jsonl` ファイルも使えます。\n参照データと同じ形式にしてください。'
        if facts.has_tokenizer
        else "このモデルのトークナイザーは同梱できないため、トークン ID を渡してください。"
    )
    return (
        "トークン ID（int64、(N, T) または (T,)）を `torch.save` で保存します。"
        f"各行は {facts.input['seqlen']} トークンごとに区切られます。\n{text}"
    )


def _japanese_shadow(facts: Facts) -> str:
    if facts.dense is None:
        return (
            "このキットに密モデルは含まれていません。`--dense MODEL` を付けて書き出すと使えます。"
        )
    return f"""{_SHADOW}

バッチの一部を無作為に選び、両方のモデルで処理します。書き出し時の一致率は {facts.agreement:.2%} でした。
99% 区間の上端までがこれを下回ると、警告が出ます。"""


def _japanese_rollback(facts: Facts) -> str:
    if facts.dense is None:
        return (
            "密モデルのファイルを、アプリケーションから読み込める場所に残してください。"
            "パスを 1 つ変えるだけで戻せます。\n"
            "`--dense MODEL` を付けて書き出すと、キットに含められます。"
        )
    return f"""`dense.pt2` は {facts.dense} で、入出力は `model.pt2` と同じです。パスを 1 つ変えるだけで戻せ、再び切り替えるのも同じです：

{_use(facts)}

枝刈りしたモデルを使う間は `dense.pt2` を残し、必要になる前に一度、戻す手順を試してください。"""
