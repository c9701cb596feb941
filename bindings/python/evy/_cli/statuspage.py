# SPDX-License-Identifier: MIT
"""statuspage - the status page: one document without anything from elsewhere, which polls /status.json."""

STYLE = """
:root { color-scheme: light dark; --back: #f6f7f9; --card: #fff; --text: #1b2330; --soft: #67728a;
  --line: #e3e7ee; --blue: #2f6fed; --green: #16a36a; --violet: #8250df; --amber: #c98a06; --red: #d83a4a; }
@media (prefers-color-scheme: dark) { :root { --back: #0f141c; --card: #171e29; --text: #e6ebf4;
  --soft: #8b97ad; --line: #263042; --blue: #6aa2ff; --green: #41cf93; --violet: #b694ff; --amber: #e7b64a;
  --red: #ff7682; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 28px 20px 40px; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 6px 14px; margin-bottom: 18px; }
h1 { font-size: 22px; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 15px; margin: 26px 0 10px; }
.soft { color: var(--soft); }
.pill { display: inline-block; border-radius: 99px; padding: 1px 10px; font-size: 13px; font-weight: 600;
  color: var(--tone, var(--soft));
  background: color-mix(in srgb, var(--tone, var(--soft)) 14%, transparent); }
.serving, .ready { --tone: var(--green); }
.starting, .booting, .reloading, .upgrading { --tone: var(--blue); }
.stale, .stopping, .paused { --tone: var(--amber); } .failing, .gone { --tone: var(--red); }
.cards { display: grid; gap: 14px; grid-template-columns: repeat(auto-fit, minmax(245px, 1fr)); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  overflow: hidden; padding: 14px 0 0; }
.card p { margin: 0; padding: 0 16px; }
.card .number { font-size: 28px; font-weight: 650; letter-spacing: -.02em; line-height: 1.25;
  font-variant-numeric: tabular-nums; }
.card svg { display: block; width: 100%; height: 64px; margin-top: 8px; }
.wide { background: var(--card); border: 1px solid var(--line); border-radius: 12px; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 9px 14px; text-align: right; white-space: nowrap; }
th { font-size: 12.5px; font-weight: 600; color: var(--soft); border-bottom: 1px solid var(--line); }
tr + tr td { border-top: 1px solid var(--line); }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
td svg { display: block; width: 130px; height: 26px; margin-left: auto; }
.facts { display: flex; flex-wrap: wrap; gap: 4px 26px; margin: 16px 2px 0; }
.facts b { font-weight: 600; font-variant-numeric: tabular-nums; }
footer { margin-top: 26px; font-size: 13px; color: var(--soft); } a { color: var(--blue); }
"""

BODY = """
<main>
<header><h1 id="name">evy</h1><span class="pill" id="state">connecting</span>
<span class="soft" id="about"></span></header>
<section class="cards" id="cards"></section>
<p class="facts" id="facts"></p>
<h2>Workers</h2>
<div class="wide"><table><thead><tr><th>process</th><th>phase</th><th>up</th><th>requests</th>
<th>per second</th><th>last two minutes</th><th>active</th><th>connections</th><th>sent</th><th>memory</th>
<th>longest turn</th></tr></thead><tbody id="workers"></tbody></table></div>
<footer><span id="version"></span> &middot; <a href="/status.json">status.json</a> &middot;
<a href="/metrics">metrics</a> &middot; <a href="/health">health</a></footer>
</main>
"""

