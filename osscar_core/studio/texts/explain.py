"""Explain: what was removed, layer by layer."""

ENGLISH = {
    "page.explain": "What was removed, and is it safe?",
    "explain.none": "No finished run yet",
    "explain.none.body": "Run one on Explore; here you will see what it removed, layer by layer.",
    "explain.go": "Go to Explore",
    "explain.lead": (
        "{removed} of {groups} {structures} removed from {units:layer|layers}. "
        "The output changed most in **{worst}** ({error}) and least in **{best}** ({least})."
    ),
    "explain.beats": (
        "In {better} of {count:layer|layers} the error is lower than with the magnitude baseline; "
        "the median is {factor} of it."
    ),
    "explain.kept": "Kept and removed, per layer",
    "explain.error": "Change of the layer's output, per layer",
    "explain.error.help": (
        "Mean squared error of the layer's output over its mean square, on the calibration data; "
        "beside it, the same for the largest-weights rule, re-fitted on the same statistics."
    ),
    "explain.kept.alt": (
        "Share of structures kept in each of {count:layer|layers}; see the table below."
    ),
    "explain.error.alt": (
        "Output error of each of {count:layer|layers} with {method} and the baseline."
    ),
    "explain.table": "Numbers per layer",
    "explain.layer": "Layer",
    "explain.layer.number": "layer {number}",
    "explain.structure": "Structure",
    "explain.before": "Before",
    "explain.after": "After",
    "explain.kept.share": "Kept",
    "explain.removed": "Removed",
    "explain.relative": "Error",
    "explain.magnitude": "Magnitude baseline",
    "explain.swaps": "Swaps",
    "explain.gap": "Gap to the best, at most",
    "explain.seconds": "Seconds",
    "explain.solver": "Solver",
    "explain.solver.body": (
        "{method}, target {target}, bias correction {intercept}, damping {damping}, seed {seed}. "
        "{swaps:swap|swaps} accepted. Search and re-fit {search}, everything {total}. "
        "Peak memory {memory}."
    ),
    "explain.provenance": "Where this comes from",
    "explain.warnings": "Worth knowing",
    "explain.key.model": "Model",
    "explain.key.weights": "Weights",
    "explain.key.revision": "Revision",
    "explain.key.sha": "SHA-256 of the weights",
    "explain.key.calibration": "Calibration data",
    "explain.key.digest": "Digest of that data",
    "explain.key.test": "Test data",
    "explain.key.test_digest": "Digest of that data",
    "explain.key.protocol": "Protocol",
    "explain.key.created": "Created",
    "explain.key.environment": "Versions",
    "explain.key.run": "Run",
    "explain.items": "{spec}, {count} {items}",
    "explain.windows": "windows of {seqlen} tokens",
    "explain.images": "images",
}

JAPANESE = {
    "page.explain": "何が削除され、なぜ安全なのか",
    "explain.none": "完了した実行がまだありません",
    "explain.none.body": (
        "「検討」で実行してください。何が削除されたかを層ごとにここで確認できます。"
    ),
    "explain.go": "「検討」へ",
    "explain.lead": (
        "{units}層で、{structures}を{groups}個のうち{removed}個削除しました。"
        "出力の変化が最も大きいのは**{worst}**（{error}）、最も小さいのは**{best}**（{least}）です。"
    ),
    "explain.beats": (
        "{count}層のうち{better}層で、誤差は重みの大きさで選ぶ方法より小さくなりました。"
        "中央値はその{factor}です。"
    ),
    "explain.kept": "層ごとの残した割合と削除した割合",
    "explain.error": "層ごとの出力の変化",
    "explain.error.help": (
        "キャリブレーションデータでの、層の出力の平均二乗誤差を出力の二乗平均で割った値です。"
        "隣は、重みの大きさで選び、同じ統計量で再調整した場合の値です。"
    ),
    "explain.kept.alt": "{count}層それぞれの残した割合。数値は下の表にあります。",
    "explain.error.alt": "{count}層それぞれの出力の誤差。{method}と基準の方法を並べています。",
    "explain.table": "層ごとの数値",
    "explain.layer": "層",
    "explain.layer.number": "第{number}層",
    "explain.structure": "構造",
    "explain.before": "削除前",
    "explain.after": "削除後",
    "explain.kept.share": "残した割合",
    "explain.removed": "削減率",
    "explain.relative": "誤差",
    "explain.magnitude": "基準（重みの大きさ）",
    "explain.swaps": "入れ替え",
    "explain.gap": "最善との差（上限）",
    "explain.seconds": "秒",
    "explain.solver": "ソルバー",
    "explain.solver.body": (
        "{method}、目標は{target}、バイアス補正は{intercept}、ダンピングは{damping}、シードは{seed}。"
        "入れ替えは{swaps:,}回。探索と再調整に{search}、全体で{total}。"
        "最大メモリは{memory}。"
    ),
    "explain.provenance": "この数値の出どころ",
    "explain.warnings": "知っておいていただきたいこと（英語）",
    "explain.key.model": "モデル",
    "explain.key.weights": "重み",
    "explain.key.revision": "リビジョン",
    "explain.key.sha": "重みのSHA-256",
    "explain.key.calibration": "キャリブレーションデータ",
    "explain.key.digest": "そのデータのダイジェスト",
    "explain.key.test": "テストデータ",
    "explain.key.test_digest": "そのデータのダイジェスト",
    "explain.key.protocol": "評価の手順",
    "explain.key.created": "作成日時",
    "explain.key.environment": "バージョン",
    "explain.key.run": "実行",
    "explain.items": "{spec}、{items}：{count}",
    "explain.windows": "{seqlen}トークンの窓",
    "explain.images": "画像",
}
