"""Decide: is it worth it, and how is it taken away and watched."""

ENGLISH = {
    "page.decide": "Is it worth it?",
    "decide.none.body": "Make one on Explore; here you decide about it and take it away.",
    "decide.lead": (
        "This is about the pruned model of **{title}** · `{id}`. Another one: sidebar, Run."
    ),
    "decide.reasons": "Three reasons that decided",
    "decide.rest": "The other evidence",
    "decide.finding": "**{name}: {grade}.** {text}",
    "decide.and": "{first}, {second}",
    "decide.missing": "{missing} of {count} pieces of evidence missing.",
    "decide.missing.which": "Not measured yet: {names}.",
    "decide.complete": "All {count} pieces of evidence were measured.",
    "decide.link.see.explore": "Show on Explore",
    "decide.link.make.explore": "Go to Explore",
    "decide.link.see.check": "Show on Check",
    "decide.link.make.check": "Measure it on Check",
    "decide.link.savings": "To the savings",
    "decide.basis.here": "Measured here, on {device} · `{id}`.",
    "decide.basis.elsewhere": (
        "Measured elsewhere, on **{device}** · `{id}`. Another machine may give other speeds."
    ),
    "decide.basis.check": "{name}, {count} items, {date} · `{id}`.",
    "decide.basis.margin": "Margin {margin}, fixed before.",
    # Savings
    "decide.savings": "Savings",
    "decide.savings.what": (
        "The speed-up is measured. Everything else is **your assumption** until you say that you "
        "measured it; replace what you know. Nothing is computed while you type."
    ),
    "decide.savings.not_yet": (
        "Savings count as evidence once you have looked at the assumptions and pressed the button."
    ),
    "decide.currency": "Currency",
    "decide.currency.yen": "yen",
    "decide.currency.dollar": "dollar",
    "decide.speedup": "{value} (95% interval {interval}), **measured** on {device}",
    "decide.source": "Tag",
    "decide.source.assumed": "your assumption",
    "decide.source.measured": "measured",
    "decide.more": "More assumptions",
    "decide.compute": "Compute with these values",
    "decide.refused.order": "\u201c{name}\u201d cannot be computed with.",
    "decide.refused.order.todo": "Give all three values: low, typical, high, in this order.",
    "decide.refused.watts": "\u201c{name}\u201d is below the power of a waiting machine.",
    "decide.refused.watts.todo": "A busy machine takes at least as much as a waiting one.",
    "decide.refused.safe": "What was computed before is still shown.",
    "decide.result.gain": "It pays: {net} net over {years} years ({low} to {high}).",
    "decide.result.loss": (
        "With these values it does not pay: it costs {net} more than it saves over {years} years "
        "({low} to {high}). That is a result, too."
    ),
    "decide.result.unclear": (
        "It may pay or not: {net} net over {years} years, and anything from {low} to {high}."
    ),
    "decide.result.yearly": (
        "Saved a year: {money} ({low} to {high}). Effort paid back after: {month}. "
        "Net gain in {chance} of the cases."
    ),
    "decide.result.yearly.none": (
        "Saved a year: {money} ({low} to {high}), which pays back no effort. "
        "Net gain in {chance} of the cases."
    ),
    "decide.swing.told": "{name} = {value}: net {net}",
    "decide.swing.axis.yen": "Net over {years} years, ¥",
    "decide.swing.axis.dollar": "Net over {years} years, $",
    "decide.swing.low": "at its low value (hatched)",
    "decide.swing.high": "at its high value",
    "decide.swing.alt": "{matters}. {low}; {high}.",
    # Take home
    "decide.take": "Take home",
    "decide.take.what": "Every file with its size, its SHA-256 and what was verified about it.",
    "decide.sum": "SHA-256 of {name}: `{sha256}`",
    "decide.sums": "All checksums, to copy",
    "decide.sums.what": "In the form that `sha256sum -c` reads, beside the unpacked folders.",
    "decide.too_large": (
        "More than {size} are not sent through a browser. Copy this folder on the server:"
    ),
    "decide.model": "Model",
    "decide.model.what": (
        "For OSSCAR Studio and its Python library: a folder with safetensors, configuration and "
        "plan, as a zip file."
    ),
    "decide.model.get": "Download the model",
    "decide.model.load": "How to load it",
    "decide.model.checked": (
        "Reloaded and measured: {metric} {value} on {count} {items} is of the model loaded from "
        "this very file. The file is checked against the sum again when it is packed."
    ),
    "decide.model.unchecked": (
        "This run is older than the record of checksums. Measure the point again to have one."
    ),
    "decide.model.none.example": (
        "The example brings its numbers, and no weights. Measure this point to get the model."
    ),
    "decide.model.none.imported": (
        "This run was imported with its numbers, and without weights. Measure this point here to "
        "get the model."
    ),
    "decide.model.none.gone": (
        "The model of this run is not here any more. Delete the run under Runs and measure the "
        "point again."
    ),
    "decide.model.make": "Measure this point here",
    "decide.report": "Report",
    "decide.report.what": (
        "Two pages to print and an appendix, as one HTML file that asks no server."
    ),
    "decide.report.get": "Report, {language}",
    "decide.report.checked": "Made from the same records as this page; no external request.",
    "decide.report.none": "No report can be made.",
    "decide.kit": "Monitoring kit",
    "decide.kit.what": (
        "A folder that needs torch only: it raises an alarm when data drifts, compares with the "
        "dense model and says how to go back to it."
    ),
    "order.kit.make": "Make the kit",
    "decide.kit.get": "Download the kit",
    "order.kit.none": "A kit holds the model, and the model is not here: get that first.",
    "order.kit.damaged": (
        "The kit that was made cannot be read. Delete its run under Runs and make it again."
    ),
    "decide.kit.same": (
        "The exported model answers like the loaded one: largest difference {difference}, "
        "relative to the largest output."
    ),
    "decide.kit.alarms": (
        "False alarms on unchanged data, {size} items at a time: {alarms} of {resamples} = {rate} "
        "(95% interval {low} to {high}; set for {wanted})."
    ),
    "decide.kit.note": "{text}",
    "decide.kit.took": "Made in {time} · `{id}`.",
    "decide.numbers": "Numbers of the run",
    "decide.numbers.what": "All measurements, conditions and the plan, for other programs.",
    "decide.numbers.get.json": "Result (JSON)",
    "decide.numbers.get.zip": "Run bundle, to import elsewhere",
    "decide.numbers.example": "Every installation has this example, so it needs no bundle.",
}

