"""Take home: what other programs load, what was compared, and what has to be known of it."""

ENGLISH = {
    "format.hf": "Hugging Face folder",
    "format.hf.what": (
        "For transformers and what builds on it: a folder with weights, configuration "
        "and tokenizer."
    ),
    "format.onnx": "ONNX file",
    "format.onnx.what": (
        "For onnxruntime and other programs, in batches of any size; it runs with onnxruntime and "
        "numpy alone."
    ),
    "format.torch": "PyTorch program",
    "format.torch.what": (
        "For PyTorch without OSSCAR Studio: a program and a small loader that need torch and "
        "torchvision only."
    ),
    "format.gguf": "GGUF file",
    "format.gguf.what": "For llama.cpp and what is built on it, such as Ollama and LM Studio.",
    "order.format.make": "Make the {name}",
    "order.format.richer": "Make it, and one with 8 bits",
    "order.format.again": "Make it again, and one with 8 bits",
    "order.format.help": (
        "Weights of 8 bits are about a quarter as large as those of 32, and fast on processors "
        "with instructions for them. What they gain and lose is measured beside the others."
    ),
    "order.format.none": "It is made from the model, and the model is not here: get that first.",
    "order.format.damaged": (
        "What was made cannot be read. Delete its run under Runs and make it again."
    ),
    "decide.format.get": "Download the {name}",
    "decide.format.missing": (
        "It cannot be made here: {names} is not installed. Run `pip install -r requirements.txt`."
    ),
    "decide.format.same": (
        "Re-loaded in a fresh process with {reader}: largest difference {difference} ({relative} "
        "of the largest output); {same} of the predictions are the same."
    ),
    "decide.format.identical": (
        "Re-loaded in a fresh process with {reader}: all outputs that were compared, and all "
        "predictions, are the same."
    ),
    "decide.format.both": "{first} {second}",
    "decide.format.continued": "{count} of {count} prompts continued alike.",
    "decide.format.quality": (
        "{metric} {quality} re-loaded and {model} in memory, on the same {count} {items}."
    ),
    "decide.format.quality.dense": (
        "{metric} {quality} re-loaded and {model} in memory; the dense model has {dense}; all on "
        "the same {count} {items}."
    ),
    "decide.format.items.top1": "images",
    "decide.format.items.perplexity": "windows of text",
    "decide.format.plain": "Loads in plain transformers: no code of its own, no special option.",
    "decide.format.took": "Made in {time} · `{id}`.",
    "decide.remark": "{text}",
    "decide.remark.float32": "Its weights are float32, so it is larger than the model's own file.",
    "decide.remark.cache": (
        "It has no cache: every new token reads the whole text again, so writing is slow."
    ),
    "decide.remark.padding": "It has no padding: all texts of a batch have the same length.",
    "decide.remark.dense": "The dense model is not here, so its quality was not measured again.",
    "decide.remark.tokenizer": "It comes without a tokenizer file, so it reads token ids only.",
    "decide.remark.program": "It is a program only: no short file builds this network.",
    "decide.remark.nfc": (
        "The model's tokenizer brings text into the Unicode form NFC first; what reads GGUF takes "
        "it as it is."
    ),
    "decide.remark.space": (
        "llama.cpp puts a space before text that begins with one or follows a special token; the "
        "model's own tokenizer puts none."
    ),
    "decide.remark.code": (
        "Needs the modelling file in the folder (`trust_remote_code=True`): {reason}."
    ),
    "decide.code.bias": "a bias was added to `{unit}`, which {config} cannot say",
    "decide.code.widths": "layers keep between {low} and {high} {structure}",
    "decide.code.removed": "{structure} were removed, which {config} cannot say",
    "decide.code.count": "{config} cannot say {count} groups of {structure} in every layer",
    "decide.config": "the family's configuration",
    "decide.contest.dense": "dense",
    "decide.contest.pruned": "pruned",
    "decide.contest.int8": "8 bits",
    "decide.contest.size": "Size",
    "decide.contest.batch": "{size:image|images} at once",
    "decide.contest.prefill": "A prompt of {size:token|tokens}",
    "decide.contest.decode": "A token after {size:token|tokens}",
    "decide.contest.faster": "{time} · {factor} ({interval})",
    "decide.contest.how": (
        "Measured in turns in onnxruntime on {device}, {threads:thread|threads}: medians, with 95% "
        "intervals of how much faster; quality on {count} {items}."
    ),
    "decide.unsuited": "**Not for this model**",
    "decide.unsuited.network": (
        "For language models; transformers has no configuration for this network."
    ),
    "decide.unsuited.text": (
        "For image models; a language model is taken to PyTorch as a Hugging Face folder."
    ),
    "decide.unsuited.widths": (
        "What reads it wants one number for all layers, and here {reason}. Explore has the option "
        "\u201c{option}\u201d."
    ),
    "decide.unsuited.llama": "Written for the Llama family only.",
}

