"""The template of the comparison (jinja2), and what its look needs besides that of the report."""

from __future__ import annotations

EXTRA = """
.runs { display: grid; grid-template-columns: auto 1fr; gap: 2px 12px; margin: 8px 0; }
.runs dt { font-weight: 600; } .runs dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)); gap: 12px; margin: 20px 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; }
.card b { display: block; font-size: 28px; line-height: 1.2; color: var(--accent);
  font-variant-numeric: tabular-nums; }
.card small { display: block; }
td.v { overflow-wrap: anywhere; min-width: 100px; }
.swatches { list-style: none; margin: 10px 0; padding: 0; display: flex; flex-wrap: wrap; gap: 4px 18px;
  font-size: 13px; }
.swatches i { display: inline-block; width: 14px; height: 14px; border-radius: 3px; margin-right: 7px;
  vertical-align: -2px; border: 1px solid var(--line); }
.swatches i.line { height: 6px; vertical-align: 2px; border: 1px solid #000; }
.slide { margin: 0 0 30px; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); gap: 8px 16px; }
.panels div { max-width: 640px; }
.panels img { display: block; width: 100%; height: auto; border-radius: 6px; border: 1px solid var(--line);
  background: #fff; }
.panels small { display: block; }
.slide h3 { overflow-wrap: anywhere; } .slide h3::first-letter { text-transform: none; }
.slide figcaption { font-size: 13.5px; }
"""

_MACROS = """
{% macro figures(rows, tested, label) %}
<div class="wide" tabindex="0" role="region" aria-label="{{ label }}"><table>
<thead><tr><th scope="col">{{ label }}</th><th scope="col" class="n">one</th><th scope="col" class="n">other</th>
<th scope="col" class="n">one − other</th>
{% if tested %}
<th scope="col" class="n">p</th><th scope="col" class="n">p (Holm)</th><th scope="col">test</th>
{% endif %}
</tr></thead>
<tbody>
{% for row in rows %}
<tr><th scope="row" class="name">{{ words.title(row.name) }}
{% if words.title(row.name) != row.name %}<small><code>{{ row.name }}</code></small>{% endif %}
</th>
{% for value, interval in ((row.one, row.one_interval), (row.other, row.other_interval)) %}
<td class="n">{{ words.text(row.name, value) }}
{% if interval %}<small>{{ words.within(row.name, interval) }}</small>{% endif %}
</td>
{% endfor %}
<td class="n"><b>{{ words.signed(row.name, row.difference) }}</b></td>
{% if tested %}
<td class="n">{{ words.p_value(row.test.p) if row.test else "" }}</td>
<td class="n">{{ words.p_value(row.test.corrected) if row.test else "" }}</td>
<td><small>{{ words.verdict(row.test) }}</small></td>
{% endif %}
</tr>
{% endfor %}
</tbody></table></div>
{% endmacro %}
{% macro specificities(pairs, label) %}
<div class="wide" tabindex="0" role="region" aria-label="{{ label }}"><table>
<thead><tr><th scope="col">threshold set by</th><th scope="col" class="n">thresholds</th>
<th scope="col" class="n">one</th><th scope="col" class="n">other</th><th scope="col" class="n">one − other</th>
<th scope="col" class="n">95 %</th><th scope="col" class="n">right alone</th>
<th scope="col" class="n">p (Holm)</th></tr></thead>
<tbody>
{% for pair in pairs %}
<tr><th scope="row" class="name">{{ pair.rule }}<small><code>{{ pair.metric }}</code></small></th>
{% if pair.refused %}
<td colspan="7"><small>not compared: {{ pair.refused }}</small></td>
{% else %}
{% for cell in words.specificity(pair) %}<td class="n">{{ cell }}</td>{% endfor %}
{% endif %}
</tr>
{% endfor %}
</tbody></table></div>
{% endmacro %}
{% macro settings(pairs, label) %}
<div class="wide" tabindex="0" role="region" aria-label="{{ label }}"><table>
<thead><tr><th scope="col">setting</th><th scope="col">one</th><th scope="col">other</th></tr></thead>
<tbody>
{% for pair in pairs %}
<tr><th scope="row" class="name">{{ pair.name }}<small>{{ pair.kind }}</small></th>
<td class="v">{{ pair.one if pair.one is not none else "–" }}</td>
<td class="v">{{ pair.other if pair.other is not none else "–" }}</td></tr>
{% endfor %}
</tbody></table></div>
{% endmacro %}
{% macro slides(gaps, label) %}
<div class="wide" tabindex="0" role="region" aria-label="{{ label }}"><table>
<thead><tr><th scope="col">slide</th><th scope="col" class="n">one</th><th scope="col" class="n">other</th>
<th scope="col" class="n">one − other</th><th scope="col">decisions differ on</th></tr></thead>
<tbody>
{% for gap in gaps %}
<tr><th scope="row" class="name">{{ gap.slide }}</th><td class="n">{{ words.text(found.metric, gap.one) }}</td>
<td class="n">{{ words.text(found.metric, gap.other) }}</td>
<td class="n"><b>{{ words.signed(found.metric, gap.difference) }}</b></td><td>{{ words.share(gap) }}</td></tr>
{% endfor %}
</tbody></table></div>
{% endmacro %}
"""

