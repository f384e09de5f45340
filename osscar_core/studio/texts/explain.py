"""Explain: what was removed, layer by layer, what speaks for it, and both models side by side."""

ENGLISH = {
    "page.explain": "What was removed, and is it safe?",
    "explain.none": "No finished run yet",
    "explain.none.body": "Run one on Explore; here you will see what it removed, layer by layer.",
    "explain.go": "Go to Explore",
    "explain.live": (
        "This run is not finished. What it removes is explained here as soon as it is."
    ),
    "explain.damaged": "The other runs and their models are not affected.",
    "explain.damaged.todo": "Start the run again from Runs, or look at another one.",
    "explain.to_runs": "All runs",
    "explain.to_newest": "Explain the newest finished run",
    "explain.sentences": "{first} {second}",
    "explain.comma": "{first}, {second}",
    "explain.and": "{first} and {second}",
    "explain.lead": "{parts} were removed from {units:layer|layers}.",
    "explain.lead.part": "{removed} of {groups} {structure}",
    "explain.lead.change": (
        "The output changed most in **{worst}** ({error}) and least in **{best}** ({least})."
    ),
    "explain.spread.even": "Every layer lost about the same share, {removed}.",
    "explain.spread.others": (
        "{untouched:layer|layers} lost nothing, each of the others about the same share, {removed}."
    ),
    "explain.spread.less": (
        "Most was removed from {layers} ({removed}), where the output changed less than elsewhere "
        "(median {there} against {elsewhere})."
    ),
    "explain.spread.more": (
        "Most was removed from {layers} ({removed}). The output changed more there than elsewhere "
        "(median {there} against {elsewhere})."
    ),
    "explain.layers": "**layers {names}**",
    "explain.layers.one": "**layer {names}**",
    "explain.layers.more": "{names} and {count} more",
    "explain.layers.structure": "{structure} of {layers}",
    "explain.beats": (
        "In {better} of {count:layer|layers} the error is lower than with the magnitude baseline; "
        "the median is {factor} of it."
    ),
    "explain.quality.same": (
        "**{metric} of the whole model on test data: {dense} → {pruned}.** The 95% interval of "
        "the change, {interval}, includes zero: no loss is proven, and none is ruled out."
    ),
    "explain.quality.worse": (
        "**{metric} of the whole model on test data: {dense} → {pruned}.** The loss is real: "
        "{change}, with a 95% interval of {interval}."
    ),
    "explain.quality.better": (
        "**{metric} of the whole model on test data: {dense} → {pruned}.** It became better: "
        "{change}, with a 95% interval of {interval}."
    ),
    "explain.bounds.proven": (
        "In {proven} of {count:layer|layers} no better choice of this size exists: that is proven."
    ),
    "explain.bounds.some": (
        "In {bounded} of {count:layer|layers} a better choice of this size would save at most "
        "{gap} (median) of what the removal costs."
    ),
    "explain.bounds.loose": (
        "For {rest} of {count:layer|layers} the bound is too loose to say how good the choice is."
    ),
    "explain.map": "What stays, layer by layer",
    "explain.map.help": (
        "One row a layer, from the input at the top to the output. Within a row, the order is "
        "that in which the model stores them."
    ),
    "explain.map.unknown": (
        "The file of this run says how many groups stay in each layer, not which."
    ),
    "explain.map.axis": "{structure}, by number",
    "explain.map.legend": "Filled: stays. Hollow: removed.",
    "explain.map.bins": (
        "A square stands for up to {most} neighbouring groups and is filled as far as they stay."
    ),
    "explain.map.lock": "protected, nothing may be removed.",
    "explain.map.click": "Click a square or a bar for that layer.",
    "explain.map.alt": (
        "Map of the {structure} of {count:layer|layers}: {kept} of {groups} stay. "
        "The table below lists them."
    ),
    "explain.kept": "Stays",
    "explain.cell.kept": "{layer}<br>{group} stays",
    "explain.cell.removed": "{layer}<br>{group} removed",
    "explain.cell.bin": "{layer}<br>{groups}: {kept} of {count} stay ({share})",
    "explain.cell.total": "{layer}<br>{kept} of {groups} stay",
    "explain.shares": "Removed from each layer",
    "explain.shares.alt": (
        "Share removed from each of {count:layer|layers}. The table below has the numbers."
    ),
    "explain.error": "Change of each layer's output",
    "explain.error.help": (
        "Mean squared error of the layer's output over its mean square, on the calibration data; "
        "beside it, the same for the largest-weights rule, re-fitted on the same statistics."
    ),
    "explain.error.alt": (
        "Output error of each of {count:layer|layers} with {method} and with the baseline. "
        "The table below has the numbers."
    ),
    "explain.error.zero": (
        "{count:layer|layers} did not change at all and cannot stand on this scale."
    ),
    "explain.axis.removed": "Removed, %",
    "explain.axis.error": "Output error, %",
    "explain.axis.error_log": "Output error, % (log scale)",
    "explain.axis.divergence": "Divergence, nats",
    "explain.detail": "One layer in detail",
    "explain.detail.help": "Or click a square, a bar or a mark in any of the figures.",
    "explain.detail.removed": "{removed} of {groups} {structure} ({share})",
    "explain.rank": "{place} of {count}",
    "explain.rank.error": "Rank by error",
    "explain.rank.sensitivity": "Rank by sensitivity, cut by half",
    "explain.gap.whole": "nothing removed",
    "explain.gap.proven": "none: proven best",
    "explain.gap.bounded": "at most {gap}",
    "explain.gap.useless": "bound too loose to tell",
    "explain.gap.unknown": "not bounded",
    "explain.protected": "Protected",
    "explain.protected.all": "nothing may be removed",
    "explain.path": "Module",
    "explain.sensitivity": "If this layer alone is cut",
    "explain.sensitivity.help": (
        "Divergence of the whole model's answers from the dense model's (Kullback-Leibler, "
        "mean over {count} predictions of the calibration data), measured with only this "
        "layer cut and re-fitted."
    ),
    "explain.sensitivity.measured": "measured",
    "explain.sensitivity.between": "in between, estimated",
    "explain.sensitivity.here": "this run's width",
    "explain.sensitivity.alt": "{layer} alone, divergence by share removed: {values}.",
    "explain.sensitivity.none": (
        "How sensitive the model is to this layer alone was not measured: there is no survey "
        "of this model with these settings."
    ),
    "explain.protect": "Protect this layer",
    "explain.protect.help": "Go to Explore and remove nothing from {layer} in the next run.",
    "explain.protect.next": "Protected in the next run",
    "explain.protect.undo": "Stop protecting it",
    "explain.table": "Numbers per layer",
    "explain.layer": "Layer",
    "explain.layer.number": "layer {number}",
    "explain.layer.named": "{layer}, {structure}",
    "explain.structure": "Structure",
    "explain.before": "Before",
    "explain.after": "After",
    "explain.removed": "Removed",
    "explain.relative": "Output error",
    "explain.magnitude": "Magnitude baseline",
    "explain.swaps": "Swaps",
    "explain.gap": "Gap to the best",
    "explain.seconds": "Seconds",
    "explain.groups": "Which stay",
    "explain.groups.unknown": "not stored",
    "explain.solver": "Solver",
    "explain.objective": "smallest squared change of every layer's output",
    "explain.solver.body": (
        "{method}. Objective: {objective}; reached {median} (median), {most} at most. "
        "Target {target}, bias correction {intercept}, damping {damping}, seed {seed}. "
        "{swaps:swap|swaps} accepted. Search and re-fit {search}, everything {total}. "
        "Peak memory {memory}."
    ),
    "explain.budget": (
        "Spread over the layers by measured sensitivity on {probes:item|items}: predicted "
        "divergence {predicted} nats, and no choice of this price is predicted below {bound}."
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
    "showcase.title": "Both models on the same input",
    "showcase.none": (
        "There is nothing to look at for this run: examples are kept for runs made here and "
        "for the shipped runs of OSSCAR."
    ),
    "showcase.how.image": (
        "Of the first {seen} test pictures of `{data}`: {counts}. Those below were picked to show "
        "every kind of change first; **they are no random sample**."
    ),
    "showcase.how.sample": (
        "Of {seen} test pictures of `{data}`, drawn at random: {counts}. Those below were picked "
        "to show every kind of change first; **they are no random sample**."
    ),
    "showcase.how.text": (
        "{count:passage|passages}, cut at even distances from the first {seen} windows of the test "
        "text `{data}`, whatever the models say. Both always take the likeliest next token."
    ),
    "showcase.choose": "Choose one",
    "showcase.fate.lost": "right before and wrong now",
    "showcase.fate.gained": "wrong before and right now",
    "showcase.fate.moved": "wrong in another way",
    "showcase.fate.wrong": "wrong in the same way",
    "showcase.fate.right": "right before and now",
    "showcase.fate.lost.short": "lost",
    "showcase.fate.gained.short": "gained",
    "showcase.fate.moved.short": "wrong, changed",
    "showcase.fate.wrong.short": "wrong, as before",
    "showcase.fate.right.short": "right",
    "showcase.model.dense": "Dense model",
    "showcase.model.pruned": "Pruned model",
    "showcase.right": "right",
    "showcase.wrong": "wrong",
    "showcase.truth": "True class: **{truth}**",
    "showcase.class": "class {number}",
    "showcase.axis": "Probability, %; true class hatched",
    "showcase.picture.alt": "Test picture {position}; its true class is {truth}.",
    "showcase.answers.alt": "{model}: {answers}.",
    "showcase.prompt": "Both models read",
    "showcase.text.truth": "The text really goes on like this",
    "showcase.end": "(end)",
    "showcase.same": "Both models go on in the same words.",
    "showcase.differs": "Marked: from the first token on that is not the other model's.",
    "showcase.perplexity": "Perplexity of the real text: **{value}**",
    "showcase.perplexity.help": (
        "How surprised this model is by the passage and its real continuation, over "
        "{count:predicted token|predicted tokens}; lower is better."
    ),
}

JAPANESE = {
    "page.explain": "何が削除され、なぜ安全なのか",
    "explain.none": "完了した実行がまだありません",
    "explain.none.body": (
        "「検討」で実行してください。何が削除されたかを層ごとにここで確認できます。"
    ),
    "explain.go": "「検討」へ",
    "explain.live": "この実行はまだ完了していません。完了すると、削除の内容をここで説明します。",
    "explain.damaged": "ほかの実行とそのモデルに影響はありません。",
    "explain.damaged.todo": "「実行履歴」からもう一度実行するか、ほかの実行をご覧ください。",
    "explain.to_runs": "すべての実行",
    "explain.to_newest": "完了した最新の実行を見る",
    "explain.sentences": "{first}{second}",
    "explain.comma": "{first}、{second}",
    "explain.and": "{first}と{second}",
    "explain.lead": "{units:,}層から、{parts}を削除しました。",
    "explain.lead.part": "{structure}{groups}個のうち{removed}個",
    "explain.lead.change": (
        "出力の変化が最も大きいのは**{worst}**（{error}）、最も小さいのは**{best}**（{least}）です。"
    ),
    "explain.spread.even": "削減率はどの層もほぼ同じ{removed}です。",
    "explain.spread.others": (
        "{untouched:,}層からは何も削除せず、ほかの層の削減率はほぼ同じ{removed}です。"
    ),
    "explain.spread.less": (
        "最も多く削除したのは{layers}（{removed}）で、出力の変化はほかの層より小さく"
        "なっています（中央値{there}、ほかは{elsewhere}）。"
    ),
    "explain.spread.more": (
        "最も多く削除したのは{layers}（{removed}）です。出力の変化はほかの層より大きく"
        "なっています（中央値{there}、ほかは{elsewhere}）。"
    ),
    "explain.layers": "**第{names}層**",
    "explain.layers.one": "**第{names}層**",
    "explain.layers.more": "{names}ほか{count}層",
    "explain.layers.structure": "{layers}の{structure}",
    "explain.beats": (
        "{count:,}層のうち{better}層で、誤差は重みの大きさで選ぶ方法より小さくなりました。"
        "中央値はその{factor}です。"
    ),
    "explain.quality.same": (
        "**テストデータでのモデル全体の{metric}：{dense} → {pruned}**。変化の95%信頼区間"
        "（{interval}）はゼロを含みます。低下は証明されず、否定もされていません。"
    ),
    "explain.quality.worse": (
        "**テストデータでのモデル全体の{metric}：{dense} → {pruned}**。低下は確かです："
        "{change}（95%信頼区間は{interval}）。"
    ),
    "explain.quality.better": (
        "**テストデータでのモデル全体の{metric}：{dense} → {pruned}**。改善しました："
        "{change}（95%信頼区間は{interval}）。"
    ),
    "explain.bounds.proven": (
        "{count:,}層のうち{proven}層では、同じ数でこれより良い選び方がないと証明されています。"
    ),
    "explain.bounds.some": (
        "{count:,}層のうち{bounded}層では、同じ数でより良い選び方があっても、"
        "減らせるのは削除による損失の{gap}（中央値）までです。"
    ),
    "explain.bounds.loose": (
        "{count:,}層のうち{rest}層では、限界が緩く、選び方の良さは分かりません。"
    ),
    "explain.map": "層ごとに残したもの",
    "explain.map.help": (
        "1行が1つの層で、上が入力側、下が出力側です。横の順番はモデルに保存されている順です。"
    ),
    "explain.map.unknown": (
        "この実行のファイルには、各層でいくつ残したかだけがあり、どれを残したかは保存されていません。"
    ),
    "explain.map.axis": "{structure}の番号",
    "explain.map.legend": "塗りつぶしは残したもの、白抜きは削除したものです。",
    "explain.map.bins": (
        "1つの四角は隣り合う最大{most}個を表し、塗りつぶしの高さが残した割合です。"
    ),
    "explain.map.lock": "保護されており、何も削除されません。",
    "explain.map.click": "四角や棒をクリックすると、その層の詳細を表示します。",
    "explain.map.alt": (
        "{count:,}層の{structure}の図。{groups}個のうち{kept}個を残しています。一覧は下の表にあります。"
    ),
    "explain.kept": "残したもの",
    "explain.cell.kept": "{layer}<br>{group}番：残した",
    "explain.cell.removed": "{layer}<br>{group}番：削除した",
    "explain.cell.bin": "{layer}<br>{groups}番：{count}個のうち{kept}個を残した（{share}）",
    "explain.cell.total": "{layer}<br>{groups}個のうち{kept}個を残した",
    "explain.shares": "層ごとの削減率",
    "explain.shares.alt": "{count:,}層それぞれの削減率。数値は下の表にあります。",
    "explain.error": "層ごとの出力の変化",
    "explain.error.help": (
        "キャリブレーションデータでの、層の出力の平均二乗誤差を出力の二乗平均で割った値です。"
        "隣は、重みの大きさで選び、同じ統計量で再調整した場合の値です。"
    ),
    "explain.error.alt": (
        "{count:,}層それぞれの出力の誤差。{method}と基準の方法を並べています。"
        "数値は下の表にあります。"
    ),
    "explain.error.zero": "{count:,}層はまったく変化しておらず、この目盛りには表せません。",
    "explain.axis.removed": "削減率（%）",
    "explain.axis.error": "出力の誤差（%）",
    "explain.axis.error_log": "出力の誤差（%、対数目盛）",
    "explain.axis.divergence": "出力のずれ（ナット）",
    "explain.detail": "1つの層の詳細",
    "explain.detail.help": "図の四角、棒、印のどれをクリックしても選べます。",
    "explain.detail.removed": "{structure}{groups}個のうち{removed}個（{share}）",
    "explain.rank": "{count}層中{place}位",
    "explain.rank.error": "誤差の大きさの順位",
    "explain.rank.sensitivity": "半分削除したときの影響の順位",
    "explain.gap.whole": "削除なし",
    "explain.gap.proven": "差なし（最善と証明済み）",
    "explain.gap.bounded": "最大で{gap}",
    "explain.gap.useless": "限界が緩く不明",
    "explain.gap.unknown": "未計算",
    "explain.protected": "保護",
    "explain.protected.all": "何も削除しません",
    "explain.path": "モジュール",
    "explain.sensitivity": "この層だけを削った場合",
    "explain.sensitivity.help": (
        "この層だけを削って再調整したときに、モデル全体の答えが元のモデルからどれだけずれるかを測った値です"
        "（カルバック・ライブラー情報量、キャリブレーションデータの{count}個の予測の平均）。"
    ),
    "explain.sensitivity.measured": "実測",
    "explain.sensitivity.between": "その間の推定値",
    "explain.sensitivity.here": "この実行",
    "explain.sensitivity.alt": "{layer}だけを削ったときの、削減率ごとの出力のずれ：{values}。",
    "explain.sensitivity.none": (
        "この層だけを削ったときの影響は測定されていません。"
        "このモデルとこの設定での調査がまだないためです。"
    ),
    "explain.protect": "この層を保護する",
    "explain.protect.help": "「検討」へ移り、次の実行では{layer}から何も削除しないようにします。",
    "explain.protect.next": "次の実行で保護されます",
    "explain.protect.undo": "保護をやめる",
    "explain.table": "層ごとの数値",
    "explain.layer": "層",
    "explain.layer.number": "第{number}層",
    "explain.layer.named": "{layer}の{structure}",
    "explain.structure": "構造",
    "explain.before": "削除前",
    "explain.after": "削除後",
    "explain.removed": "削減率",
    "explain.relative": "出力の誤差",
    "explain.magnitude": "基準（重みの大きさ）",
    "explain.swaps": "入れ替え",
    "explain.gap": "最善との差",
    "explain.seconds": "秒",
    "explain.groups": "残した番号",
    "explain.groups.unknown": "保存なし",
    "explain.solver": "ソルバー",
    "explain.objective": "各層の出力の二乗誤差の最小化",
    "explain.solver.body": (
        "{method}。目的は{objective}で、到達した値は中央値{median}、最大{most}です。"
        "再調整の目標は{target}、バイアス補正は{intercept}、ダンピングは{damping}、シードは{seed}。"
        "入れ替えは{swaps:,}回。探索と再調整に{search}、全体で{total}。"
        "最大メモリは{memory}。"
    ),
    "explain.budget": (
        "層への配分は、{probes:,}個のデータで測った影響の大きさによります。予測した出力のずれは{predicted}ナットで、"
        "同じ大きさで{bound}を下回る配分はないと予測されます。"
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
    "showcase.title": "同じ入力に対する両モデルの答え",
    "showcase.none": (
        "この実行には比べられる例がありません。例があるのは、ここで行った実行と、"
        "OSSCARの付属サンプルです。"
    ),
    "showcase.how.image": (
        "`{data}`の最初の{seen}枚のテスト画像の内訳：{counts}。下の画像は変化の種類を優先して選んだもので、"
        "**無作為に選んだものではありません**。"
    ),
    "showcase.how.sample": (
        "`{data}`から無作為に選んだ{seen}枚のテスト画像の内訳：{counts}。下の画像は変化の種類を優先して選んだもので、"
        "**無作為に選んだものではありません**。"
    ),
    "showcase.how.text": (
        "テスト用のテキスト`{data}`の最初の{seen}個の窓から、モデルの答えに関係なく等間隔に切り出した{count:,}個の文章です。"
        "両モデルとも、常に最も確率の高いトークンを続けます。"
    ),
    "showcase.choose": "例を選ぶ",
    "showcase.fate.lost": "正解から不正解へ",
    "showcase.fate.gained": "不正解から正解へ",
    "showcase.fate.moved": "別の不正解へ",
    "showcase.fate.wrong": "同じ不正解のまま",
    "showcase.fate.right": "正解のまま",
    "showcase.fate.lost.short": "悪化",
    "showcase.fate.gained.short": "改善",
    "showcase.fate.moved.short": "別の不正解",
    "showcase.fate.wrong.short": "同じ不正解",
    "showcase.fate.right.short": "正解のまま",
    "showcase.model.dense": "元のモデル",
    "showcase.model.pruned": "小型モデル",
    "showcase.right": "正解",
    "showcase.wrong": "不正解",
    "showcase.truth": "正しいクラス：**{truth}**",
    "showcase.class": "クラス{number}",
    "showcase.axis": "確率（%）、斜線は正しいクラス",
    "showcase.picture.alt": "テスト画像{position}。正しいクラスは{truth}です。",
    "showcase.answers.alt": "{model}：{answers}。",
    "showcase.prompt": "両モデルが読む文章",
    "showcase.text.truth": "実際の続き",
    "showcase.end": "（終わり）",
    "showcase.same": "両モデルの続きは同じです。",
    "showcase.differs": "印は、もう一方のモデルと異なる最初のトークンからです。",
    "showcase.perplexity": "実際の文章のパープレキシティ：**{value}**",
    "showcase.perplexity.help": (
        "文章とその実際の続きが、このモデルにとってどれほど意外かを表します"
        "（{count:,}個のトークンの予測）。小さいほど良い値です。"
    ),
}
