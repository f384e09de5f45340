"""The data of a check: brought, looked at, kept, removed."""

ENGLISH = {
    "check.data": "Your data",
    "check.data.none": "No data yet. Try it with sample data, or bring a file of your own.",
    "check.data.needed": "Choose or bring data above; then the question can be asked.",
    "check.data.choose": "Data for all three questions",
    "check.data.label.demo": "{name} · demo data",
    "check.data.label.text": "{name} · {count:document|documents} · {date}",
    "check.data.label.image": "{name} · {count:picture|pictures} · {date}",
    "check.data.count.text": "{count:document|documents}",
    "check.data.count.image": "{count:picture|pictures}",
    "check.data.columns": "columns: {names}",
    "check.data.columns.none": "no columns to split by",
    "check.data.classes": "{count:class|classes}",
    "check.data.demo": "Demo data instead",
    "check.data.demo.use": "Use {name}",
    "check.data.demo.facts": (
        "Made on the spot, up to {count:item|items}. The model was not trained on the last part: "
        "it is a shift to try with."
    ),
    "check.data.add": "Add other data",
    "check.data.delete": "Delete",
    "check.data.delete.what": (
        "Removes {name} from this server for good. Results of checks stay in Runs; they name "
        "items and quote the beginnings of documents. Delete those runs too if that must go."
    ),
    "check.data.delete.now": "Delete now",
    "check.data.deleted": "{name} was deleted.",
    "check.data.kept": "Stays on this server, visible to you only; deleted on {date}.",
    "check.data.taken": "{name} is kept and chosen.",
    "check.upload.text": (
        "A CSV or JSON Lines file of up to {size} MB with one document a row, at least {fewest}. "
        "Further columns, such as plant or customer, split the result."
    ),
    "check.upload.image": (
        "A zip of up to {size} MB with at least {fewest} pictures: one folder a class, or a "
        "table labels.csv with file and label. Its further columns, such as line or customer, "
        "split the result."
    ),
    "check.upload.personal": (
        "Leave out names, addresses and numbers of people: they are not needed. The data stays on "
        "this server and is deleted after {days} days, or at once when you say so."
    ),
    "check.upload.label.text": "Your own file (CSV or JSON Lines)",
    "check.upload.label.image": "Your own file (zip)",
    "check.upload.other.text": (
        "This model reads text, and the file holds pictures. Bring a CSV or JSON Lines file, or "
        "choose an image model in the sidebar."
    ),
    "check.upload.other.image": (
        "This model reads pictures, and the file is a table. Bring a zip with the pictures, or "
        "choose a text model in the sidebar."
    ),
    "check.sample": "Try with sample data",
    "check.sample.help.text": "60 reports of two plants of the demo data, kept like your own.",
    "check.sample.help.image": "200 pictures of two lines of the demo data, kept like your own.",
    "check.template": "Template",
    "check.pending": "Before {name} is kept: is this right?",
    "check.pending.cp932": "· read as Shift-JIS; look whether the characters are right",
    "check.pending.email": (
        "Column {column} seems to hold e-mail addresses ({rows} rows). Better remove it first."
    ),
    "check.pending.phone": (
        "Column {column} seems to hold telephone numbers ({rows} rows). Better remove it first."
    ),
    "check.pending.alt": "The first rows of the file",
    "check.pending.text": "Column with the text",
    "check.pending.file": "Column with the picture's file name",
    "check.pending.label": "Column with the class",
    "check.pending.slices": "Columns to split results by",
    "check.pending.choose": "Choose a column",
    "check.pending.needed": "Choose the missing columns; then the file can be used.",
    "check.pending.use": "Use this data",
    "check.pending.discard": "Discard",
    "check.problem": "This file cannot be used.",
    "check.problem.cell": "Row {row}, column {column}",
    "check.problem.row": "Row {row}",
    "check.problem.more": "- and {count} more",
}

