"""Settings: how a point is measured and on what, and what is wrong with a field."""

ENGLISH = {
    "form.path.missing": "Give the path of a model on this machine.",
    "form.path.none": "Nothing is at {path}. Check the path; it is read on the server.",
    "form.path.config": "{path} has no config.json, so it is not a model directory.",
    "form.path.file": "{path} is not a .gguf file. Give a .gguf file or a model directory.",
    "form.weights": "Weights file",
    "form.weights.help": (
        "A .safetensors, .pth or .pt file on this machine. Write random for an untrained "
        "model, to try things out."
    ),
    "form.weights.example": "/path/to/weights.safetensors",
    "form.weights.optional": "empty: torchvision's own",
    "form.weights.missing": (
        "This network comes without weights. Give the path of a .safetensors, .pth or .pt file."
    ),
    "form.weights.none": "There is no file at {path}. Check the path; it is read on the server.",
    "form.weights.type": "{path} is of no known type. Use .safetensors, .pth or .pt.",
    "form.method": "Method",
    "form.method.help": (
        "How to choose what goes, and whether the rest is re-fitted. Estimates speak of OSSCAR "
        "only."
    ),
    "form.structures": "What may be removed",
    "form.structures.help": "Everything that this kind of model has, unless you narrow it down.",
    "form.structures.missing": "Choose at least one kind.",
    "form.plain": "Loads in plain transformers",
    "form.plain.help": (
        "Every layer keeps the same width, so that transformers, vLLM and other programs load "
        "the result without any code of this one. OPT and Qwen2 keep all their heads: their "
        "configurations cannot say fewer. A free choice of widths loses less."
    ),
    "form.plain.structures": (
        "Plain transformers cannot load this model with fewer {unsaid}. Choose {said}, too."
    ),
    "form.plain.intercept": (
        "Plain transformers cannot load a bias that a layer did not have. Choose: {auto}."
    ),
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
    "form.samples.help": (
        "Windows of text, or images, to calibrate on. More take longer and help a little."
    ),
    "form.limit": "Test items",
    "form.limit.help": "Judge on at most this many windows or images. Empty: all there are.",
    "form.seqlen": "Tokens in a window",
    "form.seqlen.help": "Empty: 1,024, or the model's limit if that is less.",
    "form.image_size": "Image side, pixels",
    "form.image_size.help": "For weights of your own. Empty: the network's customary size.",
    "form.seed": "Seed",
    "form.seed.help": "0 takes the first calibration items as stored; others a random sample.",
    "form.auto": "automatic",
    "form.batch": "Batch size of the timing",
    "form.batch.help": "Empty: 32 images (128 on a GPU), or one prompt.",
    "form.repeats": "Timing rounds",
    "form.repeats.help": (
        "How often both models are timed in turns. More rounds narrow the interval of the speed-up."
    ),
    "form.device": "Device",
    "form.device.help": "What computes. Automatic: the first GPU, else the processor.",
    "form.device.missing": "There is no NVIDIA GPU on this machine. Choose automatic or processor.",
    "form.data.empty": "Name the calibration data under Advanced.",
    "form.auto.value": "automatic ({value})",
    "device.auto": "automatic",
    "device.cpu": "processor (CPU)",
    "device.cuda": "GPU (CUDA)",
}

JAPANESE = {
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
        "このマシンにある.safetensors、.pth、.ptのいずれかのファイルです。randomと書くと、"
        "学習していないモデルで動作を試せます。"
    ),
    "form.weights.example": "/path/to/weights.safetensors",
    "form.weights.optional": "空欄：torchvision付属の重み",
    "form.weights.missing": (
        "このネットワークには重みが付属していません。.safetensors、.pth、"
        ".ptのいずれかのファイルのパスを入力してください。"
    ),
    "form.weights.none": (
        "{path}にファイルがありません。パスを確認してください。サーバー上で読み込みます。"
    ),
    "form.weights.type": (
        "{path}は対応していない形式です。.safetensors、.pth、.ptのいずれかを使ってください。"
    ),
    "form.method": "方法",
    "form.method.help": (
        "何を取り除くかの選び方と、残りを再調整するかどうかです。推定値はOSSCARだけのものです。"
    ),
    "form.structures": "取り除いてよいもの",
    "form.structures.help": "絞り込まなければ、この種類のモデルにあるものすべてです。",
    "form.structures.missing": "少なくとも1つ選んでください。",
    "form.plain": "標準のtransformersで読み込める",
    "form.plain.help": (
        "どの層にも同じ幅を残すので、このプログラムのコードがなくても、"
        "transformersやvLLMなどで結果を読み込めます。OPTとQwen2のヘッドはすべて残ります。"
        "減らした数を設定に書けないためです。層ごとに幅を選ぶほうが、失われる品質は少なくなります。"
    ),
    "form.plain.structures": (
        "標準のtransformersは、{unsaid}を減らしたこのモデルを読み込めません。"
        "{said}も選んでください。"
    ),
    "form.plain.intercept": (
        "標準のtransformersは、元の層になかったバイアスを読み込めません。"
        "「{auto}」を選んでください。"
    ),
    "form.calibration": "キャリブレーションデータ",
    "form.calibration.help": (
        "プルーニングが参照してよいデータです。テキスト：demo:plant-log、"
        "demo:python-docs（内蔵）、text:PATH、hf:wikitext2。画像：demo:factory（内蔵）、"
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
        "層：その層自身の出力。元のモデル：この層での元のモデルの出力。残差：それに加えて、"
        "前の層で失われた分。"
    ),
    "form.intercept": "バイアス補正",
    "form.intercept.help": "再調整で層のバイアスを変えてよいかどうかです。",
    "form.samples": "キャリブレーションの件数",
    "form.samples.help": (
        "キャリブレーションに使うテキストの窓または画像の数です。多いほど時間がかかり、"
        "少しだけ良くなります。"
    ),
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
    "form.batch": "速度測定のバッチサイズ",
    "form.batch.help": "空欄なら画像は32枚（GPUでは128枚）、テキストはプロンプト1件です。",
    "form.repeats": "速度測定の回数",
    "form.repeats.help": "両モデルを交互に測る回数です。多いほど、速さの比の区間が狭くなります。",
    "form.device": "機器",
    "form.device.help": "計算に使う機器です。自動なら最初のGPU、なければプロセッサーを使います。",
    "form.device.missing": (
        "このマシンにNVIDIAのGPUがありません。自動かプロセッサーを選んでください。"
    ),
    "form.data.empty": "詳細設定でキャリブレーションデータを指定してください。",
    "form.auto.value": "自動（{value}）",
    "device.auto": "自動",
    "device.cpu": "プロセッサー（CPU）",
    "device.cuda": "GPU（CUDA）",
}
