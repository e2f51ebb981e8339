// The page of bench annotate. The server's word is the truth: what is shown beyond it is what waits in `outbox`.

const base = location.pathname.replace(/[^/]*$/, "");
const at = (id) => document.getElementById(id);
const tab = crypto.randomUUID();

let about = null; // what never changes
let state = null; // how things stand, as the server said last
let current = null; // item in focus
let hovered = null;
let order = "strategy";
let layer = "classes";
let sampled = []; // items to look through for examples
let visited = []; // items looked at by clicking on the slide
let seed = 0;
let number = 0; // of the last event of this tab that the server took
const outbox = []; // events not yet taken
const kept = new Map(); // pictures fetched ahead
let since = performance.now();
let spent = 0; // ms looked at the current patch before the page was hidden
let lost = "";
let refused = "";

const classOf = (label) => about.classes.find((one) => one.label === label);
const rgb = (label) => `rgb(${classOf(label).colour.join(" ")})`;
const given = (item) => {
  for (let place = outbox.length - 1; place >= 0; place--) {
    const mark = outbox[place].marks?.find((one) => one.item === item);
    if (mark) return mark.label;
  }
  return state.known.get(item) ?? null;
};
const entryOf = (item) => state.queue.find((one) => one.item === item);
const batch = () => state.queue.filter((one) => !one.ahead);
const examining = () => state.phase === "examples" && !outbox.some((event) => event.kind === "start");

// ---- talking to the server

async function ask(path, body) {
  const options = body === undefined ? {} : { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } };
  const answer = await fetch(base + path, options);
  let content = {};
  try { content = await answer.json(); } catch { content = { error: answer.statusText }; }
  return { ok: answer.ok, status: answer.status, content };
}

function take(fresh) {
  if (state && fresh.version < state.version) return;
  const renewed = !state || fresh.events !== state.events || fresh.progress.rounds !== state.progress.rounds || fresh.phase !== state.phase;
  state = fresh;
  state.known = new Map([...state.answers, ...state.examples]);
  at("over").hidden = state.phase !== "ended";
  prefetch();
  if (current === null || !shown().includes(current)) focusOn(firstOpen(-1));
  draw();
  if (renewed || !layers) drawLayer();
}

function follow(before) {
  const changed = shown().find((item) => (before.get(item) ?? null) !== (state.known.get(item) ?? null));
  if (changed !== undefined) focusOn(changed);
}

// Keys pressed while undo is on its way mean what they will mean after it.
const held = [];
const turning = () => outbox.some((event) => event.kind === "undo" || event.kind === "redo");
function resume() { while (held.length && !turning()) held.shift()(); }

let sending = false;
async function send(event) {
  outbox.push(event);
  draw();
  if (sending) return;
  sending = true;
  while (outbox.length) {
    const next = outbox[0];
    if (next.kind === "undo" || next.kind === "redo") { // of what the server did last, known only now
      next.last ??= state[next.kind];
      if (!next.last) { outbox.shift(); resume(); continue; }
    }
    try {
      const answer = await ask("api/act", { ...next, tab, number: number + 1 });
      lost = "";
      outbox.shift();
      if (answer.ok) {
        number += 1;
        refused = "";
        const before = state.known;
        take(answer.content.state);
        if (next.kind === "undo") follow(before);
        resume();
      } else {
        refused = answer.content.error ?? `refused (${answer.status})`;
        outbox.length = held.length = 0;
        take((await ask("api/state")).content);
      }
    } catch {
      lost = "not saved yet: the server does not answer; trying again";
      draw();
      await new Promise((done) => setTimeout(done, 1000));
    }
  }
  sending = false;
  draw();
}

async function listen() {
  for (;;) {
    try {
      const answer = await ask(`api/state?after=${state.version}`);
      if (!answer.ok) throw new Error(answer.content.error);
      lost = "";
      take(answer.content);
      if (state.phase === "ended") return;
    } catch {
      lost = "the server does not answer: it was closed, or stopped. Every answer it took is saved.";
      draw();
      await new Promise((done) => setTimeout(done, 1500));
    }
  }
}

// ---- what is shown, and where the focus goes

function shown() {
  if (!state) return [];
  if (examining()) return [...new Set([...state.examples.map(([item]) => item), ...visited, ...sampled])];
  const own = batch();
  const done = own.every((one) => given(one.item) !== null);
  const ahead = done ? state.queue.filter((one) => one.ahead) : [];
  const by = order === "uncertain" ? (one, other) => (other.uncertainty ?? 0) - (one.uncertainty ?? 0) : () => 0;
  return [...new Set([...visited, ...[...own].sort(by), ...[...ahead].sort(by)].map((one) => one.item ?? one))];
}

