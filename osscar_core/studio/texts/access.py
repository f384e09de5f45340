"""What is said about who may do what: roles, sharing, folders, a server that only shows."""

from __future__ import annotations

ENGLISH = {
    "access.shown": "Showing only: nothing can be started or changed here.",
    "access.viewer": "You can look around and try what-ifs; starting runs takes another role.",
    "decide.take.limits": (
        "Models and records of this run are handed out to its owner only. "
        "The report is for everybody."
    ),
    "form.outside": (
        "Files can be named only below the folders that this server is set up for. "
        "Whoever runs it can add one (OSSCAR_ROOTS)."
    ),
    "runs.column.owner": "Owner",
    "runs.column.owner.help": "Who asked for it, as a mark of their login",
    "runs.everyones": "Everybody's runs",
    "runs.everyones.help": "As an admin, you can look after the runs of all.",
    "runs.fact.owner": "of {owner}",
    "runs.fact.shared": "everybody here can see it",
    "runs.model.here": "The pruned model is kept on the server.",
    "runs.share": "Show to everybody",
    "runs.unshare": "Stop showing",
    "told.login": "Logging in does not work here: a part of the installation is missing.",
    "told.login.todo": "Ask whoever runs this server to run: pip install -r requirements.txt",
    "told.nobody": "Nobody is logged in any more.",
    "told.nobody.todo": "Reload the page and log in.",
    "told.others": "This run belongs to somebody else.",
    "told.others.todo": "Ask its owner, or start one of your own.",
    "told.outside": "Files can be named only below the folders that this server is set up for.",
    "told.outside.todo": "Move the file there, or have OSSCAR_ROOTS name its folder.",
    "told.shown": "This server only shows; nothing can be started or changed on it.",
    "told.shown.todo": "Use an installation of your own, or ask whoever runs this one.",
    "told.viewer": "Your role here is to look; it changes nothing.",
    "told.viewer.todo": "Ask whoever runs this server for the role operator.",
}

JAPANESE = {
    "access.shown": "表示専用です。実行や変更はできません。",
    "access.viewer": "閲覧と試算ができます。実行には別の権限が必要です。",
    "decide.take.limits": (
        "この実行のモデルと記録は所有者だけが受け取れます。レポートはどなたでも受け取れます。"
    ),
    "form.outside": (
        "このサーバーで許可されたフォルダーの中のファイルだけを指定できます。"
        "フォルダーは管理者が追加できます（OSSCAR_ROOTS）。"
    ),
    "runs.column.owner": "所有者",
    "runs.column.owner.help": "実行を始めた人（ログインから作った符号）",
    "runs.everyones": "全員の実行",
    "runs.everyones.help": "管理者は全員の実行を管理できます。",
    "runs.fact.owner": "所有者：{owner}",
    "runs.fact.shared": "全員に公開中",
    "runs.model.here": "圧縮後のモデルはサーバーに保存されています。",
    "runs.share": "全員に公開",
    "runs.unshare": "公開をやめる",
    "told.login": "ここではログインできません。インストールの一部が足りません。",
    "told.login.todo": ("管理者に次の実行を依頼してください：pip install -r requirements.txt"),
    "told.nobody": "ログインが終了しています。",
    "told.nobody.todo": "ページを再読み込みして、ログインしてください。",
    "told.others": "この実行はほかの人のものです。",
    "told.others.todo": "所有者に依頼するか、ご自分の実行を始めてください。",
    "told.outside": "このサーバーで許可されたフォルダーの中のファイルだけを指定できます。",
    "told.outside.todo": "ファイルを移すか、OSSCAR_ROOTSにそのフォルダーを加えてください。",
    "told.shown": "このサーバーは表示専用です。実行や変更はできません。",
    "told.shown.todo": "ご自分の環境を使うか、このサーバーの管理者にご相談ください。",
    "told.viewer": "現在の権限では閲覧だけができます。",
    "told.viewer.todo": "operatorの権限を管理者に依頼してください。",
}
