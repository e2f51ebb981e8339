"""Macros of the report: a chart with its legend, a table that sorts, a command that can be copied."""

from __future__ import annotations

PARTS = """
{%- macro drawn(chart) %}
<figure>
<h4>{{ chart.title }}</h4>
{{ chart.svg | safe }}
<figcaption>
{% if chart.legend %}
<ul class="legend">
{% for look, text in chart.legend %}
<li><svg viewBox="-17 -6 34 12" aria-hidden="true"><path d="M-16 0H16" stroke="{{ look.ink }}" stroke-width="2"
stroke-dasharray="{{ look.dash | join(" ") }}" /><path d="{{ look.shape }}" fill="{{ look.ink }}" /></svg>
<span>{{ text }}</span></li>
{% endfor %}
</ul>
{% endif %}
{% for note in chart.notes %}
<small>{{ note }}</small>
{% endfor %}
</figcaption></figure>
{% endmacro %}
{%- macro copied(command) %}
<div class="command"><code>{{ command }}</code></div>
{% endmacro %}
{%- macro sorted(table, caption) %}
<div class="wide" tabindex="0" role="region" aria-label="{{ caption }}"><table class="sortable">
<thead><tr><th scope="col" class="name">Row</th>
{% for column in table.columns %}
<th scope="col" class="n"{{ ' data-first="descending"' | safe if column.better == "up" }}
{{- ' title="%s"' | safe | format(column.name) if column.name }}>{{ column.title }}</th>
{% endfor %}
</tr></thead>
{% for track, lines in table.tracks %}
<tbody>
<tr class="track"><th scope="rowgroup" colspan="{{ table.columns | length + 1 }}">Supervision:
<span>{{ track }}</span></th></tr>
{% for line in lines %}
<tr><th scope="row" class="name">{{ line.label }}<small>{{ line.seeds }}</small></th>
{% for cell in line.cells %}
<td class="n" data-v="{{ cell.value if cell.value is not none }}">
{%- if cell.best %}<b>{{ cell.text }}</b>{% else %}{{ cell.text }}{% endif %}
{% for more in cell.more %}<small>{{ more }}</small>{% endfor %}</td>
{% endfor %}
</tr>
{% endfor %}
</tbody>
{% endfor %}
</table></div>
{% endmacro %}
"""