JAPANESE = {
    "format.hf": "Hugging Faceフォルダー",
    "format.hf.what": (
        "transformersと、それを使うソフトウェアのためのフォルダーです。重み、設定、トークナイザーが"
        "入っています。"
    ),
    "format.onnx": "ONNXファイル",
    "format.onnx.what": (
        "onnxruntimeなどで使えるファイルです。バッチの大きさは自由で、onnxruntimeとnumpyだけで"
        "動きます。"
    ),
    "format.torch": "PyTorchプログラム",
    "format.torch.what": (
        "OSSCAR StudioなしでPyTorchから使えます。プログラムと小さな読み込みコードに必要なのは、"
        "torchとtorchvisionだけです。"
    ),
    "format.gguf": "GGUFファイル",
    "format.gguf.what": "llama.cppと、それを使うOllamaやLM Studioなどのためのファイルです。",
    "order.format.make": "{name}を作成する",
    "order.format.richer": "8ビット版も作成する",
    "order.format.again": "8ビット版も加えて作成し直す",
    "order.format.help": (
        "8ビットの重みは32ビットの約4分の1の大きさで、専用の命令があるプロセッサーでは高速です。"
        "得失は、ほかのファイルと並べて測定します。"
    ),
    "order.format.none": (
        "モデルから作成しますが、ここにはモデルがありません。先にモデルを入手してください。"
    ),
    "order.format.damaged": (
        "作成したものを読み込めません。「実行履歴」で削除し、もう一度作成してください。"
    ),
    "decide.format.get": "{name}をダウンロード",
    "decide.format.missing": (
        "この環境では作成できません。{names}がインストールされていません。"
        "`pip install -r requirements.txt`を実行してください。"
    ),
    "decide.format.same": (
        "別のプロセスの{reader}で再読み込み済み：最大の差は{difference}（最大出力の{relative}）、"
        "予測の{same}が一致します。"
    ),
    "decide.format.identical": (
        "別のプロセスの{reader}で再読み込み済み：比べた出力も予測もすべて一致します。"
    ),
    "decide.format.both": "{first}{second}",
    "decide.format.continued": "文の続きは{count}件中{count}件が一致します。",
    "decide.format.quality": (
        "{metric}：再読み込み後は{quality}、メモリー上では{model}です（同じ{items}{count}件）。"
    ),
    "decide.format.quality.dense": (
        "{metric}：再読み込み後は{quality}、メモリー上では{model}、元のモデルは{dense}です"
        "（同じ{items}{count}件）。"
    ),
    "decide.format.items.top1": "画像",
    "decide.format.items.perplexity": "テキスト区間",
    "decide.format.plain": "標準のtransformersで読み込めます。独自のコードや特別な指定は不要です。",
    "decide.format.took": "作成時間：{time} · `{id}`。",
    "decide.remark": "（英語）{text}",
    "decide.remark.float32": "重みはfloat32のため、元のモデルのファイルより大きくなります。",
    "decide.remark.cache": (
        "キャッシュはありません。トークンごとに全文を読み直すため、文章の生成は遅くなります。"
    ),
    "decide.remark.padding": "パディングはありません。同じバッチの文は同じ長さにしてください。",
    "decide.remark.dense": "ここに元のモデルがないため、その品質は測り直していません。",
    "decide.remark.tokenizer": (
        "トークナイザーのファイルはありません。入力はトークンのIDだけです。"
    ),
    "decide.remark.program": (
        "プログラムだけです。このネットワークを組み立てる短いコードはありません。"
    ),
    "decide.remark.nfc": (
        "モデルのトークナイザーは文字列を先にUnicodeのNFC形式に変えますが、"
        "GGUFを読むソフトウェアは変えません。"
    ),
    "decide.remark.space": (
        "空白で始まる文や特殊トークンに続く文の前に、llama.cppは空白を補います。"
        "モデルのトークナイザーは補いません。"
    ),
    "decide.remark.code": (
        "フォルダー内のモデル定義ファイルが必要です（`trust_remote_code=True`）：{reason}。"
    ),
    "decide.code.bias": "`{unit}`に加わったバイアスは、{config}では表せません",
    "decide.code.widths": "層によって{structure}の数が異なります（{low}～{high}）",
    "decide.code.removed": "{structure}を減らしたことは、{config}では表せません",
    "decide.code.count": "どの層にも{structure}が{count}個あることは、{config}では表せません",
    "decide.config": "この系統のモデルの設定",
    "decide.contest.dense": "元のモデル",
    "decide.contest.pruned": "小型モデル",
    "decide.contest.int8": "8ビット",
    "decide.contest.size": "サイズ",
    "decide.contest.batch": "画像{size:,}枚ずつ",
    "decide.contest.prefill": "{size:,}トークンの入力",
    "decide.contest.decode": "{size:,}トークンに続く1トークン",
    "decide.contest.faster": "{time} · {factor}（{interval}）",
    "decide.contest.how": (
        "{device}、{threads:,}スレッドのonnxruntimeで交互に測定した中央値です。"
        "かっこ内は高速化率の95%区間、品質は{items}{count}件の値です。"
    ),
    "decide.unsuited": "**このモデルには使えない形式**",
    "decide.unsuited.network": (
        "言語モデル用です。このネットワークの設定はtransformersにありません。"
    ),
    "decide.unsuited.text": (
        "画像モデル用です。言語モデルをPyTorchで使うには、Hugging Faceフォルダーを選んでください。"
    ),
    "decide.unsuited.widths": (
        "読み込む側では、すべての層が同じ数でなければなりません。このモデルでは、{reason}。"
        "「検討」に「{option}」という設定があります。"
    ),
    "decide.unsuited.llama": "Llama系のモデルだけに対応しています。",
}