function firstOpen(after) {
  const items = shown();
  for (let step = 1; step <= items.length; step++) {
    const item = items[(after + step) % items.length];
    if (given(item) === null) return item;
  }
  return items[Math.max(0, after)] ?? null;
}

function focusOn(item) {
  if (item !== current) { spent = 0; since = performance.now(); }
  current = item;
  hovered = null;
}

const seconds = () => (spent + (document.hidden ? 0 : performance.now() - since)) / 1000;

function mark(pairs, took) {
  const kinds = new Map();
  for (const [item, label] of pairs) {
    const kind = examining() && about.wanted.includes(label) && !state.answers.some(([one]) => one === item) ? "example" : "answer";
    const known = given(item);
    if (known === label) continue;
    kinds.set(kind, [...(kinds.get(kind) ?? []), { item, label, was: known }]);
  }
  for (const [kind, marks] of kinds) send({ kind, marks, seconds: took });
}

function answer(label) {
  if (current === null || state.phase === "ended") return;
  const items = shown();
  const place = items.indexOf(current);
  mark([[current, label]], seconds());
  focusOn(firstOpen(place));
  draw();
}

const suggestions = () => shown().filter((item) => given(item) === null && entryOf(item)?.suggested != null);

function acceptAll() {
  const items = suggestions();
  if (!items.length) return;
  mark(items.map((item) => [item, entryOf(item).suggested]), seconds());
  focusOn(firstOpen(-1));
  draw();
}

const undo = () => send({ kind: "undo" });
const redo = () => send({ kind: "redo" });

function prefetch() {
  const items = [...state.queue.map((one) => one.item), ...(examining() ? sampled : [])];
  for (const item of items) {
    if (kept.has(item)) continue;
    kept.set(item, ["patch", "context"].map((kind) => { const image = new Image(); image.src = `${base}${kind}/${item}.jpg`; return image; }));
  }
  for (const item of kept.keys()) { if (kept.size <= 300) break; if (!items.includes(item)) kept.delete(item); }
}

async function resample() {
  seed += 1;
  sampled = (await ask(`api/sample?seed=${seed}`)).content.items ?? [];
  visited = [];
  prefetch();
  focusOn(firstOpen(-1));
  draw();
}

// ---- drawing

function draw() {
  if (!state || !about) return;
  const progress = state.progress, plan = about.plan, items = shown();
  const waiting = outbox.reduce((sum, event) => sum + (event.kind === "answer" ? event.marks.filter((one) => one.was === null).length : 0), 0);
  at("count").textContent = progress.answers + waiting;
  at("left").textContent = about.budget === null ? "∞" : Math.max(0, about.budget - progress.spent - waiting);
  at("round").textContent = state.phase === "examples" ? "–" : `${Math.min(progress.rounds + 1, plan.sessions * plan.rounds)}/${plan.sessions * plan.rounds}`;
  at("pace").textContent = progress.median ?? "–";
  drawStatus(items);
  at("undo").disabled = !state.undo; at("redo").disabled = !state.redo;
  at("heading").textContent = examining() ? "Find examples" : "To review";
  const names = about.wanted.map((label) => classOf(label).name).join(" or ");
  at("lead").textContent = examining() ? `Mark at least one patch of ${names}: the search begins with it. Click on the slide to look elsewhere.`
    : state.finished ? "Nothing is left to review. End the session, or go back with undo." : "";
  at("order").hidden = examining(); at("accept").hidden = examining();
  at("accept").disabled = !suggestions().length;
  at("sample").hidden = at("start").hidden = !examining();
  at("start").disabled = !state.examples.some(([, label]) => about.wanted.includes(label)) && !outbox.some((event) => event.kind === "example");
  for (const button of at("layers").children) button.setAttribute("aria-pressed", button.dataset.layer === layer);
  for (const button of at("order").children) button.setAttribute("aria-pressed", button.dataset.order === order);
  at("legend").textContent = layer === "uncertainty" ? "Dark: certain. Yellow: any class is as likely." : layer === "classes" ? "Full colour: answered. Pale: what the method says." : "";
  drawGrid(items);
  drawFocus(hovered ?? current);
  drawBoxes(items);
  document.body.dataset.version = outbox.length ? "" : state.version;
  at("saved").textContent = outbox.length ? "saving …" : `saved · ${about.who}`;
}

