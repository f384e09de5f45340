"""Explore: slider, verdict, numbers, figure, protection and comparison."""

ENGLISH = {
    "page.explore": "What does a smaller model cost?",
    "goal.label": "Set",
    "goal.help": (
        "What the slider sets. The rest follows from it; switching keeps the point where it is."
    ),
    "goal.removed": "Removed",
    "goal.speed": "Speed",
    "goal.loss": "Max loss",
    "goal.size": "Size",
    "goal.removed.label": "Share removed",
    "goal.speed.label": "At least so many times faster",
    "goal.loss.label": "Lose at most",
    "goal.size.label": "Leave at most of the file",
    "goal.removed.help": (
        "Sparsity: the share of heads, neurons or channels that goes, weighed by their "
        "parameters. Most goes where it costs least."
    ),
    "goal.speed.help": "The least that is removed for this speed-up is found.",
    "goal.loss.help": (
        "Points of accuracy, or per cent of perplexity. The fastest model that is expected to "
        "lose no more is found."
    ),
    "goal.size.help": "Size of the weights file, in per cent of the dense model's.",
    "goal.loss.format": "%.1f pt",
    "goal.speed.format": "%.2f×",
    "act.measure": "Measure this point",
    "act.again": "Measure it here",
    "act.closer": "Measure once more",
    "act.plain": "Measure without a survey",
    "act.plain.help": "Takes the same share from every layer.",
    "act.measure.help": (
        "Runs the real solver and measures both models. Calibration: {calibration}, {samples} "
        "items. Test: {data}, {limit} items. {repeats} timing rounds."
    ),
    "act.minutes": "{count} min",
    "act.all": "all",
    "act.explain": "See what was removed",
    "act.explain.help": "Measured here: run {id}.",
    "act.compare": "Compare methods at this point",
    "act.compare.help": (
        "Measures OSSCAR and four other methods with the same widths, data, seed and timing "
        "rounds. What is finished is not repeated."
    ),
    "act.survey": "Survey this model",
    "act.survey.help": (
        "Done once: measures how much each layer matters and how long it takes. After that, "
        "answers are instant."
    ),
    "act.survey_again": "Survey with these settings",
    "act.timing": "Time this machine",
    "act.timing.help": (
        "Times the model's blocks here, so that speeds are estimated for this machine."
    ),
    "link.copy": "Copy link",
    "link.copied": "Copied",
    "link.failed": "Copy this link:",
    "link.help": "A link to exactly this view.",
    "link.protected": "A link to this view. Protection travels with measured runs only.",
    "badge.gpu": "GPU: {name}",
    "badge.cpu": "CPU only: small models",
    "badge.run": "Measured here · run {id}",
    "example.label": "Example · measured on {device}, {date}",
    "example.run": "Run {id}.",
    "example.help": (
        "It comes with the project: nothing was computed here. To measure all of it again: "
        "`python -m osscar_core.demo.sample_run`. To measure one point on this machine, press "
        "**Measure it here**; it joins the figure."
    ),
    "verdict.lead.removed": "At {value} removed:",
    "verdict.lead.speed": "For at least {value} the speed:",
    "verdict.lead.loss": "Losing at most {value}:",
    "verdict.lead.size": "With at most {value} of the size left:",
    "verdict.lead.other": "Asked for {asked}:",
    "verdict.lead.method": "{method} · {lead}",
    "verdict.sentence": "{lead} {speed}, {quality}, {size}.",
    "verdict.estimate": "{lead} {speed}, {quality}, {size}.",
    "verdict.measure": "Measure this point to know.",
    "verdict.no_survey": (
        "{lead} not known yet. Survey this model once, and the slider answers at once; or "
        "measure this point."
    ),
    "verdict.faster": "**{factor} faster**",
    "verdict.slower": "**{factor} slower**",
    "verdict.same": "**not measurably faster on this device**",
    "verdict.about_same": "**about as fast as before**",
    "verdict.speed_unknown": "speed not known",
    "verdict.points": "**{change} points** of accuracy (95% CI {interval})",
    "verdict.perplexity": "**perplexity {change}** (95% CI {interval})",
    "verdict.points_lost": "**{value} points** of accuracy lost (up to {most})",
    "verdict.perplexity_up": "**perplexity {value}** (up to {most})",
    "verdict.no_points": "**no loss of accuracy to speak of** (below {least})",
    "verdict.no_perplexity": "**no rise of perplexity to speak of** (below {least})",
    "verdict.quality_unknown": "quality not estimated for this method",
    "verdict.smaller": "**{share} smaller**",
    "verdict.larger": "**{share} larger**",
    "verdict.size_same": "the **same size**",
    "verdict.untrained": (
        "These weights were never trained: speed and size are real, the quality means nothing."
    ),
    "verdict.equal_shares": "Took the same share from every layer.",
    "achieved.removed": "Asked for {asked}, removed {measured}.",
    "achieved.speed": "Asked for at least {asked}, measured {measured}: **{standing}**.",
    "achieved.loss": "Asked for at most {asked}, measured {measured}: **{standing}**.",
    "achieved.size": "Asked for at most {asked}, is {measured}: **{standing}**.",
    "asked.interval": "{value} ({interval})",
    "standing.met": "met",
    "standing.unproven": "not proven",
    "standing.missed": "missed",
    "unreachable.removed": "Removing **{value}** is not possible within these limits.",
    "unreachable.speed": "**{value}** the speed is not reachable within these limits.",
    "unreachable.loss": "A loss of at most **{value}** is not reachable within these limits.",
    "unreachable.size": "**{value}** of the size is not reachable within these limits.",
    "unreachable.protected": "Without the protection it would be.",
    "unreachable.nearest": "Nearest:",
    "unreachable.nothing": "Everything is protected: lift a protection to remove anything at all.",
    "unreachable.option": "{value} at a loss of {loss}",
    "metric.speed": "Speed",
    "metric.size": "Size",
    "metric.is.measured": "measured",
    "metric.is.estimate": "≈ estimate",
    "metric.is.exact": "exact",
    "metric.is.unknown": "not known",
    "metric.is.unreachable": "out of reach",
    "metric.unreachable.help": "No model within these limits is so.",
    "metric.below": "below {least}",
    "metric.ci": "95% CI {interval}",
    "metric.band": "band {interval}",
    "metric.latency": "median {median}, p95 {p95}, n = {count}",
    "metric.speed.help": (
        "How many times faster {operation} is, both models timed in turns. Dense: {dense}. "
        "Pruned: {pruned}. {conditions}"
    ),
    "metric.speed.estimate": (
        "From timings of the model's blocks. The band would have held 95% of the models "
        "measured so far. {conditions}"
    ),
    "metric.quality.help": (
        "{metric} on {count} {items}. 95% intervals: dense {dense}, pruned {pruned}. {protocol}"
    ),
    "metric.quality.estimate": (
        "From a survey of how much each layer matters, corrected by {count:measured "
        "model|measured models}. The band holds 95% of new models."
    ),
    "metric.quality.other": "Estimates speak of OSSCAR only. Measure this point to know.",
    "metric.size.help": (
        "Size of the weights file. Parameters: {dense} → {pruned}. The structures are really "
        "gone, so any software runs the smaller model faster."
    ),
    "metric.size.exact": (
        "Size of the weights file. It follows from what is removed, so it is exact, not an "
        "estimate. Parameters: {dense} → {pruned}."
    ),
    "metric.unknown.help": "Survey this model or measure this point to know.",
    "metric.name.top1": "Accuracy",
    "metric.name.perplexity": "Perplexity",
    "metric.items.top1": "images",
    "metric.items.perplexity": "predicted tokens",
    "operation.text": "reading one prompt",
    "operation.image": "one batch of images",
    "figure.axis": "Compare quality with",
    "figure.by.latency": "Latency",
    "figure.by.size": "Size",
    "figure.across.latency": "Latency, ms (left is better)",
    "figure.across.size": "Size, MB (left is better)",
    "figure.upward.top1": "Accuracy, % (up is better)",
    "figure.upward.perplexity": "Perplexity (reversed: up is better)",
    "figure.lost.points": "Accuracy lost, pt (up is better)",
    "figure.lost.percent": "Perplexity gained, % (up is better)",
    "figure.estimate": "estimate",
    "figure.band": "95% band",
    "figure.yours": "your point",
    "figure.best": "best within limit",
    "note.examples": "Lighter marks are examples that come with the project.",
    "figure.example": "Example",
    "figure.own": "Measured here",
    "figure.limit": "asked: {value}",
    "figure.outside": "{count:mark lies|marks lie} outside; see the table below",
    "figure.alt": (
        "Quality against {axis}: the dense model and {count:pruned one|pruned ones}. All "
        "numbers are in the table below."
    ),
    "figure.alt.best": "Best within your limit: {name}, run {id}.",
    "note.measured": "Measured: {latency}; {conditions}",
    "made.quality": (
        "Estimates of quality: a survey on {items} items, corrected by {count:measured "
        "model|measured models}."
    ),
    "made.speed": "Of speed: block timings of {device}, {date} ({where}).",
    "made.here": "this machine",
    "made.elsewhere": "another machine than this, perhaps",
    "made.no_speed": "No block was timed, so speed is not known before it is measured.",
    "missed.quality": "Our estimates of {count:run|runs} were off by {quality} on average.",
    "missed.speed": "Our estimates of {count:run|runs} were off by {speed} of speed on average.",
    "missed.both": (
        "Our estimates of {count:run|runs} were off by {quality} and {speed} of speed on average."
    ),
    "protect": "Protect",
    "protect.count": "Protect ({count})",
    "protect.title": "What must stay",
    "protect.help": "Layers and structures that must not be touched, or lose a part at most.",
    "protect.body": (
        "Tick what must not be touched, or set the most that may go. The bars show what would "
        "go now."
    ),
    "protect.all": "all {structure}",
    "protect.layer": "Layer",
    "protect.structure": "Structure",
    "protect.now": "Would go now",
    "protect.never": "Never touch",
    "protect.most": "At most",
    "protect.apply": "Apply",
    "protect.clear": "Clear all",
    "protect.none": "Nothing is protected.",
    "protect.unknown": "What it costs is not known before the model is surveyed.",
    "protect.free": "At this point the protection costs nothing to speak of.",
    "protect.cost": "At this point the protection means: {parts}.",
    "protect.cost.speed": "≈ {value} less speed",
    "protect.gain.speed": "≈ {value} more speed",
    "protect.cost.quality": "≈ {value} more loss",
    "protect.gain.quality": "≈ {value} less loss",
    "protect.cost.size": "{value} more of the size",
    "protect.gain.size": "{value} less of the size",
    "protect.kept": (
        ":material/shield: Limits kept in {count:layer|layers}; {whole} kept all groups."
    ),
    "protect.broken": ":material/warning: More was removed than allowed from {names}.",
    "guard.title": "Groups of the test data",
    "guard.body.image": (
        "A group may lose this many points of accuracy at most. It weighs more in the "
        "calibration, less is removed if need be, and the loss is measured afterwards."
    ),
    "guard.body.text": (
        "The perplexity of a group may rise by this many per cent at most. It weighs more in the "
        "calibration, less is removed if need be, and the rise is measured afterwards."
    ),
    "guard.none": "Nothing is known of the items of {data} by which they could be grouped.",
    "guard.group": "Group",
    "guard.items": "Items",
    "guard.allowed.image": "May lose, points",
    "guard.allowed.text": "May rise, %",
    "guard.small": (
        "{count:group|groups} of fewer than {least} items cannot be judged and are not listed."
    ),
    "guard.coarse": (
        "{group} has {count} items, so that one of them is {one}: with this limit none may get "
        "worse on balance."
    ),
    "guard.nothing": "{group} may not lose anything: even a tiny rise breaks this limit.",
    "guard.kept": ":material/shield: Protected groups kept: {groups}.",
    "guard.broken": ":material/warning: **Protected groups could not be kept:** {groups}.",
    "guard.and": "{before}; {after}",
    "guard.result": "{group} {loss} (95% CI {interval}, allowed {allowed}, {count} items)",
    "guard.unproven": (
        "{group} {loss} as measured (95% CI {interval} is not proof of {allowed}, {count} items)"
    ),
    "guard.price": ("The price: {share} of the removal asked for, {now} instead of {instead}."),
    "rivals.title": "Methods at the same widths",
    "rivals.started": "{count:run|runs} are queued; the table fills as they finish.",
    "rivals.progress": "Comparing: {done} of {count} measured",
    "rivals.best": "**OSSCAR keeps most quality here.** Next is {method}, {gap} behind.",
    "rivals.level": "**No measurable difference** between OSSCAR and {method} here: {gap} apart.",
    "rivals.beaten": "**{method} is better here**, {gap} ahead of OSSCAR.",
    "rivals.gap": "{value} (95% CI {interval})",
    "rivals.behind": "Behind OSSCAR",
    "rivals.behind.ci": "95% CI of that",
    "rivals.measurable": "Measurable",
    "rivals.yes": "yes",
    "rivals.no": "no",
    "rivals.note": (
        "Same widths, data, seed and timing rounds, so sizes are equal. Intervals treat the "
        "models as if judged on different items, which is on the safe side."
    ),
    "survey.none": (
        "No survey was made of these data and settings, so the slider has no answers for them."
    ),
    "survey.other": (
        "Estimates come from a survey on {count} items; these settings ask for another number."
    ),
    "table.title": "All numbers",
    "table.note": (
        "Times are milliseconds, median and 95th percentile of n timings; intervals are "
        "approximate 95% intervals."
    ),
    "table.model": "Model",
    "table.method": "Method",
    "table.asked": "Asked for",
    "table.quality": "Quality",
    "table.ci": "95% CI",
    "table.median": "Median ms",
    "table.p95": "p95 ms",
    "table.n": "n",
    "table.speedup": "Speed-up",
    "table.speedup_ci": "Speed-up 95% CI",
    "table.size": "Size MB",
    "table.parameters": "Parameters",
    "table.device": "Device",
    "table.batch": "Batch",
    "table.dtype": "dtype",
    "table.threads": "Threads",
    "table.run": "Run",
    "table.dense": "dense",
    "table.pruned": "pruned",
    "empty.body": (
        "Nothing of this model was measured here yet. **Survey** it once, and the slider "
        "answers at once for every point. Or **measure** one point: the real solver removes "
        "that share from every layer and both models are timed and judged."
    ),
}

