"""The template of the summary page (jinja2)."""

from __future__ import annotations

TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ facts.title }}</title>
<style>
:root { color-scheme: light dark; --ink: #1f2328; --faint: #59636e; --line: #d1d9e0; --paper: #ffffff;
  --card: #f6f8fa; --accent: #0072b2; --warn: #8a4b00; --warn-paper: #fff4e0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --faint: #9198a1; --line: #3d444d; --paper: #0d1117;
  --card: #161b22; --accent: #56b4e9; --warn: #f0c36d; --warn-paper: #33260d; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 24px 20px 64px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0; }
h2 { font-size: 18px; margin: 36px 0 10px; padding-bottom: 5px; border-bottom: 1px solid var(--line); }
h3 { font-size: 15px; margin: 18px 0 8px; color: var(--faint); }
p { margin: 6px 0; }
.faint, small { color: var(--faint); }
.fact { display: block; line-height: 1.45; }
h2 + .wide { margin-bottom: 10px; }
.note { background: var(--warn-paper); color: var(--warn); border-radius: 6px; padding: 8px 12px; margin: 14px 0; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(180px, 1fr)); gap: 12px; margin: 20px 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px;
  display: grid; grid-template-rows: 1fr auto auto auto; align-items: end; }
.card b { display: block; font-size: 28px; line-height: 1.2; color: var(--accent); font-variant-numeric: tabular-nums; }
.card small { display: block; }
.bar { position: relative; height: 4px; border-radius: 2px; background: var(--line); margin: 8px 0 4px; }
.bar i { position: absolute; top: 0; height: 4px; border-radius: 2px; background: var(--accent); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 5px 12px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; color: var(--faint); font-size: 13px; }
td.n, th.n { text-align: right; padding: 5px 0 5px 12px; white-space: nowrap; }
td.r, th.r { color: var(--faint); font-size: 12px; white-space: nowrap; padding: 7px 0 5px 10px; width: 1%; }
td code { color: var(--faint); font-size: 12px; }
.rows td, .rows th { font-size: 12.5px; white-space: nowrap; padding-right: 14px; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: 10px 12px; margin: 8px 0;
  white-space: pre-wrap; overflow-wrap: anywhere; font-size: 13px; }