SCRIPT = """
'use strict';
const POINTS = 120, byId = id => document.getElementById(id);
const CARDS = [
  ['requests', 'Requests per second', 'blue', count],
  ['active', 'Active requests', 'violet', count],
  ['sent', 'Sent per second', 'green', bytes],
  ['connections', 'Open connections', 'amber', count],
];
function count(n) {
  return n >= 1e7 ? (n / 1e6).toFixed(1) + ' M' : n >= 1e5 ? (n / 1e3).toFixed(0) + ' k'
    : n >= 100 || Number.isInteger(n) ? Math.round(n).toLocaleString('en') : n.toFixed(1);
}
function bytes(n) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let at = 0;
  while (n >= 1000 && at < units.length - 1) { n /= 1000; at += 1; }
  return (at && n < 100 ? n.toFixed(1) : Math.round(n)) + ' ' + units[at];
}
function time(s) {
  const d = Math.floor(s / 86400), h = Math.floor(s / 3600) % 24, m = Math.floor(s / 60) % 60;
  return d ? `${d} d ${h} h` : h ? `${h} h ${m} min` : m ? `${m} min ${Math.floor(s % 60)} s`
    : `${Math.floor(s)} s`;
}
function element(name, text, cls) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (cls) made.className = cls;
  return made;
}
function graph(values, tone, height) {
  const space = 'http://www.w3.org/2000/svg', svg = document.createElementNS(space, 'svg');
  const width = POINTS - 1, top = Math.max(1e-9, ...values) * 1.12;
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('aria-hidden', 'true');
  if (values.length > 1) {
    const first = POINTS - values.length;
    const line = values.map((v, i) => `${first + i} ${(height - 1 - v / top * (height - 2)).toFixed(2)}`);
    const draw = (d, set) => {
      const path = document.createElementNS(space, 'path');
      path.setAttribute('d', d);
      for (const key in set) path.setAttribute(key, set[key]);
      svg.append(path);
    };
    draw(`M${line.join('L')}L${width} ${height}L${first} ${height}Z`,
      { fill: `var(--${tone})`, 'fill-opacity': .14 });
    draw(`M${line.join('L')}`, { fill: 'none', stroke: `var(--${tone})`, 'stroke-width': 1.6,
      'stroke-linejoin': 'round', 'vector-effect': 'non-scaling-stroke' });
  }
  return svg;
}
function card([key, title, tone, say], history) {
  const values = history.map(point => point[key]), box = element('div', undefined, 'card');
  const now = values.length ? values[values.length - 1] : 0;
  box.append(element('p', title, 'soft'), element('p', say(now), 'number'));
  box.append(element('p', 'peak ' + say(Math.max(0, ...values)), 'soft'), graph(values, tone, 40));
  return box;
}
function row(worker, history) {
  const made = element('tr'), phase = element('td');
  phase.append(element('span', worker.phase, 'pill ' + worker.phase));
  const drawn = element('td');
  drawn.append(graph(history.map(point => point.workers[worker.pid] || 0), 'blue', 20));
  made.append(element('td', worker.pid), phase);
  for (const text of [time(worker.uptime_seconds), count(worker.requests), count(worker.requests_per_second)])
    made.append(element('td', text));
  made.append(drawn);
  for (const text of [count(worker.active), count(worker.connections), bytes(worker.sent_bytes),
    bytes(worker.resident_bytes), (worker.loop_lag_max_us / 1000).toFixed(1) + ' ms'])
    made.append(element('td', text));
  return made;
}
function fact(name, value) {
  const made = element('span', name + ' ', 'soft');
  const bold = element('b', value);
  bold.style.color = 'var(--text)';
  made.append(bold);
  return made;
}
function show(s) {
  document.title = `${s.name} - ${s.state}`;
  byId('name').textContent = s.name;
  byId('state').textContent = s.state;
  byId('state').className = 'pill ' + s.state;
  byId('about').textContent = [...s.addresses, 'up ' + time(s.uptime_seconds)].join(' \\u00b7 ');
  byId('cards').replaceChildren(...CARDS.map(one => card(one, s.history)));
  byId('facts').replaceChildren(
    fact('requests', count(s.totals.requests)), fact('5xx', count(s.totals.server_errors)),
    fact('4xx', count(s.totals.client_errors)), fact('queued', count(s.totals.queued)),
    fact('sent', bytes(s.totals.sent_bytes)), fact('received', bytes(s.totals.received_bytes)),
    fact('workers wanted', s.workers_wanted), fact('threads each', s.threads), fact('master', s.pid));
  byId('workers').replaceChildren(...s.workers.map(one => row(one, s.history)));
  byId('version').textContent = `evy ${s.version} (library ${s.library})`;
}
async function poll() {
  try {
    show(await (await fetch('status.json', { cache: 'no-store' })).json());
  } catch (error) {
    byId('state').textContent = 'no answer';
    byId('state').className = 'pill gone';
  }
  setTimeout(poll, 1000);
}
poll();
"""

PAGE = (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>evy</title>'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    f"<style>{STYLE}</style></head><body>{BODY}<script>{SCRIPT}</script></body></html>\n"
)