JAPANESE = {
    "page.decide": "導入する価値があるか？",
    "decide.none.body": (
        "「検討」で作成してください。ここでは導入を判断し、モデルを持ち出せます。"
    ),
    "decide.lead": (
        "対象は **{title}** の小型モデルです · `{id}`。変更はサイドバーの「実行」で行います。"
    ),
    "decide.reasons": "決め手となった3つの理由",
    "decide.rest": "その他の根拠",
    "decide.finding": "**{name}：{grade}** {text}",
    "decide.and": "{first}、{second}",
    "decide.missing": "根拠{count}件のうち{missing}件が不足しています。",
    "decide.missing.which": "未測定：{names}。",
    "decide.complete": "根拠{count}件はすべて測定済みです。",
    "decide.link.see.explore": "「検討」で見る",
    "decide.link.make.explore": "「検討」へ移動",
    "decide.link.see.check": "「確認」で見る",
    "decide.link.make.check": "「確認」で測定する",
    "decide.link.savings": "節約へ移動",
    "decide.basis.here": "この環境で測定：{device} · `{id}`。",
    "decide.basis.elsewhere": (
        "別の環境で測定：**{device}** · `{id}`。マシンが異なると速度も変わることがあります。"
    ),
    "decide.basis.check": "{name}、{count}件、{date} · `{id}`。",
    "decide.basis.margin": "許容範囲は事前に{margin}と定めました。",
    "decide.savings": "節約",
    "decide.savings.what": (
        "高速化率は測定値です。それ以外は、測定したと指定するまで**あなたの仮定**として扱います。"
        "分かる値に置き換えてください。入力中は計算しません。"
    ),
    "decide.savings.not_yet": "仮定を確認してボタンを押すと、節約が根拠に加わります。",
    "decide.currency": "通貨",
    "decide.currency.yen": "円",
    "decide.currency.dollar": "ドル",
    "decide.speedup": "{value}（95%区間 {interval}）、{device}での**測定値**です",
    "decide.source": "種別",
    "decide.source.assumed": "あなたの仮定",
    "decide.source.measured": "測定値",
    "decide.more": "その他の仮定",
    "decide.compute": "この値で計算する",
    "decide.refused.order": "「{name}」の値では計算できません。",
    "decide.refused.order.todo": "低い値、標準値、高い値の順に3つとも入力してください。",
    "decide.refused.watts": "「{name}」が待機中の電力を下回っています。",
    "decide.refused.watts.todo": "稼働中の電力は待機中の電力以上にしてください。",
    "decide.refused.safe": "前回の計算結果はそのまま表示しています。",
    "decide.result.gain": "採算が取れます：{years}年間の正味は{net}です（{low}～{high}）。",
    "decide.result.loss": (
        "この値では採算が取れません：{years}年間で、節約額より費用が{net}多くなります"
        "（正味{low}～{high}）。これも有益な結果です。"
    ),
    "decide.result.unclear": (
        "採算が取れるかどうか定まりません：{years}年間の正味は{net}、範囲は{low}～{high}です。"
    ),
    "decide.result.yearly": (
        "年間の節約額：{money}（{low}～{high}）。回収期間：{month}。"
        "正味でプラスになる場合の割合：{chance}。"
    ),
    "decide.result.yearly.none": (
        "年間の節約額：{money}（{low}～{high}）のため、導入費用の回収にはなりません。"
        "正味でプラスになる場合の割合：{chance}。"
    ),
    "decide.swing.told": "{name}が{value}の場合：正味{net}",
    "decide.swing.axis.yen": "{years}年間の正味（万円）",
    "decide.swing.axis.dollar": "{years}年間の正味（ドル）",
    "decide.swing.low": "低い値の場合（斜線）",
    "decide.swing.high": "高い値の場合",
    "decide.swing.alt": "{matters}。{low}。{high}。",
    "decide.take": "持ち出す",
    "decide.take.what": "各ファイルのサイズ、SHA-256、検証した内容を示します。",
    "decide.sum": "{name}のSHA-256：`{sha256}`",
    "decide.sums": "すべてのチェックサム（コピー用）",
    "decide.sums.what": "`sha256sum -c`で読める形式です。展開した場所で実行します。",
    "decide.too_large": (
        "{size}を超えるため、ブラウザーでは送信しません。サーバーの次のフォルダーを"
        "コピーしてください："
    ),
    "decide.model": "モデル",
    "decide.model.what": (
        "OSSCAR StudioとそのPythonライブラリ用です。safetensors、設定、計画を収めたフォルダーの"
        "zipファイルです。"
    ),
    "decide.model.get": "モデルをダウンロード",
    "decide.model.load": "読み込み方",
    "decide.model.checked": (
        "再読み込みして測定済み：{metric}{value}（{items}{count}件）は、このファイルから読み込んだ"
        "モデルの値です。圧縮時にもチェックサムを照合します。"
    ),
    "decide.model.unchecked": (
        "この実行はチェックサムの記録がない版のものです。もう一度測定すると記録されます。"
    ),
    "decide.model.none.example": (
        "この例には数値だけがあり、重みはありません。この条件を測定するとモデルを入手できます。"
    ),
    "decide.model.none.imported": (
        "取り込んだ実行には数値だけがあり、重みはありません。ここで測定するとモデルを入手できます。"
    ),
    "decide.model.none.gone": (
        "この実行のモデルはもうありません。「実行履歴」で実行を削除し、もう一度測定してください。"
    ),
    "decide.model.make": "この条件をここで測定する",
    "decide.report": "レポート",
    "decide.report.what": "印刷用の2ページと付録です。サーバーに接続しない1つのHTMLファイルです。",
    "decide.report.get": "レポート（{language}）",
    "decide.report.checked": "この画面と同じ記録から作成しています。外部への通信はありません。",
    "decide.report.none": "レポートを作成できません。",
    "decide.kit": "監視キット",
    "decide.kit.what": (
        "torchだけで動くフォルダーです。データが変化すると警報を出し、元のモデルと比べ、"
        "元に戻す方法も示します。"
    ),
    "order.kit.make": "キットを作成する",
    "decide.kit.get": "キットをダウンロード",
    "order.kit.none": (
        "キットにはモデルが必要ですが、ここにはありません。先にモデルを入手してください。"
    ),
    "order.kit.damaged": (
        "作成したキットを読み込めません。「実行履歴」で削除し、もう一度作成してください。"
    ),
    "decide.kit.same": (
        "書き出したモデルの出力は元と一致します：最大の差は{difference}です（最大出力に対する比）。"
    ),
    "decide.kit.alarms": (
        "変化のないデータでの誤警報（1回{size}件）：{resamples}回中{alarms}回＝{rate}"
        "（95%区間 {low}～{high}、設定は{wanted}）。"
    ),
    "decide.kit.note": "（英語）{text}",
    "decide.kit.took": "作成時間：{time} · `{id}`。",
    "decide.numbers": "実行の数値",
    "decide.numbers.what": "すべての測定値、条件、計画です。他のプログラムで利用できます。",
    "decide.numbers.get.json": "結果（JSON）",
    "decide.numbers.get.zip": "実行ファイル（別の環境で取り込み用）",
    "decide.numbers.example": "この例はどの環境にもあるため、持ち出す必要はありません。",
}
