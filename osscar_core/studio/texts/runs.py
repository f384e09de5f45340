"""Runs: the history, one run, and several side by side."""

ENGLISH = {
    "page.runs": "Runs",
    "runs.none": "No runs yet",
    "runs.none.body": (
        "Everything you compute is listed here, with what went wrong if it did. The "
        "examples that come with the project can be shown below."
    ),
    "runs.count": "{count:run|runs} in this workspace",
    "runs.count.some": "{shown} of {count:run|runs} in this workspace",
    "runs.no_match": "No run matches. Clear the search or choose other filters.",
    "runs.select": (
        "Select a run to see it, or several to compare them: tick a row, or press "
        "Shift+Space in the table."
    ),
    "runs.queue": "{working:run|runs} at work, {waiting} waiting",
    "runs.search": "Search",
    "runs.search.example": "Name, model, method, note or id",
    "runs.by_model": "Model",
    "runs.by_state": "State",
    "runs.any": "all",
    "runs.by_star": "Starred only",
    "runs.with_examples": "Show examples",
    "runs.with_examples.help": (
        "They come with the project and stand after your own runs, marked as examples."
    ),
    "runs.more": "Show {count} more",
    "runs.table.alt": (
        "{count:run|runs} with what was asked, what was measured and how each ended. "
        "Select rows with Shift+Space."
    ),
    "runs.table.note": (
        "± is half of the 95% interval. More about a run, and why one ended early, is "
        "shown when it is selected."
    ),
    "runs.table.model": "All of {model}.",
    "runs.table.device": "All timed on {device}.",
    "runs.column.star": "★",
    "runs.column.star.help": "Starred",
    "runs.column.name": "Name",
    "runs.column.name.help": "As you called it",
    "runs.column.model": "Model",
    "runs.column.model.help": "What was made smaller",
    "runs.column.asked": "Asked for",
    "runs.column.asked.help": "The goal and its value",
    "runs.column.method": "Method",
    "runs.column.method.help": "How it was chosen what goes",
    "runs.column.removed": "Removed, %",
    "runs.column.removed.help": "Share of the heads, neurons or channels that is gone",
    "runs.column.speedup": "Speed, ×",
    "runs.column.speedup.help": "Dense over pruned latency: above 1 is faster",
    "runs.column.speedup_half": "± ×",
    "runs.column.speedup_half.help": "Half of the 95% interval of the speed-up, the longer one",
    "runs.column.accuracy": "Accuracy, pt",
    "runs.column.accuracy.help": (
        "Change against the dense model in percentage points: higher is better"
    ),
    "runs.column.accuracy_half": "± pt",
    "runs.column.accuracy_half.help": "Half of the 95% interval of the change, the longer one",
    "runs.column.perplexity": "Perplexity, %",
    "runs.column.perplexity.help": "Change against the dense model: lower is better",
    "runs.column.perplexity_half": "± %",
    "runs.column.perplexity_half.help": "Half of the 95% interval of the change, the longer one",
    "runs.column.quality": "Quality",
    "runs.column.quality.help": (
        "Change against the dense model with half of its 95% interval: of accuracy in "
        "points (pt, higher is better), of perplexity in per cent (lower is better)"
    ),
    "runs.column.size": "Size, MB",
    "runs.column.size.help": "Size of the weights file of the pruned model",
    "runs.column.state": "State",
    "runs.column.state.help": "What became of it",
    "runs.column.when": "When",
    "runs.column.when.help": "When it was asked for",
    "runs.column.device": "Device",
    "runs.column.device.help": "What it was timed on",
    "runs.change.pt": "{change} ± {half} pt",
    "runs.change.percent": "{change} ± {half}%",
    "runs.column.run": "Run",
    "runs.state.queued": "queued",
    "runs.state.running": "running",
    "runs.state.finished": "finished",
    "runs.state.failed": "failed",
    "runs.state.cancelled": "cancelled",
    "runs.state.interrupted": "interrupted",
    "runs.state.imported": "imported",
    "runs.state.example": "example",
    "runs.state.damaged": "damaged",
    "runs.kind.survey": "survey",
    "runs.kind.timing": "timing",
    "runs.kind.check": "check",
    "runs.kind.kit": "monitoring kit",
    "runs.title": "{model} · {asked} · {method}",
    "runs.title.survey": "{model} · survey",
    "runs.title.timing": "{model} · timing of its blocks",
    "runs.title.check.ab": "{model} · comparison on data",
    "runs.title.check.shift": "{model} · is the data shifted",
    "runs.title.check.stress": "{model} · disturbed inputs",
    "runs.title.kit": "{model} · monitoring kit",
    "runs.title.export": "{model} · {name}",
    "runs.done.survey": (
        "The survey of **{model}** is in use: Explore answers what-if questions from it."
    ),
    "runs.done.timing": (
        "The blocks of **{model}** were timed on this machine: Explore estimates speed from that."
    ),
    "runs.done.check": "This check of **{model}** is finished: Check shows what it found.",
    "runs.done.kit": "The monitoring kit of **{model}** is made: Decide offers it.",
    "runs.done.export": "{name} of **{model}**: made and compared. Decide offers it.",
    "runs.goal.met": (
        ":material/check: Asked for: {asked}. Measured: **{achieved}**. The goal is reached."
    ),
    "runs.goal.missed": (
        ":material/close: Asked for: {asked}. Measured: **{achieved}**. The goal is not reached."
    ),
    "runs.goal.interval": "{value} (95% CI {low} to {high})",
    "runs.fact.batch": "batch {batch}",
    "runs.fact.timings": "{count:timing|timings}",
    "runs.fact.tested": "tested on {count} {items}",
    "runs.fact.took": "took {time}",
    "runs.model_at": ":material/folder: Pruned model: `{path}`",
    "runs.model.none": (
        ":material/folder_off: The pruned model is not on this machine; its plan can make it again."
    ),
    "runs.model.example": (
        ":material/folder_off: Examples come without the pruned model; running it again makes one."
    ),
    "runs.open.explore": "Open in Explore",
    "runs.open.explain": "Explain",
    "runs.again": "Run again",
    "runs.resume": "Resume",
    "runs.star": "Star",
    "runs.unstar": "Remove star",
    "runs.delete": "Delete",
    "runs.deleted": "Deleted: {title}",
    "runs.undo": "Undo",
    "runs.download": "Download",
    "runs.plan": "Plan (JSON)",
    "runs.report": "Report (JSON)",
    "runs.bundle": "Run bundle (zip)",
    "runs.bundle.what": "The run for another installation: records without weights.",
    "runs.log": "Log",
    "runs.name": "Name",
    "runs.name.help": "Up to 200 characters. Empty: named after what was asked.",
    "runs.note": "Note",
    "runs.problem": "This could not be done.",
    "runs.import": "Import a run",
    "runs.import.body": (
        "Choose a run bundle (.zip, up to {megabytes} MB) that was downloaded from "
        "another installation. Every number is checked before it is listed here as "
        "imported; nothing in the file is run."
    ),
    "runs.import.label": "Run bundle",
    "runs.imported": "{title} was imported.",
    "compare.title": "{count:run|runs} compared",
    "compare.all": "Show all rows, not only those that differ",
    "compare.csv": "All of it as CSV",
    "compare.row": "Compared",
    "compare.run": "Run",
    "compare.and": "{before}, {after}",
    "compare.alt": "{count:run|runs} side by side: settings and results",
    "compare.same": "Nothing that is shown differs.",
    "compare.best": (
        "{mark} best in its row; several where the difference is not measurable. The "
        "model before pruning is left out."
    ),
    "compare.alike": "They were asked for the same with the same settings.",
    "compare.differ": "They differ in: {settings}.",
    "compare.differ.more": "They differ in: {settings} and {count:more setting|more settings}.",
    "compare.unfinished": "{count:run has|runs have} no result, so only settings count there.",
    "compare.other_model": (
        "Their results cannot be compared: they are of different models or weights. "
        "Only the settings are."
    ),
    "compare.other_test": "Their quality cannot be compared: it was tested on different data.",
    "compare.other_timing": (
        "Their speed was timed under different conditions, so no fastest one is named."
    ),
    "compare.quality.measurable": (
        "**{best} has the better quality**: {other} is off by {gap} (95% interval "
        "{interval}), a measurable difference."
    ),
    "compare.quality.not": (
        "**No measurable difference in quality**: {other} is off {best} by {gap} (95% "
        "interval {interval})."
    ),
    "compare.quality.best": (
        "**{best} has the best quality**; the nearest, {other}, is off by {gap} (95% "
        "interval {interval}), a measurable difference."
    ),
    "compare.quality.none": (
        "**No measurable difference in quality** between the best, {best}, and any of the {count}."
    ),
    "compare.quality.tied": (
        "**{best} has the best quality**, but {unclear} cannot be told from it; "
        "{count:other is|others are} measurably worse."
    ),
    "compare.speed.best": (
        "{best} is the fastest: {factor} as fast as {other} (95% interval {interval})."
    ),
    "compare.speed.tied": "The fastest are {best}; they cannot be told apart.",
    "compare.speed.not": "No measurable difference in speed.",
    "compare.speed.none_faster": "None is measurably faster than the dense model.",
    "compare.asked_met": "Goal, measured",
    "compare.met": "{value}, reached",
    "compare.missed": "{value}, not reached",
    "compare.removed": "Removed",
    "compare.quality": "{metric} (95% CI)",
    "compare.change": "Change (95% CI)",
    "compare.speedup": "Speed-up (95% CI)",
    "compare.latency": "Latency",
    "compare.size": "Size of the file",
    "compare.parameters": "Parameters",
    "compare.flops": "Operations a pass",
    "compare.device": "Timed on",
    "compare.timings": "Timings, n",
    "compare.items": "Test items, n",
    "compare.automatic": "automatic",
    "compare.yes": "yes",
    "compare.no": "no",
    "compare.lines": "Trade-offs of all runs",
    "compare.lines.alt": (
        "One line a run for {count:run|runs}: removed share, {metric}, speed and size, "
        "each with better at the top. The same numbers are in the table above."
    ),
    "compare.no_lines": (
        "No figure: it needs more than 6 results of one model on the same test data."
    ),
    "compare.axis.removed": "Removed, %",
    "compare.axis.accuracy": "Accuracy, % (up is better)",
    "compare.axis.perplexity": "Perplexity, axis reversed (up is better)",
    "compare.axis.speedup": "Speed, × dense (up is better)",
    "compare.axis.size": "Size, MB, axis reversed (up is better)",
    "compare.set.goal": "goal",
    "compare.set.model": "model",
    "compare.set.calibration": "calibration data",
    "compare.set.weights": "weights file",
    "compare.set.structures": "what may be removed",
    "compare.set.method": "method",
    "compare.set.target": "target of the re-fit",
    "compare.set.samples": "calibration items",
    "compare.set.seqlen": "tokens a window",
    "compare.set.batch_size": "micro-batch",
    "compare.set.device": "device asked for",
    "compare.set.dtype": "number type",
    "compare.set.seed": "seed",
    "compare.set.damping": "damping",
    "compare.set.intercept": "bias correction",
    "compare.set.swaps": "swap rounds",
    "compare.set.certify": "bounds",
    "compare.set.round_to": "rounded to",
    "compare.set.refit_head": "classifier re-fitted",
    "compare.set.image_size": "image side, pixels",
    "compare.set.trust_remote_code": "model's own code",
    "compare.set.budget": "spread over layers",
    "compare.set.caps": "limits of layers",
    "compare.set.guards": "protected groups",
    "compare.set.plain_loadable": "for plain transformers",
    "compare.set.gpu_memory": "GPU memory allowed, bytes",
    "compare.set.host_memory": "host memory allowed, bytes",
    "compare.set.gpus": "GPUs",
    "compare.set.refine": "refinements",
    "compare.set.data": "test data",
    "compare.set.limit": "test items at most",
    "compare.set.measure_batch": "batch of timings",
    "compare.set.repeats": "rounds of timings",
    "compare.set.release": "release",
}