JAPANESE = {
    "check.data": "お使いのデータ",
    "check.data.none": (
        "データはまだありません。サンプルで試すか、ファイルをアップロードしてください。"
    ),
    "check.data.needed": "上でデータを選ぶか取り込むと、質問を実行できます。",
    "check.data.choose": "3つの質問に共通のデータ",
    "check.data.label.demo": "{name} · デモデータ",
    "check.data.label.text": "{name} · 文書{count:,}件 · {date}",
    "check.data.label.image": "{name} · 画像{count:,}枚 · {date}",
    "check.data.count.text": "文書{count:,}件",
    "check.data.count.image": "画像{count:,}枚",
    "check.data.columns": "列：{names}",
    "check.data.columns.none": "結果を分ける列なし",
    "check.data.classes": "{count:,}クラス",
    "check.data.demo": "デモデータを使う",
    "check.data.demo.use": "{name}を使う",
    "check.data.demo.facts": (
        "その場で作成します（最大{count:,}件）。最後の部分はモデルの学習に使っていないため、"
        "データのずれを試せます。"
    ),
    "check.data.add": "別のデータを追加",
    "check.data.delete": "削除",
    "check.data.delete.what": (
        "{name}をこのサーバーから完全に削除します。確認の結果は「実行履歴」に残り、項目の名前や"
        "文書の冒頭を含みます。それも消す場合は、その実行も削除してください。"
    ),
    "check.data.delete.now": "今すぐ削除",
    "check.data.deleted": "{name}を削除しました。",
    "check.data.kept": "このサーバーにだけあり、本人だけに表示されます。{date}に削除されます。",
    "check.data.taken": "{name}を取り込み、選択しました。",
    "check.upload.text": (
        "{size} MBまでのCSVまたはJSON Linesファイルで、1行に1文書、{fewest}件以上が必要です。"
        "工場や顧客などの列があれば、その値ごとに結果を分けられます。下の英語の欄にファイルを"
        "ドロップするか、ボタンで選んでください。"
    ),
    "check.upload.image": (
        "{size} MBまでのzipファイルで、画像は{fewest}枚以上が必要です。クラスごとのフォルダーに"
        "分けるか、ファイル名とラベルを書いた表labels.csvを付けます。ラインや顧客などの列が"
        "あれば、その値ごとに結果を分けられます。下の英語の欄にファイルをドロップするか、"
        "ボタンで選んでください。"
    ),
    "check.upload.personal": (
        "氏名、住所、電話番号などの個人情報は不要ですので、含めないでください。データはこの"
        "サーバーにだけ置かれ、{days}日後に、または削除を指示するとすぐに削除されます。"
    ),
    "check.upload.label.text": "お手持ちのファイル（CSVまたはJSON Lines）",
    "check.upload.label.image": "お手持ちのファイル（zip）",
    "check.upload.other.text": (
        "このモデルは文章用ですが、ファイルは画像です。CSVかJSON Linesを用意するか、"
        "サイドバーで画像のモデルを選んでください。"
    ),
    "check.upload.other.image": (
        "このモデルは画像用ですが、ファイルは表です。画像を入れたzipを用意するか、"
        "サイドバーで文章のモデルを選んでください。"
    ),
    "check.sample": "サンプルデータで試す",
    "check.sample.help.text": (
        "デモデータの2工場の報告書60件です。お手持ちのデータと同様に扱います。"
    ),
    "check.sample.help.image": (
        "デモデータの2ラインの画像200枚です。お手持ちのデータと同様に扱います。"
    ),
    "check.template": "テンプレート",
    "check.pending": "{name}を取り込む前に、ご確認ください",
    "check.pending.cp932": "· Shift-JISとして読みました。文字化けがないかご覧ください",
    "check.pending.email": (
        "列{column}にメールアドレスがあるようです（{rows}行）。先に除くことをお勧めします。"
    ),
    "check.pending.phone": (
        "列{column}に電話番号があるようです（{rows}行）。先に除くことをお勧めします。"
    ),
    "check.pending.alt": "ファイルの最初の行",
    "check.pending.text": "本文の列",
    "check.pending.file": "画像のファイル名の列",
    "check.pending.label": "クラスの列",
    "check.pending.slices": "結果を分ける列",
    "check.pending.choose": "列を選択",
    "check.pending.needed": "不足している列を選ぶと、ファイルを使えます。",
    "check.pending.use": "このデータを使う",
    "check.pending.discard": "やめる",
    "check.problem": "このファイルは使えません。",
    "check.problem.cell": "{row}行目・{column}列目",
    "check.problem.row": "{row}行目",
    "check.problem.more": "- ほか{count:,}件",
}