function drawStatus(items) {
  const status = at("status");
  const fault = lost || refused || (state.fault && `learning failed: ${state.fault}`);
  const left = items.filter((item) => given(item) === null).length;
  const learning = state.busy === "learning" ? "learning … go on meanwhile" : state.busy;
  status.className = fault ? "error" : state.busy ? "busy" : "";
  status.textContent = fault || learning || (examining() ? "" : `${left} to review`);
}

function drawGrid(items) {
  const grid = at("grid");
  const old = new Map([...grid.children].map((button) => [Number(button.dataset.item), button]));
  const buttons = items.map((item) => {
    const button = old.get(item) ?? tile(item);
    const entry = entryOf(item), label = given(item), [chip, doubt] = [button.querySelector("span"), button.querySelector(".doubt")];
    button.className = [label !== null && "given", item === current && "current", entry?.ahead && "ahead"].filter(Boolean).join(" ");
    button.setAttribute("aria-selected", item === current);
    const named = label ?? entry?.suggested ?? null;
    chip.hidden = named === null;
    chip.className = label !== null ? "given" : "suggested";
    chip.textContent = named === null ? "" : label !== null ? classOf(named).name : `${classOf(named).name}?`;
    if (named !== null) button.style.setProperty("--colour", rgb(named));
    doubt.hidden = label !== null || entry?.uncertainty == null;
    doubt.firstChild.style.width = `${(entry?.uncertainty ?? 0) * 100}%`;
    return button;
  });
  if (buttons.length !== grid.children.length || buttons.some((button, place) => grid.children[place] !== button)) grid.replaceChildren(...buttons);
  grid.querySelector(".current")?.scrollIntoView({ block: "nearest" });
}

function tile(item) {
  const button = document.createElement("button");
  button.dataset.item = item;
  button.tabIndex = -1;
  button.setAttribute("role", "option");
  const image = document.createElement("img");
  image.src = `${base}patch/${item}.jpg`;
  image.alt = `patch ${item}`;
  const doubt = document.createElement("div");
  doubt.className = "doubt";
  doubt.title = "uncertainty";
  doubt.append(document.createElement("i"));
  button.append(image, document.createElement("span"), doubt);
  button.addEventListener("click", () => { focusOn(item); draw(); });
  button.addEventListener("mouseenter", () => { hovered = item; drawFocus(item); drawBoxes(shown()); });
  button.addEventListener("mouseleave", () => { hovered = null; drawFocus(current); drawBoxes(shown()); });
  return button;
}

function drawFocus(item) {
  const picture = at("context");
  if (item === null) { picture.removeAttribute("src"); at("told").textContent = ""; return; }
  const source = `${base}context/${item}.jpg`;
  if (picture.getAttribute("src") !== source) picture.src = source;
  picture.dataset.item = item;
  const entry = entryOf(item), label = given(item);
  const suggested = entry?.suggested != null ? `suggested: ${classOf(entry.suggested).name}, ${Math.round(entry.p * 100)} %` : "";
  at("told").textContent = label !== null ? `answered: ${classOf(label).name}` : suggested;
  for (const button of at("classes").children) button.classList.toggle("given", label === Number(button.dataset.label));
}

function drawClasses() {
  at("classes").replaceChildren(...about.classes.map((one) => {
    const button = document.createElement("button"), key = document.createElement("kbd");
    button.dataset.label = one.label;
    button.style.setProperty("--colour", `rgb(${one.colour.join(" ")})`);
    key.textContent = one.key;
    button.append(one.name, " ", key);
    button.addEventListener("click", () => { answer(one.label); button.blur(); });
    return button;
  }));
}

// The place of an item is known for those of the queue; others were looked up on the slide or are asked for.
const places = new Map();
async function placeOf(item) {
  const entry = entryOf(item);
  if (entry) places.set(item, [entry.row, entry.col]);
  if (!places.has(item)) {
    const answer = await ask(`api/place?item=${item}`);
    if (answer.ok) places.set(item, [answer.content.row, answer.content.col]);
  }
  return places.get(item);
}