JAPANESE = {
    "page.runs": "実行履歴",
    "runs.none": "まだ実行がありません",
    "runs.none.body": (
        "計算したものはすべてここに並びます。失敗した場合は、"
        "その理由も残ります。付属の例は下で表示できます。"
    ),
    "runs.count": "このワークスペースの実行：{count:,}件",
    "runs.count.some": "このワークスペースの実行：{count:,}件中{shown}件",
    "runs.no_match": "一致する実行がありません。検索語を消すか、絞り込みを変えてください。",
    "runs.select": (
        "行にチェックを入れると実行の詳細が、複数なら比較が表示されます。"
        "表の中ではShift+Spaceでも選べます。"
    ),
    "runs.queue": "実行中{working:,}件、待機中{waiting}件",
    "runs.search": "検索",
    "runs.search.example": "名前、モデル、方法、メモ、番号",
    "runs.by_model": "モデル",
    "runs.by_state": "状態",
    "runs.any": "すべて",
    "runs.by_star": "スター付きのみ",
    "runs.with_examples": "例を表示",
    "runs.with_examples.help": (
        "プロジェクトに付属する実行です。「例」として、自分の実行の後に並びます。"
    ),
    "runs.more": "さらに{count}件を表示",
    "runs.table.alt": "実行{count:,}件の設定、測定値、状態の一覧です。Shift+Spaceで行を選べます。",
    "runs.table.note": (
        "±は95%信頼区間の半幅です。選択すると、実行の詳細や途中で終わった理由を表示します。"
    ),
    "runs.table.model": "モデルはすべて{model}です。",
    "runs.table.device": "測定機器はすべて{device}です。",
    "runs.column.star": "★",
    "runs.column.star.help": "スター付き",
    "runs.column.name": "名前",
    "runs.column.name.help": "自分で付けた名前です",
    "runs.column.model": "モデル",
    "runs.column.model.help": "小さくしたモデルです",
    "runs.column.asked": "目標",
    "runs.column.asked.help": "目標とその値です",
    "runs.column.method": "方法",
    "runs.column.method.help": "何を取り除くかの選び方です",
    "runs.column.removed": "削減率、%",
    "runs.column.removed.help": "取り除いたヘッド、ニューロン、チャネルの割合です",
    "runs.column.speedup": "速度、倍",
    "runs.column.speedup.help": (
        "元のモデルのレイテンシ÷小型モデルのレイテンシです。1より大きければ高速です"
    ),
    "runs.column.speedup_half": "±",
    "runs.column.speedup_half.help": "速度の95%信頼区間の半幅（長い方）です",
    "runs.column.accuracy": "正解率の差",
    "runs.column.accuracy.help": "正解率の元のモデルとの差（ポイント）です。高いほど良い値です",
    "runs.column.accuracy_half": "±",
    "runs.column.accuracy_half.help": "差の95%信頼区間の半幅（長い方）です",
    "runs.column.perplexity": "パープレキシティ",
    "runs.column.perplexity.help": (
        "パープレキシティの元のモデルからの変化（%）です。低いほど良い値です"
    ),
    "runs.column.perplexity_half": "±",
    "runs.column.perplexity_half.help": "変化の95%信頼区間の半幅（長い方）です",
    "runs.column.quality": "品質",
    "runs.column.quality.help": (
        "元のモデルからの変化と95%信頼区間の半幅です。正解率はポイント（"
        "高いほど良い）、パープレキシティは%（低いほど良い）"
        "です"
    ),
    "runs.column.size": "サイズ、MB",
    "runs.column.size.help": "小型モデルの重みファイルのサイズです",
    "runs.column.state": "状態",
    "runs.column.state.help": "実行の結果です",
    "runs.column.when": "日付",
    "runs.column.when.help": "実行を依頼した日です",
    "runs.column.device": "機器",
    "runs.column.device.help": "測定に使った機器です",
    "runs.change.pt": "{change} ± {half}ポイント",
    "runs.change.percent": "{change} ± {half}%",
    "runs.column.run": "実行",
    "runs.state.queued": "待機中",
    "runs.state.running": "実行中",
    "runs.state.finished": "完了",
    "runs.state.failed": "失敗",
    "runs.state.cancelled": "中止",
    "runs.state.interrupted": "中断",
    "runs.state.imported": "取り込み",
    "runs.state.example": "例",
    "runs.state.damaged": "破損",
    "runs.kind.survey": "調査",
    "runs.kind.timing": "時間測定",
    "runs.kind.check": "確認",
    "runs.kind.kit": "監視キット",
    "runs.title": "{model} · {asked} · {method}",
    "runs.title.survey": "{model} · 調査",
    "runs.title.timing": "{model} · ブロックの時間測定",
    "runs.title.check.ab": "{model} · データでの比較",
    "runs.title.check.shift": "{model} · データのずれ",
    "runs.title.check.stress": "{model} · 入力の乱れ",
    "runs.title.kit": "{model} · 監視キット",
    "runs.title.export": "{model} · {name}",
    "runs.done.survey": "**{model}**の調査が完了し、「検討」の推定に使われています。",
    "runs.done.timing": (
        "**{model}**のブロックの時間をこのマシンで測定しました。"
        "「検討」の速度の推定に使われています。"
    ),
    "runs.done.check": "**{model}**の確認が完了しました。結果は「確認」にあります。",
    "runs.done.kit": "**{model}**の監視キットができました。「判断」から取得できます。",
    "runs.done.export": "**{model}**の{name}ができました。「判断」から取得できます。",
    "runs.goal.met": ":material/check: 目標：{asked}。実測：**{achieved}**。目標を達成しました。",
    "runs.goal.missed": (
        ":material/close: 目標：{asked}。実測：**{achieved}**。目標に届きませんでした。"
    ),
    "runs.goal.interval": "{value}（95%信頼区間 {low}～{high}）",
    "runs.fact.batch": "バッチ{batch}",
    "runs.fact.timings": "測定{count:,}回",
    "runs.fact.tested": "評価：{items}{count}",
    "runs.fact.took": "所要時間{time}",
    "runs.model_at": ":material/folder: 小型モデル：`{path}`",
    "runs.model.none": (
        ":material/folder_off: 小型モデルはこのマシンにありません。計画から作り直せます。"
    ),
    "runs.model.example": (
        ":material/folder_off: 例に小型モデルは付属しません。もう一度実行すると作られます。"
    ),
    "runs.open.explore": "検討で開く",
    "runs.open.explain": "説明を見る",
    "runs.again": "もう一度実行",
    "runs.resume": "再開",
    "runs.star": "スターを付ける",
    "runs.unstar": "スターを外す",
    "runs.delete": "削除",
    "runs.deleted": "削除しました：{title}",
    "runs.undo": "元に戻す",
    "runs.download": "ダウンロード",
    "runs.plan": "計画（JSON）",
    "runs.report": "レポート（JSON）",
    "runs.bundle": "実行ファイル（zip）",
    "runs.bundle.what": "別の環境に取り込むためのファイルです。重みは含みません。",
    "runs.log": "ログ",
    "runs.name": "名前",
    "runs.name.help": "200文字までです。空欄なら設定から名付けます。",
    "runs.note": "メモ",
    "runs.problem": "この操作はできませんでした。",
    "runs.import": "実行を取り込む",
    "runs.import.body": (
        "別の環境からダウンロードした実行ファイル（.zip、{megabytes} MBまで"
        "）を選んでください。数値を確認したうえで「取り込み」として一覧に加えます。"
        "ファイルの中身がプログラムとして動くことはありません。"
    ),
    "runs.import.label": "実行ファイル",
    "runs.imported": "{title}を取り込みました。",
    "compare.title": "{count:,}件の比較",
    "compare.all": "異なる行だけでなく、すべての行を表示",
    "compare.csv": "すべてCSVで保存",
    "compare.row": "項目",
    "compare.run": "実行",
    "compare.and": "{before}、{after}",
    "compare.alt": "実行{count:,}件の設定と結果の比較です。",
    "compare.same": "表示する項目に違いはありません。",
    "compare.best": (
        "{mark}は各行で最も良い値です。差を測定できない場合は複数に付きます。"
        "元のモデルは対象外です。"
    ),
    "compare.alike": "設定は同じです。",
    "compare.differ": "異なる設定：{settings}。",
    "compare.differ.more": "異なる設定：{settings}、ほか{count:,}項目。",
    "compare.unfinished": "結果のない実行が{count:,}件あり、設定だけを比べます。",
    "compare.other_model": (
        "モデルまたは重みが異なるため、結果は比較できません。設定だけを比べます。"
    ),
    "compare.other_test": "評価データが異なるため、品質は比較できません。",
    "compare.other_timing": "測定条件が異なるため、最も速いものは示しません。",
    "compare.quality.measurable": (
        "**品質は{best}の方が良く**、{other}との差は{gap}（95%信頼区間 {interval}）"
        "で、測定できる差です。"
    ),
    "compare.quality.not": (
        "**品質に測定できる差はありません**。{best}に対する{other}の差は{gap}で"
        "す（95%信頼区間 {interval}）。"
    ),
    "compare.quality.best": (
        "**品質は{best}が最も良く**、次の{other}との差は{gap}（"
        "95%信頼区間 {interval}）で、測定できる差です。"
    ),
    "compare.quality.none": (
        "最も良い{best}を含む{count}件の間で、**品質に測定できる差はありません**。"
    ),
    "compare.quality.tied": (
        "**品質は{best}が最も良い**ものの、{unclear}との差は測定で"
        "きません。ほかの{count:,}件は測定できる差で劣ります。"
    ),
    "compare.speed.best": "最も速いのは{best}で、{other}の{factor}です（95%信頼区間 {interval}）。",
    "compare.speed.tied": "最も速いのは{best}で、互いの差は測定できません。",
    "compare.speed.not": "速度に測定できる差はありません。",
    "compare.speed.none_faster": "元のモデルより測定できるほど速いものはありません。",
    "compare.asked_met": "目標の実測",
    "compare.met": "{value}、達成",
    "compare.missed": "{value}、未達",
    "compare.removed": "削減した割合",
    "compare.quality": "{metric}（95%信頼区間）",
    "compare.change": "元のモデルとの差（95%信頼区間）",
    "compare.speedup": "速度（95%信頼区間）",
    "compare.latency": "レイテンシ",
    "compare.size": "ファイルサイズ",
    "compare.parameters": "パラメーター数",
    "compare.flops": "1回の演算量",
    "compare.device": "測定機器",
    "compare.timings": "測定回数",
    "compare.items": "評価件数",
    "compare.automatic": "自動",
    "compare.yes": "はい",
    "compare.no": "いいえ",
    "compare.lines": "全実行のトレードオフ",
    "compare.lines.alt": (
        "実行{count:,}件を1本ずつの線で示します。削減率、{metric}、"
        "速度、サイズの順で、上ほど良い値です。同じ数値は上の表にあります。"
    ),
    "compare.no_lines": "図はありません。同じモデルと評価データの結果が7件以上必要です。",
    "compare.axis.removed": "削減率、%",
    "compare.axis.accuracy": "正解率、%（上ほど良い）",
    "compare.axis.perplexity": "パープレキシティ、軸は逆向き（上ほど良い）",
    "compare.axis.speedup": "速度、元のモデル比（上ほど良い）",
    "compare.axis.size": "サイズ、MB、軸は逆向き（上ほど良い）",
    "compare.set.goal": "目標",
    "compare.set.model": "モデル",
    "compare.set.calibration": "キャリブレーションデータ",
    "compare.set.weights": "重みファイル",
    "compare.set.structures": "削除の対象",
    "compare.set.method": "方法",
    "compare.set.target": "再調整の目標",
    "compare.set.samples": "キャリブレーション件数",
    "compare.set.seqlen": "トークン数",
    "compare.set.batch_size": "マイクロバッチ",
    "compare.set.device": "指定した機器",
    "compare.set.dtype": "数値の型",
    "compare.set.seed": "シード",
    "compare.set.damping": "ダンピング",
    "compare.set.intercept": "バイアス補正",
    "compare.set.swaps": "入れ替え回数",
    "compare.set.certify": "下界の計算",
    "compare.set.round_to": "丸めの単位",
    "compare.set.refit_head": "分類層の再調整",
    "compare.set.image_size": "画像の一辺、ピクセル",
    "compare.set.trust_remote_code": "モデル付属のコード",
    "compare.set.budget": "層への配分",
    "compare.set.caps": "層ごとの上限",
    "compare.set.guards": "保護したグループ",
    "compare.set.plain_loadable": "標準のtransformers向け",
    "compare.set.gpu_memory": "GPUメモリの上限、バイト",
    "compare.set.host_memory": "ホストメモリの上限、バイト",
    "compare.set.gpus": "GPU数",
    "compare.set.refine": "改善の回数",
    "compare.set.data": "評価データ",
    "compare.set.limit": "評価件数の上限",
    "compare.set.measure_batch": "測定のバッチ",
    "compare.set.repeats": "測定の回数",
    "compare.set.release": "リリース",
}
