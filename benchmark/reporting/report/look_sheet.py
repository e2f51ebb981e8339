"""The style sheet of the report: light, dark, telephone and paper."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --faint: #59636e; --line: #d1d9e0; --paper: #ffffff;
  --card: #f6f8fa; --accent: #0062a3; --warn: #8a4b00; --warn-paper: #fff4e0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --faint: #9198a1; --line: #3d444d; --paper: #0d1117;
  --card: #161b22; --accent: #56b4e9; --warn: #f0c36d; --warn-paper: #33260d; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", sans-serif;
  overflow-wrap: break-word; }
main { max-width: 1280px; margin: 0 auto; padding: 24px 20px 64px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0; }
h2 { font-size: 20px; line-height: 1.3; margin: 44px 0 10px; padding-bottom: 6px;
  border-bottom: 2px solid var(--line); }
h3 { font-size: 16px; margin: 28px 0 8px; }
h3::first-letter { text-transform: uppercase; }
p { margin: 6px 0; }
a { color: var(--accent); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
nav ul { list-style: none; margin: 14px 0; padding: 0; display: flex; flex-wrap: wrap; gap: 4px 20px; }
.faint, small, figcaption { color: var(--faint); }
.note { background: var(--warn-paper); color: var(--warn); border-radius: 6px; padding: 8px 12px; margin: 12px 0; }
.tag { font-size: 12px; font-weight: 600; background: var(--warn-paper); color: var(--warn); border-radius: 10px;
  padding: 2px 9px; margin-left: 6px; vertical-align: 3px; white-space: nowrap; }
.wide { overflow-x: auto; max-width: 100%; position: relative; }
table { border-collapse: separate; border-spacing: 0; width: 100%; font-variant-numeric: tabular-nums;
  font-size: 13.5px; }
th, td { text-align: left; padding: 6px 10px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
thead th { font-weight: 600; color: var(--faint); font-size: 12.5px; vertical-align: bottom; line-height: 1.3; }
tbody th { font-weight: 400; }
.n { text-align: right; padding: 6px 0 6px 10px; white-space: nowrap; }
thead .n { white-space: normal; }
.n + :not(.n) { padding-left: 18px; }
td small, th small { display: block; font-size: 12px; line-height: 1.35; }
tr.track th { font-size: 13px; padding-top: 12px; font-weight: 600; }
tr.track span { color: var(--accent); }
.name { min-width: 120px; max-width: 280px; overflow-wrap: anywhere; }
td b { font-weight: 700; }
.sortable .name { position: sticky; left: 0; background: var(--paper); z-index: 1; }
th button { font: inherit; color: inherit; background: none; border: 0; padding: 0; text-align: inherit;
  cursor: pointer; min-height: 24px; }
th button:hover { color: var(--ink); }
th button::after { content: " \\2195"; opacity: 0.45; }
th[aria-sort] button { color: var(--accent); }
th[aria-sort="ascending"] button::after { content: " \\2191"; opacity: 1; }
th[aria-sort="descending"] button::after { content: " \\2193"; opacity: 1; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 24px 36px;
  align-items: start; }
figure { margin: 0; min-width: 0; }
.charts h4 { margin: 0 0 6px; }
.chart { display: block; width: 100%; max-width: 560px; height: auto; color: var(--ink); }
.chart * { stroke-linejoin: round; }
.chart text { font-family: system-ui, "Segoe UI", sans-serif; fill: var(--ink); paint-order: stroke;
  stroke: var(--paper); stroke-width: 2.5px; }
#ranks .charts { grid-template-columns: 1fr; }
#ranks figure { overflow-x: auto; }
#ranks .chart { min-width: 480px; max-width: 760px; }
.legend { list-style: none; margin: 6px 0; padding: 0; font-size: 13px; color: var(--ink); }
.legend li { display: flex; gap: 8px; align-items: baseline; overflow-wrap: anywhere; }
.legend svg { flex: none; width: 34px; height: 12px; align-self: center; }
.charts small { display: block; }
h4 { font-size: 14px; margin: 18px 0 6px; overflow-wrap: anywhere; }
.strip { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 10px 16px; }
.strip img { display: block; width: 100%; height: auto; border-radius: 6px; border: 1px solid var(--line);
  background: #fff; }
.strip figcaption { font-size: 13px; overflow-wrap: anywhere; }
.command { display: flex; gap: 10px; align-items: start; background: var(--card); border: 1px solid var(--line);
  border-radius: 6px; padding: 8px 10px; margin: 4px 0 12px; }
.command code { flex: 1; min-width: 0; white-space: pre-wrap; overflow-wrap: anywhere; font-size: 13px; }
.command button { flex: none; font: inherit; font-size: 13px; color: var(--accent); background: var(--paper);
  border: 1px solid var(--line); border-radius: 5px; padding: 2px 10px; cursor: pointer; }
td code { font-size: 12px; overflow-wrap: anywhere; }
td.say { min-width: 220px; overflow-wrap: anywhere; }
details > summary { cursor: pointer; color: var(--accent); margin: 14px 0 8px; }
@media (max-width: 640px) { main { padding: 16px 14px 48px; } h1 { font-size: 22px; } h2 { font-size: 18px; }
  .strip { grid-template-columns: 1fr; } .name { min-width: 96px; max-width: 128px; } }
@media print { :root { color-scheme: light; --ink: #000; --faint: #444; --line: #bbb; --paper: #fff; --card: #fff;
  --accent: #003f6b; } main { max-width: none; padding: 0; } button, nav { display: none; }
  th button { display: inline; }
  th button::after { content: none; } .wide { overflow: visible; } table { font-size: 10px; }
  thead th, td small, th small { font-size: 9px; } th, td { padding-right: 6px; } .n { padding-left: 6px; }
  .sortable .name { position: static; } figure, tr, .command { break-inside: avoid; }
  h2, h3, h4 { break-after: avoid; } .chart { max-width: 420px; } }
"""
