"""The template of a study's page (jinja2)."""

from __future__ import annotations

TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ study }}</title>
<style>
:root { --ink: #1f2328; --faint: #59636e; --line: #d1d9e0; --paper: #ffffff; --accent: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 24px 20px 64px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 36px 0 10px; padding-bottom: 5px; border-bottom: 1px solid var(--line); }
p { margin: 6px 0; }
.faint { color: var(--faint); }
.wide { overflow-x: auto; }
.tall { max-height: 480px; overflow: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 5px 12px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; color: var(--faint); font-size: 13px; }
td.n, th.n { text-align: right; white-space: nowrap; }
.best td { font-weight: 600; color: var(--accent); }
.bar { display: inline-block; height: 10px; background: var(--accent); border-radius: 2px; }
</style>
</head>
<body>
<main>
<h1>{{ study }}</h1>
<p class="faint">{{ what.spec.method }} on {{ what.spec.place }}, preset {{ what.spec.preset }}.
{{ what.file.about }}</p>

<h2>Winner and {{ what.start }}</h2>
<div class="wide"><table>
<tr><th>setting</th><th class="n">trial</th><th>parameters</th>
{% for metric in metrics %}
<th class="n">{{ metric }}<br>validation</th><th class="n">{{ metric }}<br>test</th>
{% endfor %}
<th>runs of the test</th></tr>
{% for row in rows %}
<tr><td>{{ row.name }}</td><td class="n">{{ row.trial.number }}</td><td>{{ row.trial.params | words }}</td>
{% for metric in metrics %}
<td class="n">{{ "%.4f" | format(row.trial.values[loop.index0]) if row.trial.values else "–" }}</td>
<td class="n">{{ row.test.get(metric, ()) | spread }}</td>
{% endfor %}
<td>{% for run in row.runs %}<code>{{ run[:8] }}</code> {% else %}not tested{% endfor %}</td></tr>
{% endfor %}
</table></div>
<p>{{ note }}</p>

<h2>Importance</h2>
{% for metric, shares in importances.items() %}
{% if shares %}
<table>
<tr><th>parameter</th><th class="n">share of the spread of {{ metric }}</th><th></th></tr>
{% for name, share in shares.items() %}
<tr><td>{{ name }}</td><td class="n">{{ "%.3f" | format(share) }}</td>
<td style="width:50%"><span class="bar" style="width:{{ (share * 100) | round(1) }}%"></span></td></tr>
{% endfor %}
</table>
{% else %}
<p class="faint">{{ metric }}: too few complete trials, or no spread among them, to tell.</p>
{% endif %}
{% endfor %}
<p class="faint">fANOVA: how much of the objective's variance over the searched space a parameter explains, as a forest
fitted to these trials sees it. With few trials it says little.</p>

<h2>Figures</h2>
{% for name, figure in figures.items() %}
<div class="wide">{{ figure }}</div>
{% endfor %}
{% for name, reason in absent.items() %}
<p class="faint">{{ name }} was not drawn: {{ reason }}</p>
{% endfor %}

<h2>Searched</h2>
<table>
<tr><th>parameter</th><th>range</th><th>{{ what.start }}</th></tr>
{% for name, range, value in space %}<tr><td>{{ name }}</td><td>{{ range }}</td><td>{{ value }}</td></tr>{% endfor %}
</table>

<h2>Trials</h2>
<div class="wide tall"><table>
<tr><th class="n">trial</th><th>state</th>{% for metric in metrics %}<th class="n">{{ metric }}</th>{% endfor %}
<th>parameters</th><th class="n">s</th><th>run</th></tr>
{% for trial in trials %}
<tr{% if trial.number in front %} class="best"{% endif %}>
<td class="n">{{ trial.number }}</td><td>{{ trial.state }}{% if trial.reason %}: {{ trial.reason }}{% endif %}</td>
{% for metric in metrics %}
<td class="n">{{ "%.4f" | format(trial.values[loop.index0]) if trial.values else "–" }}</td>
{% endfor %}
<td>{{ trial.params | words }}</td><td class="n">{{ "%.0f" | format(trial.seconds) }}</td>
<td><code>{{ trial.run[:8] }}</code></td></tr>
{% endfor %}
</table></div>
</main>
</body>
</html>
"""
