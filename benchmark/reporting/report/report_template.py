"""The template of the report (jinja2)."""

from __future__ import annotations

from benchmark.reporting.report.template_board import BOARD
from benchmark.reporting.report.template_parts import PARTS

TEMPLATE = (
    PARTS
    + """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{{ policy }}">
<title>{{ title }}</title>
<style>{{ style }}</style>
</head>
<body><main>
<h1>{{ title }}</h1>
<p class="faint">Runs of {{ store }}.</p>
<nav aria-label="Parts of this page"><ul>
{% for board in boards %}
<li><a href="#board-{{ loop.index }}">{{ board.of.title }}</a></li>
{% endfor %}
{% if ranks %}<li><a href="#ranks">mean ranks</a></li>{% endif %}
{% if failures %}<li><a href="#failures">not finished ({{ failures | length }})</a></li>{% endif %}
</ul></nav>
<details><summary>How to read the tables</summary>
<p>Rank: 1 + rows of the same supervision that are significantly better (p ≤ 0.05, paired test, Holm); = is a tie,
( ) a rank that was not tested. Bold: the best of the supervision. ±: standard deviation over seeds. Small: 95 %
interval over patients, mean of the seeds' ends. Label cost: what an expert would need by the cost model, an
estimate. Seconds: as if the method had run alone. Peak MiB: memory, with that of a GPU behind +.</p>
</details>
"""
    + BOARD
    + """
{% if ranks %}
<section id="ranks">
<h2>Mean ranks</h2>
<div class="charts">
{% for chart in ranks %}{{ drawn(chart) }}{% endfor %}
</div>
</section>
{% endif %}
{% if failures %}
<section id="failures">
<h2>Not finished</h2>
<div class="wide" tabindex="0" role="region" aria-label="Not finished"><table>
<thead><tr><th scope="col">Row</th><th scope="col">Dataset</th><th scope="col">Seed</th><th scope="col">State</th>
<th scope="col">Reason</th></tr></thead>
<tbody>
{% for failure in failures %}
<tr><th scope="row" class="name">{{ failure.label }}</th><td>{{ failure.dataset }}</td><td>{{ failure.seed }}</td>
<td>{{ failure.state }}</td><td class="say">{{ failure.reason or "no reason is stored" }}</td></tr>
{% endfor %}
</tbody></table></div>
<h3>To run them again</h3>
{% for command in failures | map(attribute="command") | select | unique %}
{{ copied(command) }}
{% endfor %}
</section>
{% endif %}
</main>
<script>{{ script }}</script>
</body>
</html>
"""
)