let drawn = 0;
async function drawBoxes(items) {
  const mine = ++drawn, looked = hovered ?? current;
  const found = await Promise.all(items.map(async (item) => [item, await placeOf(item)]));
  if (mine !== drawn) return;
  at("boxes").replaceChildren(...found.filter(([, place]) => place).map(([item, [row, col]]) => {
    const box = document.createElement("div");
    if (item === looked) box.className = "current";
    box.style.left = `${about.across[col] * 100}%`;
    box.style.top = `${about.down[row] * 100}%`;
    box.style.width = `${about.side[0] * 100}%`;
    box.style.height = `${about.side[1] * 100}%`;
    return box;
  }));
}

let layers = 0; // asked for: a picture that arrives after a later one was asked for is not shown
function drawLayer() {
  const image = at("layer"), mine = ++layers;
  image.hidden = layer === "none";
  if (layer === "none") return;
  const fresh = new Image();
  fresh.onload = () => { if (mine === layers) image.src = fresh.src; };
  fresh.src = `${base}${layer}.png?v=${state.version}`;
}

function setLayer(name) { layer = name; drawLayer(); draw(); }
function nextLayer() { const all = ["classes", "uncertainty", "none"]; setLayer(all[(all.indexOf(layer) + 1) % all.length]); }

// ---- the slide: zoom, move, look

let zoom = 1, left = 0, top_ = 0, fitted = [1, 1];
function fit() {
  const view = at("view"), [width, height] = about.size;
  const scale = Math.min(view.clientWidth / width, view.clientHeight / height);
  fitted = [width * scale, height * scale];
  zoom = 1; left = (view.clientWidth - fitted[0]) / 2; top_ = (view.clientHeight - fitted[1]) / 2;
  placeCanvas();
}
function placeCanvas() {
  const canvas = at("canvas");
  canvas.style.width = `${fitted[0] * zoom}px`; canvas.style.height = `${fitted[1] * zoom}px`;
  canvas.style.left = `${left}px`; canvas.style.top = `${top_}px`;
}
function wheel(event) {
  event.preventDefault();
  const box = at("view").getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
  const fresh = Math.min(40, Math.max(1, zoom * (event.deltaY < 0 ? 1.25 : 0.8)));
  left = x - (x - left) * fresh / zoom; top_ = y - (y - top_) * fresh / zoom;
  zoom = fresh;
  if (zoom === 1) fit(); else placeCanvas();
}
let grabbed = null;
function grab(event) { grabbed = { x: event.clientX, y: event.clientY, left, top: top_, moved: false }; }
function drag(event) {
  if (!grabbed) return;
  const [dx, dy] = [event.clientX - grabbed.x, event.clientY - grabbed.y];
  if (Math.hypot(dx, dy) > 4) grabbed.moved = true;
  if (grabbed.moved) { left = grabbed.left + dx; top_ = grabbed.top + dy; placeCanvas(); }
}
async function release(event) {
  const was = grabbed;
  grabbed = null;
  if (!was || was.moved) return;
  const box = at("canvas").getBoundingClientRect();
  const x = (event.clientX - box.left) / box.width, y = (event.clientY - box.top) / box.height;
  if (x < 0 || y < 0 || x > 1 || y > 1) return;
  const answer = await ask(`api/place?x=${x}&y=${y}`);
  refused = answer.ok ? "" : answer.content.error;
  if (answer.ok) {
    const { item, row, col } = answer.content;
    places.set(item, [row, col]);
    visited = [item, ...visited.filter((one) => one !== item)].slice(0, 12);
    focusOn(item);
  }
  draw();
}

// ---- keys

function moveFocus(step) {
  const items = shown(), place = items.indexOf(current);
  if (!items.length) return;
  focusOn(items[Math.min(items.length - 1, Math.max(0, place + step))]);
  draw();
}
const columns = () => getComputedStyle(at("grid")).gridTemplateColumns.split(" ").length;
const commands = {
  ArrowLeft: () => moveFocus(-1), ArrowRight: () => moveFocus(1),
  ArrowUp: () => moveFocus(-columns()), ArrowDown: () => moveFocus(columns()),
  Enter: () => { const one = current === null ? null : entryOf(current); if (one?.suggested != null) answer(one.suggested); },
  u: undo, y: redo, m: nextLayer,
  o: () => { order = order === "strategy" ? "uncertain" : "strategy"; draw(); },
  s: () => examining() && resample(),
};