_GALLERY = """
{% if pictures %}
<h2>Where they differ</h2>
{% if closed %}
<p class="note">Drawn without tissue, because the data could not be opened: {{ closed }}</p>
{% endif %}
<ul class="swatches">
{% for name, colour in kinds %}<li><i style="background: {{ colour }}"></i>{{ name }}</li>{% endfor %}
{% if drawn_on_tissue %}
<li><i class="line" style="background: {{ truth_colour }}"></i>outline of the truth</li>
<li>grey: neither, or not scored by both</li>
{% else %}
<li>grey: neither; white: not scored</li>
{% endif %}
</ul>
{% for picture in pictures %}
<figure class="slide">
<h3>{{ picture.gap.slide }}</h3>
<div class="panels">
{% for panel in picture.panels %}
<div><img src="{{ panel.address }}" width="{{ panel.size[0] }}" height="{{ panel.size[1] }}"
alt="{{ picture.gap.slide }}: {{ panel.caption }}"><small>{{ panel.caption }}</small></div>
{% endfor %}
</div>
<figcaption>
{% if picture.gap.difference is not none %}
{{ words.title(found.metric) }} {{ words.text(found.metric, picture.gap.one) }} against
{{ words.text(found.metric, picture.gap.other) }} ({{ words.signed(found.metric, picture.gap.difference) }});
{% endif %}
decisions differ on {{ words.share(picture.gap) }}
{%- if picture.right is not none %}; where they differ on tissue, one is right in
{{ "%.1f" | format(100 * picture.right) }} %
and other in {{ "%.1f" | format(100 - 100 * picture.right) }} % of the cells
{%- endif %}.
{% if picture.note %}<br>Note: {{ picture.note }}.{% endif %}
</figcaption>
</figure>
{% endfor %}
{% endif %}
"""

TEMPLATE = (
    _MACROS
    + """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{{ policy }}">
<title>{{ found.one.name }} against {{ found.other.name }}</title>
<style>{{ style }}</style>
</head>
<body><main>
<h1>Two runs compared</h1>
<dl class="runs"><dt>one</dt><dd>{{ words.called(found.one) }}</dd>
<dt>other</dt><dd>{{ words.called(found.other) }}</dd></dl>
<p class="faint">Every difference is one − other.</p>
{% if found.refused %}<p class="note">{{ caption }}</p>{% endif %}
{% for note in found.notes %}<p class="note">{{ note }}</p>{% endfor %}
{% if headlines %}
<div class="cards">
{% for row in headlines %}
<div class="card"><small>{{ words.title(row.name) }}</small><b>{{ words.signed(row.name, row.difference) }}</b>
<small>{{ words.text(row.name, row.one) }} against {{ words.text(row.name, row.other) }}</small>
<small>{{ "p " ~ words.p_value(row.test.corrected) if row.test and row.test.p is not none else "no test" }}</small>
</div>
{% endfor %}
</div>
{% endif %}
<h2>Configuration</h2>
{% if found.listed %}{{ settings(found.listed, "Configuration") }}{% endif %}
{% if found.folded %}
<details><summary>{{ found.folded | length }} parameters that only one of the runs has</summary>
{{ settings(found.folded, "Parameters of one run") }}</details>
{% endif %}
<p class="faint">{{ found.settings | length }} settings differ, {{ found.equal }} are equal.</p>
<h2>Metrics on the test slides</h2>
{% if main %}
{{ figures(main, not found.refused, "metric") }}
<p class="faint">{{ caption }} Small under a figure: its 95 % interval.</p>
{% else %}
<p>The two runs have no metric in common.</p>
{% endif %}
{% for which, names in (("one", found.lacking[0]), ("other", found.lacking[1])) if names %}
<p class="faint">Only {{ which }} has: {{ names | join(", ") }}.</p>
{% endfor %}
{% if rest %}
<details><summary>{{ rest | length }} more figures: parts of the test slides, training</summary>
{{ figures(rest, false, "figure") }}</details>
{% endif %}
{% if found.specificities %}
<h2>Specificity on the same negatives</h2>
{{ specificities(found.specificities, "Specificity on the same negatives") }}
<p class="faint">{{ words.specificity_caption(found.specificities) }}</p>
{% endif %}
{% if found.labels or found.costs %}
<h2>Labels and cost</h2>
{{ figures(found.labels + found.costs, false, "count") }}
{% endif %}
{% if rankings %}
<h2>Slides they disagree on most</h2>
<p class="faint">Decisions are compared on the cells that both scored, on tissue or beside it.</p>
{% for heading, gaps in rankings %}
<h3>{{ heading }}</h3>
{{ slides(gaps, heading) }}
{% endfor %}
{% elif found.slides %}
<h2>Slides</h2>
<p>The two runs do not differ on any of the {{ found.slides | length }} slides.</p>
{% endif %}
"""
    + _GALLERY
    + """
{% if found.slides %}
<h2>Every slide</h2>
<details><summary>{{ found.slides | length }} slides</summary>
{{ slides(found.slides, "Every slide") }}</details>
{% endif %}
</main></body>
</html>
"""
)
