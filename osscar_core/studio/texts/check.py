"""Check: does the pruned model hold on one's own data, today and every month."""

ENGLISH = {
    "page.check": "Does it hold on our data?",
    "check.none": "No pruned model yet",
    "check.none.body": "Make one on Explore; here you compare it with the dense one on your data.",
    "check.live": "This run is not finished. Its model can be checked as soon as it is.",
    "check.lead": "Checked is the pruned model of **{title}** · `{id}`. Another one: sidebar, Run.",
    "check.lead.example": (
        "This is an example: its model is made first by its plan, once, in {time}."
    ),
    "check.no_model": "The pruned model of this run is not here.",
    "check.no_model.imported": "This run was imported: it brought its numbers, but no weights.",
    "check.no_model.safe": "Its results and the checks made before can be looked at.",
    "check.no_model.todo": "To check it on data, delete it under Runs and measure it again.",
    "check.no_model.again": "To check it on data, run it again here.",
    "check.orphan": "The run whose model was checked is not here any more.",
    "check.orphan.safe": "What the check found is kept and shown below.",
    "check.orphan.todo": "To ask anything new, choose another run in the sidebar.",
    "check.damaged": (
        "The result file of a check cannot be read. Delete it under Runs and repeat it."
    ),
    "check.told": "{text}",
    "check.question": "Question",
    "check.tab.ab": "A/B",
    "check.tab.shift": "Shift",
    "check.tab.monthly": "Monthly",
    "check.tab.ab.what": "**What do we lose?** Both models answer the same items.",
    "check.tab.shift.what": (
        "**Is our data different, and does it matter?** Your data against what the model was "
        "made with."
    ),
    "check.tab.monthly.what": "**Does it drift?** Every month's file against the same baseline.",
    "check.earlier": "Result to show ({count})",
    "check.run.ab": "Compare both models",
    "check.run.shift": "Look for a shift",
    "check.run.stress": "Disturb the inputs",
    "check.run.monthly": "Add this data to the timeline",
    # A/B
    "check.margin.points": "Acceptable loss, points of accuracy",
    "check.margin.percent": "Acceptable loss, % of perplexity",
    "check.margin.help": (
        "Fix it before you look at the result: the smallest loss that would matter to you. "
        "Perplexity is the text error; lower is better."
    ),
    "check.columns": "Split the result by",
    "check.columns.help": (
        "Columns with 2 to 20 different values; numbers become three ranges. The more groups, the "
        "wider the intervals: all of them are allowed for."
    ),
    "check.columns.none": "This data has no columns to split the result by.",
    "check.columns.all": "The result is split by all columns of the demo data.",
    "check.ab.confirmed": "No loss beyond {margin}: confirmed.",
    "check.ab.not-proven": "No loss beyond {margin}: not proven.",
    "check.ab.loss-found": "Loss found. That it stays within {margin} is not shown.",
    "check.ab.small": "Too few items to judge: {count}, and {fewest} are needed.",
    "check.ab.numbers.top1": (
        "Loss of accuracy: {loss} ({level} interval {low} to {high}) on {count:item|items}: "
        "{dense} before, {pruned} now."
    ),
    "check.ab.numbers.perplexity": (
        "Rise of perplexity: {loss} ({level} interval {low} to {high}) on "
        "{count:document|documents}: {dense} before, {pruned} now."
    ),
    "check.ab.different": "The models differ beyond chance (p {p}).",
    "check.ab.same": "No difference between the models beyond chance (p {p}).",
    "check.ab.changed.top1": "Right before and wrong now: {lost}. The reverse: {gained}.",
    "check.ab.changed.perplexity": "Documents that got worse: {lost}. Better: {gained}.",
    "check.ab.needed": "About {count:more item|more items} would decide, if this goes on.",
    "check.ab.needed.none": "More items alone would not decide: the loss lies at the margin.",
    "check.ab.margins": (
        "This data was judged with {count} margins ({margins}). Only the one fixed beforehand "
        "counts."
    ),
    "check.ab.correction": "Correction for many groups: {text}.",
    "check.ab.all": "All items",
    "check.ab.told": "{group}: {loss} ({low} to {high}), {count:item|items}",
    "check.verdict.confirmed": "confirmed",
    "check.verdict.not-proven": "not proven",
    "check.verdict.loss-found": "loss found",
    "check.verdict.small": "too few",
    "check.groups": "By group, the worst first",
    "check.groups.help": (
        "Right of zero: the pruned model is worse. Intervals are widened for the number of "
        "groups. A group of fewer than 30 items is drawn as a grey cross and never judged."
    ),
    "check.groups.worst": "Worst: {name}, loss {loss} ({low} to {high}), {count} items.",
    "check.groups.alt": "Losses of {count} rows with their intervals. {told}",
    "check.groups.more": "{count} more groups are in the table.",
    "check.groups.table": "All groups as a table",
    "check.axis.loss.top1": "Loss of accuracy, points (right: worse)",
    "check.axis.loss.perplexity": "Rise of perplexity, % (right: worse)",
    "check.axis.margin": "margin {margin}",
    "check.column.group": "Group",
    "check.column.count": "Items",
    "check.column.verdict": "Verdict",
    "check.column.loss": "Loss",
    "check.column.low": "from",
    "check.column.high": "to",
    "check.column.dense.top1": "Accuracy before",
    "check.column.dense.perplexity": "Perplexity before",
    "check.column.pruned.top1": "Accuracy now",
    "check.column.pruned.perplexity": "Perplexity now",
    "check.column.p": "p, corrected",
    "check.column.needed": "More items needed",
    "check.flips": "Items that changed",
    "check.flips.help": "Where one model is right and the other is not. Shares: how sure it is.",
    "check.flips.none": "No item changed between right and wrong.",
    "check.flips.lost": "Right before, wrong now ({count})",
    "check.flips.gained": "Wrong before, right now ({count})",
    "check.flips.no_pictures": "The pictures themselves are not kept here any more, or never were.",
    "check.flips.alt": "{name}, truly {truth}",
    "check.flips.truth": "Truly **{name}**",
    "check.flips.dense": "before: {name}, {share}",
    "check.flips.pruned": "now: {name}, {share}",
    "check.drifts": "Documents that changed most",
    "check.drifts.help": "Loss is in nats a token, lower is better; up to 20 each way are kept.",
    "check.drifts.none": "No document's loss changed.",
    "check.drifts.lost": "Got worse ({count})",
    "check.drifts.gained": "Got better ({count})",
    "check.drifts.loss": "loss {dense} → {pruned} a token, {tokens} tokens",
    "check.way": "Which way",
    "check.way.none": "None went this way.",
    "check.more": "Show {count} more",
    "check.download": "Download as CSV",
    # Basis
    "check.basis.run": "Check `{id}`",
    "check.basis.data": "{name}, {count} items",
    "check.basis.took": "took {time}",
    "check.basis.reference": "Compared with {name}, {count} items.",
    "check.basis.protocol": "Protocol: {text}.",
    # Shift
    "check.reference": "Compare with",
    "check.reference.calibration": "The data this model was calibrated with",
    "check.reference.default": "Compared with the data this model was calibrated with.",
    "check.reference.help": "The reference decides what counts as normal.",
    "check.light.green": "Green",
    "check.light.amber": "Amber",
    "check.light.red": "Red",
    "check.shift.light": "**{light}.** {text}",
    "check.shift.green": "This data is like the reference.",
    "check.shift.amber": "This data differs from the reference.",
    "check.shift.red": "This data differs strongly from the reference.",
    "check.shift.distance": (
        "Distance {distance} against a threshold of {threshold}: {times} times. Data like the "
        "reference exceeds the threshold in {rate} of cases (p {p})."
    ),
    "check.shift.unseen": "Not in the reference: {name} has {values}.",
    "check.extra": "Does the shift cost the pruned model more?",
    "check.extra.help": (
        "Loss of the pruned model against the dense one, here and on the reference. The "
        "difference is what the shift costs it beyond what the dense model loses as well."
    ),
    "check.extra.none": "The extra loss was not measured: that needs labels on both sides.",
    "check.extra.found": "The shift costs the pruned model {extra} beyond the dense one.",
    "check.extra.not_found": "No extra loss of the pruned model is shown beyond chance.",
    "check.extra.less": "The pruned model loses less here than on the reference.",
    "check.extra.numbers": (
        "Loss on the reference {reference}, on this data {new}: {extra} more "
        "(95% interval {low} to {high})."
    ),
    "check.extra.quality.top1": "Accuracy",
    "check.extra.quality.perplexity": "Perplexity",
    "check.extra.on.reference": "on the reference",
    "check.extra.on.new": "on this data",
    "check.attributes": "What differs most, up to {count}",
    "check.column.attribute": "Attribute",
    "check.attribute.brightness": "brightness",
    "check.attribute.contrast": "contrast",
    "check.attribute.sharpness": "sharpness",
    "check.attribute.noise": "noise",
    "check.attribute.length": "length",
    "check.attribute.digits": "digits",
    "check.attribute.capitals": "capitals",
    "check.attribute.foreign": "beyond ASCII",
    "check.attribute.unreadable": "unreadable characters",
    "check.attribute.true": "class",
    "check.attribute.predicted": "predicted class",
    "check.column.light": "Light",
    "check.column.distance": "Distance",
    "check.column.threshold": "Threshold",
    "check.column.reference": "Reference",
    "check.column.new": "This data",
    "check.model.dense": "Dense",
    "check.model.pruned": "Pruned",
    # Stress
    "check.stress": "What if the inputs get worse?",
    "check.stress.help": "The same items, disturbed step by step; both models see the same copies.",
    "check.stress.body.image": (
        "Up to {count:picture|pictures}, darker, blurred, noisy, rotated and strongly compressed."
    ),
    "check.stress.body.text": (
        "Up to {count:text|texts}, with typos, cut short, and in other casing."
    ),
    "check.stress.none": (
        "No disturbance costs the pruned model more than the dense one beyond chance."
    ),
    "check.stress.worst": (
        "Most delicate: {disturbance}. At full strength it costs the pruned model {extra} beyond "
        "the dense one ({low} to {high})."
    ),
    "check.stress.alt": "{disturbance}: at full strength dense {dense}, pruned {pruned}",
    "check.stress.extra": "Extra loss at full strength: {extra} ({low} to {high})",
    "check.stress.table": "All strengths as a table",
    "check.column.disturbance": "Disturbance",
    "check.axis.strength": "Strength, %",
    "check.axis.quality.top1": "Accuracy, %",
    "check.axis.quality.perplexity": "Perplexity (lower is better)",
    "check.disturbance.dark": "Darker",
    "check.disturbance.blur": "Blur",
    "check.disturbance.noise": "Noise",
    "check.disturbance.rotation": "Rotation",
    "check.disturbance.compression": "Compression",
    "check.disturbance.typos": "Typos",
    "check.disturbance.truncation": "Cut short",
    "check.disturbance.case": "Casing",
    # Monthly
    "check.monthly.body": (
        "Bring each month's file above and add it. The baseline is always the data that the model "
        "was calibrated with."
    ),
    "check.monthly.rule": (
        "The rule: **re-check** if the distance reaches {times} times the threshold or the pruned "
        "model loses more than the dense one; **watch** if it exceeds the threshold; else "
        "**no action**."
    ),
    "check.monthly.none": "Nothing on the timeline yet.",
    "check.monthly.last": "Last: {name}, {date}, {times} times the threshold. {extra}",
    "check.monthly.dot": "{name}: {times} times the threshold, {action}",
    "check.monthly.alt": "Timeline of {count} checks. The last one, {last}",
    "check.monthly.table": "The timeline as a table",
    "check.monthly.kept": (
        "Every dot is a run: Runs keeps it, and deleting it there removes it here."
    ),
    "check.action.none": "No action",
    "check.action.watch": "Watch",
    "check.action.recheck": "Re-check",
    "check.axis.ratio": "Distance, in thresholds",
    "check.axis.when": "Checked on",
    "check.axis.limit.watch": "from here: watch",
    "check.axis.limit.recheck": "from here: re-check",
    "check.column.data": "Data",
    "check.column.action": "What to do",
    "check.column.extra": "Extra loss",
    "check.column.run": "Run",
    # In Runs
    "check.open": "Open in Check",
}

