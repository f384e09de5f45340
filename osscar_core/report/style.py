"""The look of a report, on paper and on screen.

The decision hidden here: sizes that let the main part fill two A4 pages.
"""

from __future__ import annotations

STYLE = """
@page { size: A4; margin: 12mm 13mm 12mm 13mm; }
* { box-sizing: border-box; }
html { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
body { margin: 0; background: #E9ECEF; color: #1B1F24; font: 9pt/1.38 system-ui, "Segoe UI",
  "Helvetica Neue", "Noto Sans", "Hiragino Sans", "Yu Gothic UI", "Meiryo", "Noto Sans CJK JP",
  sans-serif; }
html[lang="ja"] body { line-break: strict; font-family: "Hiragino Sans", "Yu Gothic UI", "Meiryo",
  "Noto Sans CJK JP", "Noto Sans JP", sans-serif; }
section { width: 184mm; margin: 0 auto; }
h1 { font-size: 15pt; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 11.5pt; margin: 0 0 1.2mm; }
h3 { font-size: 9.5pt; margin: 0 0 0.8mm; }
p { margin: 0 0 1mm; overflow-wrap: anywhere; }
a { color: #005A9C; }
ul { margin: 0.5mm 0 1mm; padding-left: 5mm; }
header { border-bottom: 0.5mm solid #1B1F24; padding-bottom: 1.5mm; }
.page { display: flex; flex-direction: column; gap: 4.5mm; }
.facts, .id, .note, footer { color: #4B5563; font-size: 7.8pt; margin: 0; overflow-wrap: anywhere; }
.verdict { border: 0.4mm solid #1B1F24; border-left-width: 3mm; border-radius: 1mm;
  padding: 2.5mm 3.5mm; }
.verdict h2 { font-size: 13pt; }
.verdict.go { border-color: #00704F; background: #EDF7F3; }
.verdict.pilot { border-color: #8A5A00; background: #FDF6E7; }
.verdict.dont { border-color: #A23E00; background: #FCF0EA; }
.verdict ul { list-style: none; padding: 0; margin: 1mm 0 0; }
.verdict li { padding-left: 6mm; position: relative; margin-bottom: 0.8mm; }
.mark { position: absolute; left: 0; width: 4.2mm; text-align: center; font-weight: 700; }
.tiles { display: grid; grid-template-columns: repeat(3, 1fr); gap: 4mm; }
.tile { border: 0.25mm solid #B6BCC4; border-radius: 1mm; padding: 2mm 3mm; font-size: 8.3pt; }
.tile p { margin: 0; }
.tile .big { font-size: 17pt; font-weight: 650; line-height: 1.25; }
.two { display: grid; grid-template-columns: 1fr 1fr; gap: 6mm; align-items: start; }
.two > div { min-width: 0; }
.money { grid-template-columns: 1.12fr 0.88fr; }
svg { display: block; width: 100%; height: auto; font-family: inherit; }
.absent { border: 0.25mm dashed #6B7280; border-radius: 1mm; padding: 2mm 3mm; color: #4B5563; }
.remarks { margin: 1.5mm 0 0; }
footer { margin-top: auto; border-top: 0.2mm solid #B6BCC4; padding-top: 1mm; }
table { border-collapse: collapse; width: 100%; font-size: 7.8pt; margin: 0 0 2.5mm; }
caption { text-align: left; color: #4B5563; font-size: 7.6pt; padding-bottom: 0.6mm; }
th, td { text-align: left; vertical-align: top; padding: 0.55mm 1.6mm 0.55mm 0;
  border-bottom: 0.2mm solid #D5D9DE; overflow-wrap: anywhere; }
th { border-bottom: 0.35mm solid #1B1F24; overflow-wrap: normal; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap;
  overflow-wrap: normal; }
td:not(.number), th:not(.number) { min-width: 13mm; }
.quiet { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.appendix > div { margin-bottom: 4mm; }
.appendix h3 { break-after: avoid; }
.appendix .note + h3 { margin-top: 3mm; }
.appendix table { font-size: 7.2pt; }
tr { break-inside: avoid; }
thead { display: table-header-group; }
@media screen {
  section { background: #FFFFFF; width: min(210mm, 100%); padding: 12mm 13mm; margin: 6mm auto;
    box-shadow: 0 0.3mm 1.5mm rgba(0, 0, 0, 0.25); }
  .page { min-height: 297mm; }
  .appendix { overflow-x: auto; }
}
@media screen and (max-width: 640px) {
  section { padding: 5mm; margin: 0; }
  .page { min-height: 0; }
  .two, .tiles { grid-template-columns: 1fr; }
  table { display: block; overflow-x: auto; }
}
@media print {
  body { background: none; }
  .page { height: 272.5mm; break-after: page; }
}
""".strip()