figure { margin: 0 0 18px; }
figure img { max-width: 100%; height: auto; border-radius: 6px; border: 1px solid var(--line); background: #fff; }
figcaption { color: var(--faint); font-size: 13px; }
.gallery { display: grid; grid-template-columns: repeat(auto-fit, minmax(480px, 1fr)); gap: 4px 18px; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(400px, 1fr)); gap: 0 24px; }
details > summary { cursor: pointer; color: var(--accent); margin: 8px 0; }
</style>
</head>
<body><main>
<h1>{{ facts.title }}</h1>
<p class="faint">{{ facts.subtitle }}</p>
{% if facts.synthetic %}
<p class="note">Synthetic data, painted or composed: not to be compared with results on the real set.</p>
{% endif %}
{% if headlines %}
<div class="cards">
{% for name in headlines %}
  <div class="card"><small>{{ facts.titles.get(name, name) }}</small><b>{{ facts.values[name] | number }}</b>
  {% if name in facts.intervals %}
  {% set low, high = facts.intervals[name] %}
  {% if low >= 0 and high <= 1 %}
  <div class="bar"><i style="left: {{ 100 * low }}%; width: {{ [100 * (high - low), 0.8] | max }}%"></i></div>
  {% endif %}
  <small>95 %: {{ low | short }} to {{ high | short }}</small>
  {% else %}
  <small>no interval</small>
  {% endif %}
  </div>
{% endfor %}
</div>
{% endif %}
<h2>To repeat this run</h2>
<pre>{{ facts.command }}</pre>
{% if refined %}
<h2>Against the coarse annotation</h2>
<div class="wide"><table>
<tr><th>mean ± standard deviation over slides</th>
{% for end in ["all"] + subsets %}
<th class="n">coarse, {{ end }}</th><th class="n">result, {{ end }}</th>
{% endfor %}
</tr>
{% for name, pairs in refined %}
<tr><td>{{ name }}</td>
{% for before, after in pairs %}<td class="n faint">{{ before }}</td><td class="n">{{ after }}</td>{% endfor %}
</tr>
{% endfor %}
</table></div>
{% for fact, name in tested.items() if fact in facts.facts %}
<small class="fact">{{ name }} against the coarse annotation, Wilcoxon
signed-rank test over slides: {{ facts.facts[fact] }}</small>
{% endfor %}
{% endif %}
<h2>Metrics on the test slides</h2>
<div class="wide"><table>
<tr><th>metric</th>
{% for end in ["all"] + subsets %}
<th class="n">{{ end }}</th><th class="r">95 %</th>
{% endfor %}
</tr>
{% for name in names %}
<tr><td>{{ facts.titles.get(name, name) }}{% if name in facts.titles %} <code>{{ name }}</code>{% endif %}</td>
{% for end in [""] + subsets %}
  {% set key = name ~ "@" ~ end if end else name %}
  <td class="n">{{ facts.values[key] | number if key in facts.values else "–" }}</td><td class="r">
  {% if key in facts.intervals %}
  {% set low, high = facts.intervals[key] %}
  {{ low | short }} to {{ high | short }}
  {% endif %}
  </td>
{% endfor %}
</tr>
{% endfor %}
</table></div>
{% for name, text in facts.facts.items() if not (refined and name in tested) %}
<small class="fact">{{ name }}: {{ text }}</small>
{% endfor %}
{% if reasons %}
<h2>Not reported, and why</h2>
<table>
{% for reason, absent in reasons.items() %}
<tr><td>{{ reason }}</td>
<td>{% for name in absent %}<code>{{ name }}</code>{{ ", " if not loop.last }}{% endfor %}</td></tr>
{% endfor %}
</table>
{% endif %}
{% if facts.train %}
<h2>On the training slides</h2>
<table>
{% for name, value in facts.train.items() %}
<tr><td>{{ name }}</td><td class="n">{{ value | number }}</td></tr>
{% endfor %}
</table>
{% endif %}
<div class="pair">
<div>
<h2>Labels used</h2>
<table>
{% for name, count in facts.ledger.items() %}
<tr><td>{{ name | replace("_", " ") }}</td><td class="n">{{ count | number if count else "none" }}</td></tr>
{% endfor %}
</table>
</div>
<div>
<h2>Cost</h2>
<table>
<tr><th>stage</th><th class="n">seconds</th><th class="n">peak memory, MiB</th></tr>
{% for stage in facts.stages %}
<tr><td>{{ stage.name | replace("_", " ") }}{% if stage.reused %} <small>(reused)</small>{% endif %}</td>
<td class="n">{{ "%.1f" | format(stage.seconds) }}</td>
<td class="n">{{ "%.0f" | format(stage.peak_mib) }}
{% if stage.peak_gpu_mib %}
<br><small>GPU {{ "%.0f" | format(stage.peak_gpu_mib) }}</small>
{% endif %}
</td></tr>
{% endfor %}
{% for name, text in facts.totals.items() %}
<tr><td>{{ name }}</td><td class="n" colspan="2">{{ text }}</td></tr>
{% endfor %}
</table>
</div>
</div>
{% if figures %}
<h2>Curves</h2>
{% for caption, address in figures.items() %}
<figure><img src="{{ address }}" alt="{{ caption }}"><figcaption>{{ caption }}</figcaption></figure>
{% endfor %}
{% endif %}
{% if gallery %}
<h2>Slides{% if facts.rank_by %} by {{ facts.titles.get(facts.rank_by, facts.rank_by) }}{% endif %}</h2>
{% for heading, pictures in gallery.items() %}
<h3>{{ heading }}</h3>
<div class="gallery">
{% for slide, value, address in pictures %}
<figure><img src="{{ address }}" alt="{{ slide }}">
<figcaption>{{ slide }}{{ ": " ~ value if value }}</figcaption></figure>
{% endfor %}
</div>
{% endfor %}
{% endif %}
{% if notes %}
<h2>What the method says of slides</h2>
<table>
{% for slide, note in notes.items() %}
<tr><td>{{ slide }}</td><td>{{ note }}</td></tr>
{% endfor %}
</table>
{% endif %}
{% if facts.rows %}
<h2>Every slide</h2>
<details><summary>{{ facts.rows | length }} slides (also in per_slide.csv)</summary>
<div class="wide"><table class="rows">
<tr>{% for column in columns %}<th>{{ column }}</th>{% endfor %}</tr>
{% for row in facts.rows %}
<tr>{% for column in columns %}<td>{{ row.get(column) | number }}</td>{% endfor %}</tr>
{% endfor %}
</table></div></details>
{% endif %}
{% if facts.settings %}
<h2>Settings</h2>
<details><summary>{{ facts.settings | length }} settings (also in config.yaml)</summary>
<table>
{% for name, value in facts.settings.items() %}
<tr><td>{{ name }}</td><td>{{ value }}</td></tr>
{% endfor %}
</table></details>
{% endif %}
</main></body>
</html>
"""