function press(event) {
  if (!state || document.querySelector("dialog[open]") || event.target.tagName === "INPUT" || event.repeat && event.key === "Enter") return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  let command = null;
  if (event.ctrlKey || event.metaKey) {
    if (key === "z") command = event.shiftKey ? redo : undo;
    else if (key === "y") command = redo;
    else if (key === "Enter" && examining()) command = () => at("start").disabled || at("start").click();
  } else if (!event.altKey) {
    const one = about.classes.find((known) => known.key.toLowerCase() === key.toLowerCase());
    if (key === "Enter" && event.shiftKey) command = acceptAll;
    else command = one ? () => answer(one.label) : commands[key];
  }
  if (!command) return;
  event.preventDefault();
  if (turning()) held.push(command); else command();
}

let waitingFor = null;
function drawKeys() {
  at("keyrows").replaceChildren(...about.classes.flatMap((one) => {
    const name = document.createElement("span"), button = document.createElement("button");
    name.textContent = one.name;
    button.type = "button";
    button.textContent = waitingFor === one.name ? "press a key" : one.key;
    button.className = waitingFor === one.name ? "waiting" : "";
    button.addEventListener("click", () => { waitingFor = one.name; drawKeys(); });
    return [name, button];
  }));
}
async function rebind(event) {
  if (waitingFor === null || ["Shift", "Control", "Alt", "Meta", "AltGraph", "Dead"].includes(event.key)) return;
  event.preventDefault();
  event.stopPropagation();
  const wanted = Object.fromEntries(about.classes.map((one) => [one.name, one.name === waitingFor ? event.key : one.key]));
  waitingFor = null;
  if (event.key !== "Escape") {
    const answer = await ask("api/keys", wanted);
    at("keyerror").textContent = answer.ok ? "" : answer.content.error;
    if (answer.ok) for (const one of about.classes) one.key = answer.content[one.name];
  }
  drawKeys();
  drawClasses();
  draw();
}

// ---- beginning

function wire() {
  addEventListener("keydown", press);
  at("keydialog").addEventListener("keydown", rebind);
  at("undo").onclick = undo; at("redo").onclick = redo; at("accept").onclick = acceptAll; at("sample").onclick = resample;
  at("start").onclick = () => { visited = []; send({ kind: "start" }); };
  at("keys").onclick = () => { drawKeys(); at("keydialog").showModal(); };
  at("end").onclick = () => at("enddialog").showModal();
  at("reallyend").onclick = () => send({ kind: "end" });
  at("export").onclick = async () => {
    const answer = await ask("api/export", {});
    refused = answer.ok ? "" : answer.content.error ?? "the export failed";
    draw();
    if (answer.ok) at("status").textContent = `written: ${Object.values(answer.content).join(", ")}`;
  };
  at("theme").onclick = () => {
    const dark = document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    document.documentElement.dataset.theme = dark === "dark" ? "light" : "dark";
  };
  for (const button of at("layers").children) button.onclick = () => setLayer(button.dataset.layer);
  for (const button of at("order").children) button.onclick = () => { order = button.dataset.order; draw(); };
  at("opacity").oninput = () => { at("layer").style.opacity = at("opacity").value / 100; };
  at("opacity").onchange = () => at("opacity").blur();
  for (const button of document.querySelectorAll("nav button, .bar button")) button.addEventListener("click", () => button.blur());
  const view = at("view");
  view.addEventListener("wheel", wheel, { passive: false });
  view.addEventListener("mousedown", grab);
  addEventListener("mousemove", drag);
  view.addEventListener("mouseup", release);
  addEventListener("mouseup", () => { grabbed = null; });
  addEventListener("resize", fit);
  document.addEventListener("visibilitychange", () => { if (document.hidden) spent += performance.now() - since; else since = performance.now(); });
  setInterval(() => { if (state && !document.hidden) at("clock").textContent = seconds().toFixed(1); }, 200);
}

async function begin() {
  about = (await ask("api/about")).content;
  document.title = `${about.slide} – bench annotate`;
  at("slide").textContent = about.slide;
  at("method").textContent = at("method").title = `${about.method} · ${about.items} patches of ${about.patch} px`;
  drawClasses();
  at("picture").src = `${base}overview.jpg`;
  const image = at("layer"), grid = about.grid;
  for (const side of ["left", "top", "width", "height"]) image.style[side] = `${grid[side] * 100}%`;
  fit();
  wire();
  const first = (await ask("api/state")).content;
  if (first.phase === "examples") sampled = (await ask("api/sample?seed=0")).content.items;
  take(first);
  listen();
}

begin();
