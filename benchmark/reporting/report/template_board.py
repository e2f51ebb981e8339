"""The part of a board in the report."""

from __future__ import annotations

BOARD = """
{% for board in boards %}
<section id="board-{{ loop.index }}">
<h2>{{ board.of.dataset }} {{ board.of.settings }}
{% if board.of.synthetic %} <span class="tag">synthetic</span>{% endif %}
{% if not board.of.complete %} <span class="tag">incomplete</span>{% endif %}</h2>
<p class="faint">{{ board.of.used }} of {{ board.of.expected }} test slides.</p>
{% if board.of.synthetic %}
<p class="note">Synthetic data, painted or composed: not to be compared with results on the real set.</p>
{% endif %}
{% if not board.of.complete %}
<p class="note">Incomplete: {{ board.of.expected - board.of.used }} test slides are missing, so these figures stand
apart from those of the whole set.</p>
{% endif %}
{% for note in board.of.notes %}
<p class="note">{{ note }}</p>
{% endfor %}
{% for table in board.tables %}
<h3>{{ table.task }}</h3>
{{ sorted(table, board.of.title ~ ", " ~ table.task) }}
{% endfor %}
{% if board.of.tests %}
<details><summary>Paired tests ({{ board.of.tests | length }})</summary>
<div class="wide" tabindex="0" role="region" aria-label="Paired tests"><table>
<thead><tr><th scope="col">Metric</th><th scope="col">Supervision</th><th scope="col">One</th><th scope="col">Other</th>
<th scope="col">Test</th><th scope="col" class="n">Pairs</th><th scope="col" class="n">One − other</th>
<th scope="col" class="n">p (Holm)</th><th scope="col">Verdict</th></tr></thead>
<tbody>
{% for test in board.of.tests %}
<tr><td>{{ test.metric | metric }}</td><td>{{ test.track }}</td><td class="name">{{ test.one }}</td>
<td class="name">{{ test.other }}</td><td>{{ test.kind }}</td><td class="n">{{ test.pairs }}</td>
<td class="n">{{ test.difference | signed(test.metric) }}</td>
<td class="n">{{ test.p | probability if test.p is not none else "–" }}</td>
<td{{ ' class="say"' | safe if test.refused }}>{{ test | verdict }}</td></tr>
{% endfor %}
</tbody></table></div></details>
{% endif %}
{% if board.of.published %}
<details><summary>Published numbers ({{ board.of.published | length }})</summary>
<div class="wide" tabindex="0" role="region" aria-label="Published numbers"><table>
<thead><tr><th scope="col">Metric</th><th scope="col">Source</th><th scope="col">As printed</th>
<th scope="col" class="n">Published</th><th scope="col" class="n">Ours</th><th scope="col" class="n">Gap</th>
<th scope="col">Our row</th><th scope="col">Protocol</th></tr></thead>
<tbody>
{% for each in board.of.published %}
{% set number = each.reference %}
<tr><td>{{ number.metric | metric }}{% if number.subset %}<small>{{ number.subset }}</small>{% endif %}</td>
<td>{{ number.paper }}<small>{{ number.source }}</small></td>
<td class="name">{{ number.label }}{% if number.supervision %}<small>{{ number.supervision }}</small>{% endif %}</td>
<td class="n">{{ number.value | figure(number.metric) }}
{%- if number.spread is not none %} ± {{ number.spread | figure(number.metric) }}{% endif %}
{% if number.interval %}
<small>{{ number.interval[0] | figure(number.metric) }} to {{ number.interval[1] | figure(number.metric) }}</small>
{% endif %}</td>
<td class="n">{{ each.ours | figure(number.metric) if each.ours is not none else "–" }}</td>
<td class="n">{{ each.gap | signed(number.metric) }}</td><td class="name">{{ each.row or "–" }}</td>
<td class="say">{{ number.protocol }}{% if number.note %}<small>{{ number.note }}</small>{% endif %}</td></tr>
{% endfor %}
</tbody></table></div></details>
{% endif %}
{% if board.charts %}
<h3>Curves</h3>
<div class="charts">
{% for chart in board.charts %}{{ drawn(chart) }}{% endfor %}
</div>
{% endif %}
{% if board.strips %}
<h3>Worst, median and best slide of each row, by Dice</h3>
{% for strip in board.strips %}
<h4>{{ strip.label }}</h4>
{% if strip.missing %}
<p class="faint">{{ strip.missing }}</p>
{% else %}
<div class="strip">
{% for shown in strip.shown %}
<figure><img src="{{ shown.address }}" width="{{ shown.size[0] }}" height="{{ shown.size[1] }}" loading="lazy"
decoding="async" alt="{{ shown.place }} slide of {{ strip.label }}: {{ shown.slide }}">
<figcaption>{{ shown.place }}: {{ shown.slide }}{{ ", Dice " ~ shown.score if shown.score }}</figcaption></figure>
{% endfor %}
</div>
{% endif %}
{% endfor %}
{% if board.left_out %}
<p class="faint">{{ board.left_out }} more rows are left out here; their pictures are in bench ui.</p>
{% endif %}
{% endif %}
<h3>To repeat the rows</h3>
{% if not board.of.synthetic %}
<p class="faint">The data is looked for in BENCH_DATA or ./data; --data ROOT names another folder.</p>
{% endif %}
{% for label, command in board.commands %}
<h4>{{ label }}</h4>
{{ copied(command) }}
{% endfor %}
</section>
{% endfor %}
"""