JAPANESE = {
    "page.check": "自社のデータでも使えるか？",
    "check.none": "小型モデルはまだありません",
    "check.none.body": "「検討」で作成すると、ここで自社のデータを使って元のモデルと比較できます。",
    "check.live": "この実行は完了していません。完了すると、そのモデルを確認できます。",
    "check.lead": (
        "対象は、**{title}** の小型モデルです（`{id}`）。別の実行はサイドバーの「実行」で選べます。"
    ),
    "check.lead.example": (
        "これはサンプルです。最初に一度だけ、計画に従ってモデルを作成します（{time}）。"
    ),
    "check.no_model": "この実行の小型モデルはここにありません。",
    "check.no_model.imported": "この実行は取り込んだもので、数値だけがあり、重みがありません。",
    "check.no_model.safe": "結果と、これまでの確認は見られます。",
    "check.no_model.todo": (
        "データで確認するには、「実行履歴」で削除し、もう一度測定してください。"
    ),
    "check.no_model.again": "データで確認するには、ここでもう一度実行してください。",
    "check.orphan": "確認の対象だった実行は、もうここにありません。",
    "check.orphan.safe": "確認の結果は残っており、以下に表示します。",
    "check.orphan.todo": "新しく確認するには、サイドバーで別の実行を選んでください。",
    "check.damaged": (
        "ある確認の結果ファイルを読めません。「実行履歴」で削除して、やり直してください。"
    ),
    "check.told": "（英語）{text}",
    "check.question": "質問",
    "check.tab.ab": "A/B比較",
    "check.tab.shift": "データのずれ",
    "check.tab.monthly": "毎月の点検",
    "check.tab.ab.what": "**何が失われるか？** 両方のモデルが同じデータに答えます。",
    "check.tab.shift.what": (
        "**データは違うか、影響はあるか？** モデルの作成に使ったデータと比べます。"
    ),
    "check.tab.monthly.what": "**変化しているか？** 毎月のファイルを、同じ基準と比べます。",
    "check.earlier": "表示する結果（{count:,}件）",
    "check.run.ab": "両モデルを比較",
    "check.run.shift": "ずれを調べる",
    "check.run.stress": "入力を乱して試す",
    "check.run.monthly": "このデータを時系列に追加",
    "check.margin.points": "許容できる損失（正解率のポイント）",
    "check.margin.percent": "許容できる損失（パープレキシティの%）",
    "check.margin.help": (
        "結果を見る前に決めてください。問題になる最小の損失です。パープレキシティは文章の誤差で、"
        "低いほど良い値です。"
    ),
    "check.columns": "結果を分ける列",
    "check.columns.help": (
        "値が2～20種類の列です。数値は3つの範囲に分けます。群が多いほど、その数を考慮して"
        "区間が広くなります。"
    ),
    "check.columns.none": "このデータには、結果を分ける列がありません。",
    "check.columns.all": "結果は、デモデータのすべての列で分けます。",
    "check.ab.confirmed": "{margin}を超える損失がないこと：確認できました。",
    "check.ab.not-proven": "{margin}を超える損失がないこと：証明できていません。",
    "check.ab.loss-found": "損失が見つかりました。{margin}以内に収まるとは示せません。",
    "check.ab.small": "判断するには件数が足りません：{count:,}件（{fewest}件以上が必要）。",
    "check.ab.numbers.top1": (
        "正解率の損失：{loss}（{level}区間 {low}～{high}）、{count:,}件。"
        "元は{dense}、今は{pruned}。"
    ),
    "check.ab.numbers.perplexity": (
        "パープレキシティの上昇：{loss}（{level}区間 {low}～{high}）、文書{count:,}件。"
        "元は{dense}、今は{pruned}。"
    ),
    "check.ab.different": "両モデルの差は偶然ではありません（p {p}）。",
    "check.ab.same": "両モデルに、偶然を超える差はありません（p {p}）。",
    "check.ab.changed.top1": "以前は正解で今は不正解：{lost}件。その逆：{gained}件。",
    "check.ab.changed.perplexity": "悪くなった文書：{lost}件。良くなった文書：{gained}件。",
    "check.ab.needed": "この傾向が続けば、あと約{count:,}件で判断できます。",
    "check.ab.needed.none": "損失が許容値と同程度のため、件数を増やすだけでは判断できません。",
    "check.ab.margins": (
        "このデータは{count:,}通りの許容値（{margins}）で判定されました。有効なのは、先に決めた"
        "ものだけです。"
    ),
    "check.ab.correction": "多数の群を比べたことの補正（英語）：{text}.",
    "check.ab.all": "全体",
    "check.ab.told": "{group}：{loss}（{low}～{high}）、{count:,}件",
    "check.verdict.confirmed": "確認",
    "check.verdict.not-proven": "証明できず",
    "check.verdict.loss-found": "損失あり",
    "check.verdict.small": "件数不足",
    "check.groups": "群ごとの結果（悪い順）",
    "check.groups.help": (
        "0より右は、小型モデルのほうが悪いことを示します。区間は群の数を考慮して広げてあります。"
        "30件未満の群は灰色の×で示し、判定しません。"
    ),
    "check.groups.worst": "最も悪い群：{name}、損失{loss}（{low}～{high}）、{count}件。",
    "check.groups.alt": "{count:,}行の損失とその区間。{told}",
    "check.groups.more": "ほか{count:,}群は表にあります。",
    "check.groups.table": "すべての群の表",
    "check.axis.loss.top1": "正解率の損失（ポイント、右ほど悪い）",
    "check.axis.loss.perplexity": "パープレキシティの上昇（%、右ほど悪い）",
    "check.axis.margin": "許容値{margin}",
    "check.column.group": "群",
    "check.column.count": "件数",
    "check.column.verdict": "判定",
    "check.column.loss": "損失",
    "check.column.low": "下限",
    "check.column.high": "上限",
    "check.column.dense.top1": "元の正解率",
    "check.column.dense.perplexity": "元のパープレキシティ",
    "check.column.pruned.top1": "今の正解率",
    "check.column.pruned.perplexity": "今のパープレキシティ",
    "check.column.p": "p値（補正後）",
    "check.column.needed": "必要な追加件数",
    "check.flips": "結果が変わった項目",
    "check.flips.help": "片方のモデルだけが正解した項目です。割合は、モデルの確信度です。",
    "check.flips.none": "正解と不正解が入れ替わった項目はありません。",
    "check.flips.lost": "以前は正解、今は不正解（{count}件）",
    "check.flips.gained": "以前は不正解、今は正解（{count}件）",
    "check.flips.no_pictures": "画像そのものは、ここに残っていないか、保存していません。",
    "check.flips.alt": "{name}、正しくは{truth}",
    "check.flips.truth": "正しくは **{name}**",
    "check.flips.dense": "元：{name}（{share}）",
    "check.flips.pruned": "今：{name}（{share}）",
    "check.drifts": "最も変わった文書",
    "check.drifts.help": (
        "損失は1トークン当たりのナットで、低いほど良い値です。各方向20件まで残します。"
    ),
    "check.drifts.none": "損失が変わった文書はありません。",
    "check.drifts.lost": "悪化（{count}件）",
    "check.drifts.gained": "改善（{count}件）",
    "check.drifts.loss": "1トークン当たりの損失 {dense} → {pruned}、{tokens}トークン",
    "check.way": "変化の向き",
    "check.way.none": "この向きに変わったものはありません。",
    "check.more": "さらに{count:,}件表示",
    "check.download": "CSVでダウンロード",
    "check.basis.run": "確認 `{id}`",
    "check.basis.data": "{name}、{count}件",
    "check.basis.took": "所要{time}",
    "check.basis.reference": "比較の基準：{name}、{count}件。",
    "check.basis.protocol": "手順（英語）：{text}.",
    "check.reference": "比較の基準",
    "check.reference.calibration": "このモデルのキャリブレーションに使ったデータ",
    "check.reference.default": "このモデルのキャリブレーションに使ったデータと比べます。",
    "check.reference.help": "何を普通とみなすかは、この基準で決まります。",
    "check.light.green": "青（正常）",
    "check.light.amber": "黄（注意）",
    "check.light.red": "赤（警告）",
    "check.shift.light": "**{light}**：{text}",
    "check.shift.green": "このデータは基準と同じ傾向です。",
    "check.shift.amber": "このデータは基準と違いがあります。",
    "check.shift.red": "このデータは基準と大きく違います。",
    "check.shift.distance": (
        "距離は{distance}、しきい値は{threshold}で、その{times}倍です。基準と同じ傾向のデータが"
        "しきい値を超えるのは{rate}の場合です（p {p}）。"
    ),
    "check.shift.unseen": "基準にない値：{name}の{values}。",
    "check.extra": "ずれによる損失は、小型モデルのほうが大きいか？",
    "check.extra.help": (
        "元のモデルに対する小型モデルの損失を、このデータと基準とで比べます。その差が、元のモデルも"
        "失う分を超えて、ずれが小型モデルに与える損失です。"
    ),
    "check.extra.none": "追加の損失は測定していません。両方のデータにラベルが必要です。",
    "check.extra.found": "ずれにより、小型モデルは元のモデルより{extra}多く失います。",
    "check.extra.not_found": "偶然を超える小型モデルだけの追加の損失は、示されていません。",
    "check.extra.less": "小型モデルの損失は、基準よりもこのデータのほうが小さいです。",
    "check.extra.numbers": (
        "損失は、基準で{reference}、このデータで{new}。差は{extra}です（95%区間 {low}～{high}）。"
    ),
    "check.extra.quality.top1": "正解率",
    "check.extra.quality.perplexity": "パープレキシティ",
    "check.extra.on.reference": "基準のデータ",
    "check.extra.on.new": "このデータ",
    "check.attributes": "違いの大きい属性（{count}件まで）",
    "check.column.attribute": "属性",
    "check.attribute.brightness": "明るさ",
    "check.attribute.contrast": "コントラスト",
    "check.attribute.sharpness": "鮮明さ",
    "check.attribute.noise": "ノイズ",
    "check.attribute.length": "長さ",
    "check.attribute.digits": "数字の割合",
    "check.attribute.capitals": "大文字の割合",
    "check.attribute.foreign": "ASCII以外の割合",
    "check.attribute.unreadable": "読めない文字の割合",
    "check.attribute.true": "クラス",
    "check.attribute.predicted": "予測したクラス",
    "check.column.light": "判定",
    "check.column.distance": "距離",
    "check.column.threshold": "しきい値",
    "check.column.reference": "基準",
    "check.column.new": "このデータ",
    "check.model.dense": "元のモデル",
    "check.model.pruned": "小型モデル",
    "check.stress": "入力が悪くなったら？",
    "check.stress.help": "同じ項目を段階的に乱します。両方のモデルが同じものを見ます。",
    "check.stress.body.image": (
        "暗い、ぼけた、ノイズのある、回転した、強く圧縮した画像で試します（{count:,}枚まで）。"
    ),
    "check.stress.body.text": (
        "誤字のある、途中で切れた、大文字・小文字の違う文章で試します（{count:,}件まで）。"
    ),
    "check.stress.none": (
        "偶然を超えて小型モデルだけに余分な損失を与える乱れは、見つかりませんでした。"
    ),
    "check.stress.worst": (
        "最も弱いのは「{disturbance}」です。最大の強さで、小型モデルは元のモデルより{extra}多く"
        "失います（{low}～{high}）。"
    ),
    "check.stress.alt": "{disturbance}：最大の強さで、元のモデル{dense}、小型モデル{pruned}",
    "check.stress.extra": "最大の強さでの追加の損失：{extra}（{low}～{high}）",
    "check.stress.table": "すべての強さの表",
    "check.column.disturbance": "乱れ",
    "check.axis.strength": "強さ（%）",
    "check.axis.quality.top1": "正解率（%）",
    "check.axis.quality.perplexity": "パープレキシティ（低いほど良い）",
    "check.disturbance.dark": "暗さ",
    "check.disturbance.blur": "ぼけ",
    "check.disturbance.noise": "ノイズ",
    "check.disturbance.rotation": "回転",
    "check.disturbance.compression": "圧縮",
    "check.disturbance.typos": "誤字",
    "check.disturbance.truncation": "途中切れ",
    "check.disturbance.case": "大文字・小文字",
    "check.monthly.body": (
        "毎月のファイルを上で取り込み、追加してください。基準は常に、モデルのキャリブレーションに"
        "使ったデータです。"
    ),
    "check.monthly.rule": (
        "判定の規則：距離がしきい値の{times}倍に達するか、小型モデルの損失が元のモデルを上回れば"
        "「再確認」、しきい値を超えれば「注視」、それ以外は「対応不要」です。"
    ),
    "check.monthly.none": "時系列にはまだ何もありません。",
    "check.monthly.last": "最新：{name}、{date}、しきい値の{times}倍。{extra}",
    "check.monthly.dot": "{name}：しきい値の{times}倍、{action}",
    "check.monthly.alt": "{count:,}回の点検の時系列。最新は、{last}",
    "check.monthly.table": "時系列の表",
    "check.monthly.kept": (
        "点はそれぞれ1つの実行で、「実行履歴」に残ります。そこで削除すると、ここからも消えます。"
    ),
    "check.action.none": "対応不要",
    "check.action.watch": "注視",
    "check.action.recheck": "再確認",
    "check.axis.ratio": "距離（しきい値の倍数）",
    "check.axis.when": "点検日時",
    "check.axis.limit.watch": "これ以上：注視",
    "check.axis.limit.recheck": "これ以上：再確認",
    "check.column.data": "データ",
    "check.column.action": "対応",
    "check.column.extra": "追加の損失",
    "check.column.run": "実行",
    "check.open": "「確認」で開く",
}