JAPANESE = {
    "page.explore": "モデルを小さくすると何が変わるか",
    "goal.label": "設定するもの",
    "goal.help": (
        "スライダーで設定するものです。残りはそれに従います。切り替えても同じ位置のままです。"
    ),
    "goal.removed": "削減率",
    "goal.speed": "速さ",
    "goal.loss": "許す損失",
    "goal.size": "サイズ",
    "goal.removed.label": "取り除く割合",
    "goal.speed.label": "少なくとも何倍速くするか",
    "goal.loss.label": "損失の上限",
    "goal.size.label": "残すファイルサイズの上限",
    "goal.removed.help": (
        "スパース率です。取り除くヘッド、ニューロン、チャネルの割合を、"
        "パラメーター数で重み付けして数えます。影響の少ない層から多く取り除きます。"
    ),
    "goal.speed.help": "この速さになる、最も少ない削減を探します。",
    "goal.loss.help": (
        "正解率のポイント、またはパープレキシティの割合（%）です。"
        "損失がこれを超えないと見込まれる、最も速いモデルを探します。"
    ),
    "goal.size.help": "元のモデルに対する、重みファイルのサイズの割合（%）です。",
    "goal.loss.format": "%.1fポイント",
    "goal.speed.format": "%.2f倍",
    "act.measure": "この点を測定",
    "act.again": "ここで測定",
    "act.closer": "もう一度測定",
    "act.plain": "調査なしで測定",
    "act.plain.help": "すべての層から同じ割合を取り除きます。",
    "act.measure.help": (
        "実際にソルバーを動かし、両モデルを測定します。キャリブレーション：{calibration}、"
        "{samples}件。テスト：{data}、{limit}件。速度測定：{repeats}回。"
    ),
    "act.minutes": "{count}分",
    "act.all": "すべて",
    "act.explain": "削除内容を見る",
    "act.explain.help": "ここで測定済み：実行{id}",
    "act.compare": "この点で方法を比較",
    "act.compare.help": (
        "OSSCARとほかの4つの方法を、同じ幅、データ、シード、速度測定の回数で測定します。"
        "完了したものは繰り返しません。"
    ),
    "act.survey": "このモデルを調査",
    "act.survey.help": (
        "一度だけ行います。各層の影響と所要時間を測定し、その後はすぐに答えが出ます。"
    ),
    "act.survey_again": "この設定で調査",
    "act.timing": "このマシンの速度を測定",
    "act.timing.help": (
        "モデルのブロックの時間をここで測定し、このマシンでの速さを推定できるようにします。"
    ),
    "link.copy": "リンクをコピー",
    "link.copied": "コピーしました",
    "link.failed": "このリンクをコピーしてください：",
    "link.help": "この画面へのリンクです。",
    "link.protected": "この画面へのリンクです。保護の設定は、測定した実行と一緒にだけ伝わります。",
    "badge.gpu": "GPU：{name}",
    "badge.cpu": "CPUのみ：小さなモデル向け",
    "badge.run": "この環境で実測 · 実行{id}",
    "example.label": "サンプル · {device}で{date}に測定",
    "example.run": "実行{id}。",
    "example.help": (
        "プロジェクトに付属する結果で、ここで計算したものではありません。"
        "すべて測り直すには`python -m osscar_core.demo.sample_run`を実行します。"
        "このマシンで1点を測るには**ここで測定**を押してください。図に加わります。"
    ),
    "verdict.lead.removed": "削減率{value}では、",
    "verdict.lead.speed": "速さ{value}以上を求めると、",
    "verdict.lead.loss": "損失を{value}までとすると、",
    "verdict.lead.size": "サイズを{value}以下にすると、",
    "verdict.lead.other": "目標「{asked}」では、",
    "verdict.lead.method": "{method} · {lead}",
    "verdict.sentence": "{lead}{speed}、{quality}、{size}です。",
    "verdict.estimate": "{lead}{speed}、{quality}、{size}の見込みです。",
    "verdict.measure": "測定すると確かめられます。",
    "verdict.no_survey": (
        "{lead}まだわかりません。このモデルを一度調査すると、スライダーにすぐ答えが出ます。"
        "この点だけを測定することもできます。"
    ),
    "verdict.faster": "**{factor}高速**",
    "verdict.slower": "**{factor}低速**",
    "verdict.same": "**この機器では速さに測定できる差はなく**",
    "verdict.about_same": "**速さはほぼ同じ**",
    "verdict.speed_unknown": "速さは不明",
    "verdict.points": "正解率の変化は **{change}ポイント**（95%信頼区間{interval}）",
    "verdict.perplexity": "**パープレキシティの変化は{change}**（95%信頼区間{interval}）",
    "verdict.points_lost": "正解率の低下は **{value}ポイント**（最大{most}）",
    "verdict.perplexity_up": "**パープレキシティの変化は{value}**（最大{most}）",
    "verdict.no_points": "**正解率の低下はほぼなし**（{least}未満）",
    "verdict.no_perplexity": "**パープレキシティの上昇はほぼなし**（{least}未満）",
    "verdict.quality_unknown": "この方法の品質は推定していません",
    "verdict.smaller": "サイズは**{share}減**",
    "verdict.larger": "サイズは**{share}増**",
    "verdict.size_same": "サイズは**同じ**",
    "verdict.untrained": (
        "この重みは学習されていません。速さとサイズは本物ですが、品質の数値に意味はありません。"
    ),
    "verdict.equal_shares": "すべての層から同じ割合を取り除きました。",
    "achieved.removed": "目標{asked}に対し、削減率は{measured}です。",
    "achieved.speed": "目標{asked}以上に対し、実測は{measured}：**{standing}**",
    "achieved.loss": "目標{asked}以内に対し、実測は{measured}：**{standing}**",
    "achieved.size": "目標{asked}以下に対し、実際は{measured}：**{standing}**",
    "asked.interval": "{value}（{interval}）",
    "standing.met": "達成",
    "standing.unproven": "未確定",
    "standing.missed": "未達",
    "unreachable.removed": "この制約では、**{value}**は取り除けません。",
    "unreachable.speed": "この制約では、速さ**{value}**には届きません。",
    "unreachable.loss": "この制約では、損失を**{value}**以内にできません。",
    "unreachable.size": "この制約では、サイズを**{value}**にできません。",
    "unreachable.protected": "保護を外せば届きます。",
    "unreachable.nearest": "最も近い候補：",
    "unreachable.nothing": "すべてが保護されています。取り除くには、保護を外してください。",
    "unreachable.option": "{value}（損失{loss}）",
    "metric.speed": "速さ",
    "metric.size": "サイズ",
    "metric.is.measured": "実測",
    "metric.is.estimate": "≈ 推定値",
    "metric.is.exact": "正確な値",
    "metric.is.unknown": "不明",
    "metric.is.unreachable": "届きません",
    "metric.unreachable.help": "この制約に合うモデルはありません。",
    "metric.below": "{least}未満",
    "metric.ci": "95%信頼区間{interval}",
    "metric.band": "範囲{interval}",
    "metric.latency": "中央値{median}、95パーセンタイル{p95}、n = {count}",
    "metric.speed.help": (
        "{operation}が何倍速いかです。両モデルを交互に測定しました。元のモデル：{dense}。"
        "小型モデル：{pruned}。{conditions}"
    ),
    "metric.speed.estimate": (
        "モデルのブロックの測定時間から推定しました。範囲は、"
        "これまでに測定したモデルの95%が入る幅です。{conditions}"
    ),
    "metric.quality.help": (
        "{items}{count}件での{metric}です。95%信頼区間は、元のモデルが{dense}、"
        "小型モデルが{pruned}。{protocol}"
    ),
    "metric.quality.estimate": (
        "各層の影響の調査から推定し、測定した{count:,}個のモデルで補正しました。"
        "範囲には新しいモデルの95%が入ります。"
    ),
    "metric.quality.other": "推定できるのはOSSCARだけです。測定すると確かめられます。",
    "metric.size.help": (
        "重みファイルのサイズです。パラメーター数：{dense} → {pruned}。"
        "構造は実際に取り除かれるので、どのソフトウェアでも小さいモデルとして動きます。"
    ),
    "metric.size.exact": (
        "重みファイルのサイズです。取り除くものから決まるので、推定値ではなく正確な値です。"
        "パラメーター数：{dense} → {pruned}。"
    ),
    "metric.unknown.help": "このモデルを調査するか、この点を測定するとわかります。",
    "metric.name.top1": "正解率",
    "metric.name.perplexity": "パープレキシティ",
    "metric.items.top1": "画像",
    "metric.items.perplexity": "予測トークン",
    "operation.text": "プロンプト1件の読み込み",
    "operation.image": "画像1バッチの処理",
    "figure.axis": "品質と比べるもの",
    "figure.by.latency": "レイテンシ",
    "figure.by.size": "サイズ",
    "figure.across.latency": "レイテンシ（ms、左ほど良い）",
    "figure.across.size": "サイズ（MB、左ほど良い）",
    "figure.upward.top1": "正解率（%、上ほど良い）",
    "figure.upward.perplexity": "パープレキシティ（反転：上ほど良い）",
    "figure.lost.points": "正解率の低下（ポイント、上ほど良い）",
    "figure.lost.percent": "パープレキシティの上昇（%、上ほど良い）",
    "figure.estimate": "推定値",
    "figure.band": "95%の範囲",
    "figure.yours": "現在の点",
    "figure.best": "条件内で最良",
    "note.examples": "薄い印は、プロジェクトに付属するサンプルです。",
    "figure.example": "サンプル",
    "figure.own": "ここで測定",
    "figure.limit": "目標：{value}",
    "figure.outside": "ほかに{count:,}点が図の外にあります（下の表）",
    "figure.alt": (
        "{axis}に対する品質。元のモデルと{count:,}個の小型モデル。数値はすべて下の表にあります。"
    ),
    "figure.alt.best": "条件内で最良：{name}、実行{id}。",
    "note.measured": "実測：{latency}。{conditions}",
    "made.quality": "品質の推定：{items}件での調査を、測定した{count:,}個のモデルで補正。",
    "made.speed": "速さの推定：{device}でのブロックの測定時間、{date}（{where}）。",
    "made.here": "このマシン",
    "made.elsewhere": "このマシンではない可能性があります",
    "made.no_speed": "ブロックの時間を測定していないため、速さは測定するまでわかりません。",
    "missed.quality": "これまでの{count:,}回の実行で、推定値のずれは平均{quality}でした。",
    "missed.speed": "これまでの{count:,}回の実行で、速さの推定値のずれは平均{speed}でした。",
    "missed.both": (
        "これまでの{count:,}回の実行で、推定値のずれは平均{quality}、速さは{speed}でした。"
    ),
    "protect": "保護",
    "protect.count": "保護（{count}）",
    "protect.title": "残すもの",
    "protect.help": "手を加えない層や構造、または取り除く割合の上限を決めます。",
    "protect.body": (
        "手を加えないものに印を付けるか、取り除く上限を決めてください。棒は、"
        "いま取り除かれる割合です。"
    ),
    "protect.all": "すべての{structure}",
    "protect.layer": "層",
    "protect.structure": "構造",
    "protect.now": "いまの削減率",
    "protect.never": "手を加えない",
    "protect.most": "上限",
    "protect.apply": "適用",
    "protect.clear": "すべて解除",
    "protect.none": "保護しているものはありません。",
    "protect.unknown": "影響は、モデルを調査するまでわかりません。",
    "protect.free": "この点では、保護の影響はほとんどありません。",
    "protect.cost": "この点での保護の影響：{parts}。",
    "protect.cost.speed": "速さが≈ {value}低下",
    "protect.gain.speed": "速さが≈ {value}向上",
    "protect.cost.quality": "損失が≈ {value}増加",
    "protect.gain.quality": "損失が≈ {value}減少",
    "protect.cost.size": "サイズが{value}増加",
    "protect.gain.size": "サイズが{value}減少",
    "protect.kept": (
        ":material/shield: {count}層で上限を守りました。うち{whole}層はすべて残しました。"
    ),
    "protect.broken": ":material/warning: {names}から、上限を超えて取り除かれました。",
    "guard.title": "テストデータのグループ",
    "guard.body.image": (
        "グループごとに、失ってよい正解率（ポイント）の上限を決めます。そのグループは校正で重く扱われ、"
        "必要なら削減を抑え、最後に損失を実測します。"
    ),
    "guard.body.text": (
        "グループごとに、パープレキシティの上昇（%）の上限を決めます。そのグループは校正で重く扱われ、"
        "必要なら削減を抑え、最後に上昇を実測します。"
    ),
    "guard.none": "{data}には、グループ分けに使える情報がありません。",
    "guard.group": "グループ",
    "guard.items": "件数",
    "guard.allowed.image": "許容損失（ポイント）",
    "guard.allowed.text": "許容上昇（%）",
    "guard.small": "{least}件未満の{count:,}グループは判定できないため、一覧にありません。",
    "guard.coarse": (
        "{group}は{count}件のため、1件が{one}に相当します。この上限では、差し引きで1件も悪化できません。"
    ),
    "guard.nothing": "{group}は少しの上昇も許されません。わずかな上昇でも上限を超えます。",
    "guard.kept": ":material/shield: 保護したグループは上限内です：{groups}。",
    "guard.broken": ":material/warning: **保護したグループの上限を守れませんでした。** {groups}。",
    "guard.and": "{before}、{after}",
    "guard.result": "{group} {loss}（95%信頼区間 {interval}、上限 {allowed}、{count}件）",
    "guard.unproven": (
        "{group} 実測{loss}（95%信頼区間 {interval}は上限{allowed}の証明にはなりません、{count}件）"
    ),
    "guard.price": "その代わり、削減は目標の{share}となり、{instead}ではなく{now}です。",
    "rivals.title": "同じ幅での方法の比較",
    "rivals.started": "{count:,}件の実行を待ち行列に入れました。完了したものから表に加わります。",
    "rivals.progress": "比較中：{count}件のうち{done}件を測定",
    "rivals.best": "**ここではOSSCARの品質が最も高く保たれます。** 次は{method}で、差は{gap}です。",
    "rivals.level": "ここではOSSCARと{method}の間に**測定できる差はありません**（差は{gap}）。",
    "rivals.beaten": "**ここでは{method}のほうが良い結果です。** OSSCARとの差は{gap}です。",
    "rivals.gap": "{value}（95%信頼区間{interval}）",
    "rivals.behind": "OSSCARとの差",
    "rivals.behind.ci": "その95%信頼区間",
    "rivals.measurable": "測定できる差か",
    "rivals.yes": "はい",
    "rivals.no": "いいえ",
    "rivals.note": (
        "幅、データ、シード、速度測定の回数は同じなので、サイズも同じです。区間は、"
        "別々のデータで評価したものとして広めに見積もっています。"
    ),
    "survey.none": "このデータと設定での調査がないため、スライダーの答えがありません。",
    "survey.other": "推定値は{count:,}件での調査によるものです。現在の設定とは件数が異なります。",
    "table.title": "すべての数値",
    "table.note": (
        "時間はミリ秒で、n回の測定の中央値と95パーセンタイルです。区間はおおよその95%信頼区間です。"
    ),
    "table.model": "モデル",
    "table.method": "方法",
    "table.asked": "目標",
    "table.quality": "品質",
    "table.ci": "95%信頼区間",
    "table.median": "中央値（ms）",
    "table.p95": "95パーセンタイル（ms）",
    "table.n": "回数",
    "table.speedup": "速さの比",
    "table.speedup_ci": "速さの比の95%信頼区間",
    "table.size": "サイズ（MB）",
    "table.parameters": "パラメーター数",
    "table.device": "機器",
    "table.batch": "バッチ",
    "table.dtype": "データ型",
    "table.threads": "スレッド",
    "table.run": "実行",
    "table.dense": "元のモデル",
    "table.pruned": "小型モデル",
    "empty.body": (
        "このモデルはまだ測定されていません。一度**調査**すると、"
        "スライダーのどの位置でもすぐに答えが出ます。1点だけを**測定**することもできます。"
        "実際のソルバーが各層からその割合を取り除き、両モデルの速さと品質を測ります。"
    ),
}
