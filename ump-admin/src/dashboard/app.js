// The dashboard. It reads /events, in which the first event has everything and later ones what has
// changed, keeps the last minute of rates and depths, and draws once for each event.
"use strict";

const HISTORY = 60; // seconds in a graph
const STALL_S = 1; // a call that has been in hand for longer needs attention
const RETRY_MS = 2000;
const SVG = "http://www.w3.org/2000/svg";

const byId = (id) => document.getElementById(id);
const components = new Map(); // by name, in the program's order
let topics = { total: 0, subscriptions: 0, retained: 0, items: [] };
let topicRates = new Map();
let links = [];
let linkRates = new Map();
let lastEvent = 0;
let lastAt = 0;
let lastTopicsAt = 0;
let lastLinksAt = 0;
let allowsActions = false;

// ---- texts ----------------------------------------------------------------

const round = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const number = (n) => (n < 10000 ? round.format(n) : compact.format(n));
const words = (text) => text.replaceAll("_", " ");

// With the date if that is another day.
function clockTime(ms) {
  const at = new Date(ms);
  return at.toDateString() === new Date().toDateString() ? at.toLocaleTimeString() : at.toLocaleString();
}

function duration(s) {
  if (s === null || s === undefined) return "–";
  if (s < 0.001) return `${Math.round(s * 1e6)} µs`;
  if (s < 1) return `${Math.round(s * 1e3)} ms`;
  if (s < 120) return `${round.format(s)} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min`;
  if (s < 172800) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86400)} d`;
}

function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) { n /= 1024; unit += 1; }
  return `${round.format(n)} ${units[unit]}`;
}

// ---- elements: texts from the program are only ever set as text ------------

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

function setText(at, text, kind = "") {
  if (at.textContent !== text) at.textContent = text;
  const wanted = at.dataset.base ? `${at.dataset.base} ${kind}`.trim() : kind;
  if (at.className !== wanted) at.className = wanted;
}

function graph() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${HISTORY - 1} 20`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  for (const kind of ["area", "curve"]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", kind);
    svg.append(path);
  }
  return svg;
}

function drawGraph(svg, values, least) {
  const top = Math.max(least, ...values);
  const begin = HISTORY - values.length;
  const points = values.map((value, i) => `${begin + i} ${(19 - (value / top) * 18).toFixed(1)}`);
  const curve = points.length > 1 ? `M${points.join("L")}` : "";
  svg.firstChild.setAttribute("d", curve && `${curve}L${HISTORY - 1} 20L${begin} 20Z`);
  svg.lastChild.setAttribute("d", curve);
}

// ---- components -------------------------------------------------------------

const sum = (component, of) => component.instances.reduce((all, it) => all + of(it), 0);
const ended = (stats) => stats.accepted - stats.queued - stats.taken;

function oldestCall(component) {
  const calls = component.instances.flatMap((it) => it.workers).map((it) => it.in_hand);
  return Math.max(0, ...calls.map((call) => call?.age_s ?? 0));
}

function needsAttention(entry) {
  const { data } = entry;
  const isFull = data.instances.some((it) => it.capacity && it.requests.queued >= it.capacity);
  return !["up", "ended"].includes(data.state) || data.instances.some((it) => it.restarts > 0)
    || isFull || oldestCall(data) > STALL_S;
}

function newEntry(data) {
  const cell = (label) => element("span", { class: "number", "data-base": "number", "data-label": label });
  const entry = {
    data, received: Date.now(), rates: [], depths: [], last: null, rate: 0,
    state: element("span", { class: "state", "data-base": "state" }),
    note: element("small"),
    cells: { rate: cell("rate /s"), queued: cell("queued"), taken: cell("in hand"), restarts: cell("restarts") },
    graphs: { rate: graph(), queued: graph() },
    details: element("div", { class: "details", role: "group", hidden: "" }),
  };
  const name = element("span", { class: "name" }, element("strong", {}, data.name), entry.state, entry.note);
  const { cells, graphs } = entry;
  entry.row = element("div", { class: "row" },
    name, cells.rate, graphs.rate, cells.queued, graphs.queued, cells.taken, cells.restarts);
  entry.item = element("div", {
    class: "component", role: "treeitem", "aria-expanded": "false", "aria-label": data.name, tabindex: "-1",
  }, entry.row, entry.details);
  entry.row.addEventListener("click", () => { focusOn(entry.item); expand(entry, entry.details.hidden); });
  byId("tree").append(entry.item);
  return entry;
}

function receiveComponent(data) {
  const entry = components.get(data.name);
  if (entry) Object.assign(entry, { data, received: Date.now() });
  else components.set(data.name, newEntry(data));
}

function sample(entry, seconds) {
  const { data } = entry;
  const done = sum(data, (it) => ended(it.requests));
  if (entry.last !== null && seconds > 0) {
    entry.rate = Math.max(0, done - entry.last) / seconds;
    push(entry.rates, entry.rate);
  }
  push(entry.depths, sum(data, (it) => it.requests.queued));
  entry.last = done;
}

function push(values, value) {
  values.push(value);
  if (values.length > HISTORY) values.shift();
}

function drawEntry(entry) {
  const { data, cells, graphs } = entry;
  const oldest = oldestCall(data);
  const queued = sum(data, (it) => it.requests.queued);
  const taken = sum(data, (it) => it.requests.taken);
  const restarts = sum(data, (it) => it.restarts);
  const isFull = data.instances.some((it) => it.capacity && it.requests.queued >= it.capacity);
  const isStalled = data.state === "up" && oldest > STALL_S;
  setText(entry.state, isStalled ? `busy ${duration(oldest)}` : words(data.state), isStalled ? "stalled" : data.state);
  setText(entry.note, data.instances.length > 1 ? `× ${data.instances.length}` : "");
  setText(cells.rate, number(entry.rate), entry.rate === 0 ? "zero" : "");
  setText(cells.queued, number(queued), isFull ? "bad" : queued === 0 ? "zero" : "");
  setText(cells.taken, number(taken), taken === 0 ? "zero" : "");
  setText(cells.restarts, number(restarts), restarts > 0 ? "warn" : "zero");
  drawGraph(graphs.rate, entry.rates, 1);
  drawGraph(graphs.queued, entry.depths, 4);
  if (!entry.details.hidden) drawDetails(entry);
}

function list(title, pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined);
  const items = shown.flatMap(([name, value, kind = ""]) =>
    [element("dt", {}, name), element("dd", { class: kind }, String(value))]);
  return shown.length ? element("div", {}, element("h3", {}, title), element("dl", {}, ...items)) : null;
}

const OUTCOMES = ["replied", "failed", "no_reply", "panicked", "server_disappeared", "timeout_queued",
  "timeout_taken", "cancelled_queued", "cancelled_taken", "would_deadlock_queued", "would_deadlock_taken", "refused"];

const DECISIONS = { continue: "went on", restart: "restarted", end: "ended", give_up: "gave up" };

function drawDetails(entry) {
  const parts = [];
  const { data } = entry;
  data.instances.forEach((it, place) => {
    const of = data.instances.length > 1 ? ` · instance ${place}` : "";
    const capacity = it.capacity === null ? "unbounded" : number(it.capacity);
    parts.push(list(`State${of}`, [
      ["state", words(it.state)], ["in service", duration(it.in_service_s)],
      ["queue", `${number(it.requests.queued)} of ${capacity}`],
      ["timers", number(it.timers)], ["sockets", number(it.sockets.length)],
      ["restarts", number(it.restarts), it.restarts ? "warn" : ""],
      ["needs", place === 0 && data.needs.length ? data.needs.join(", ") : null],
      ["group", place === 0 ? data.group : null],
    ]));
    const outcomes = OUTCOMES.filter((name) => it.requests[name] > 0 || name === "replied");
    const kind = (name) => (["panicked", "no_reply"].includes(name) || name.startsWith("would") ? "bad" : "");
    parts.push(list(`Outcomes${of}`, outcomes.map((name) => [words(name), number(it.requests[name]), kind(name)])));
    const calls = it.workers.filter((worker) => worker.in_hand);
    if (calls.length) {
      const cells = calls.flatMap(({ worker, in_hand: call }) => [
        element("span", {}, `worker ${worker}`), element("strong", {}, call.kind),
        element("span", { class: call.age_s > STALL_S ? "warn" : "" },
          `${duration(call.age_s)}${call.is_running ? "" : ", waits"}`),
        element("code", {}, call.caller ? `from ${call.caller}` : ""),
      ]);
      parts.push(element("div", { class: "wide" }, element("h3", {}, `In hand${of}`), element("div", { class: "calls" }, ...cells)));
    }
    if (it.stalls.length) {
      const cells = it.stalls.toReversed().flatMap((stall) => [
        element("span", {}, clockTime(entry.received - stall.age_s * 1000)),
        element("strong", {}, stall.kind),
        element("span", { class: stall.is_over ? "" : "warn" }, `${stall.is_over ? "" : "so far "}${duration(stall.elapsed_s)}`),
        element("code", {}, stall.caller ?? ""),
      ]);
      parts.push(element("div", { class: "wide" }, element("h3", {}, `Last stalls${of}`), element("div", { class: "calls" }, ...cells)));
    }
    if (it.failures.length) {
      const cells = it.failures.toReversed().flatMap((failure) => [
        element("span", {}, clockTime(entry.received - failure.age_s * 1000)),
        element("strong", {}, DECISIONS[failure.decision] ?? failure.decision),
        element("span", {}, failure.pause_s ? `after ${duration(failure.pause_s)}` : ""),
        element("code", { class: "warn" }, failure.reason),
      ]);
      parts.push(element("div", { class: "wide" }, element("h3", {}, `Last failures${of}`), element("div", { class: "calls" }, ...cells)));
    }
  });
  if (allowsActions) parts.push(actions(data.name));
  // The button that has the focus stays.
  if (!entry.details.contains(document.activeElement)) entry.details.replaceChildren(...parts.filter(Boolean));
}

function actions(name) {
  const at = `/api/components/${encodeURIComponent(name)}`;
  const renew = element("button", { type: "button" }, "Renew handlers");
  const stop = element("button", { type: "button", class: "stop" }, "Stop…");
  renew.addEventListener("click", () => act(`${at}/renew`));
  stop.addEventListener("click", () => {
    if (confirm(`Stop ${name}, and all that need it, for good?`)) act(`${at}/stop`, {});
  });
  return element("div", { class: "wide actions" }, renew, stop);
}

async function act(path, body) {
  const headers = body ? { "content-type": "application/json" } : {};
  const response = await ask(path, { method: "POST", headers, body: body && JSON.stringify(body) });
  if (!response.ok) alert((await response.json()).detail);
}

// ---- topics and links ---------------------------------------------------------

function receiveTopics(received, seconds) {
  const before = topicRates;
  topicRates = new Map();
  for (const topic of received.items) {
    const key = `${topic.topic} ${topic.type_name}`;
    const last = before.get(key);
    const rate = last && seconds > 0 ? Math.max(0, topic.queued - last.queued) / seconds : 0;
    topicRates.set(key, { queued: topic.queued, rate });
  }
  topics = received;
}

function receiveLinks(received, seconds) {
  const before = linkRates;
  linkRates = new Map();
  for (const link of received) {
    const last = before.get(link.name);
    const rate = (now, then) => (last && seconds > 0 ? Math.max(0, now - then) / seconds : 0);
    linkRates.set(link.name, {
      received: link.received.bytes, sent: link.sent.bytes,
      in: rate(link.received.bytes, last?.received), out: rate(link.sent.bytes, last?.sent),
    });
  }
  links = received;
}

function drawTable(section, rows, note) {
  const labels = [...section.querySelectorAll("th")].map((th) => th.textContent);
  const made = rows.map((cells) => element("tr", {}, ...cells.map((cell, i) => {
    const [value, kind = "", small = ""] = Array.isArray(cell) ? cell : [cell];
    const text = section.id === "links" && i === 1 ? element("span", { class: `state ${kind}` }, value) : value;
    return element("td", { class: kind, "data-label": labels[i] }, text, small ? element("small", {}, small) : null);
  })));
  section.querySelector("tbody").replaceChildren(...made);
  section.querySelector("table").hidden = rows.length === 0;
  section.querySelector(".note").textContent = note;
}

const count = (n, kind = "") => [number(n), n === 0 ? "zero" : kind];

function drawTopics(filter) {
  const shown = topics.items.filter((it) => it.topic.toLowerCase().includes(filter)
    && (!byId("attention").checked || it.missed > 0));
  const rows = shown.map((it) => {
    const { rate } = topicRates.get(`${it.topic} ${it.type_name}`);
    return [[it.topic, "", it.type_name], count(it.subscriptions), count(rate), count(it.depth),
      count(it.missed, "bad"), count(it.servers), it.is_retained ? "yes" : ["–", "zero"]];
  });
  const hidden = topics.total - topics.items.length;
  const note = topics.total === 0 ? "The program shows no topics." : hidden > 0 ? `${hidden} more at /api/topics.` : "";
  drawTable(byId("topics"), rows, note);
}

function drawLinks(filter) {
  const shown = links.filter((it) => `${it.name} ${it.peer}`.toLowerCase().includes(filter)
    && (!byId("attention").checked || !it.is_ready));
  const rows = shown.map((it) => {
    const rate = linkRates.get(it.name);
    return [it.name, [words(it.state), it.state, ""], [it.peer ?? "–", "", it.detail ?? it.program ?? ""],
      bytes(rate.in), bytes(rate.out), bytes(it.queued_bytes), count(it.sent.missed + it.received.missed, "bad")];
  });
  drawTable(byId("links"), rows, links.length === 0 ? "The program has no links." : "");
}

// ---- the page -----------------------------------------------------------------

function drawSummary() {
  const all = [...components.values()];
  const up = all.filter((entry) => entry.data.state === "up").length;
  const total = (of) => all.reduce((sums, entry) => sums + of(entry), 0);
  const restarts = total((entry) => sum(entry.data, (it) => it.restarts));
  const missed = topics.items.reduce((sums, it) => sums + it.missed, 0);
  const open = links.filter((it) => it.is_ready).length;
  const tiles = [
    [number(up), `of ${number(all.length)} up`, up === all.length ? "good" : "bad"],
    [number(total((entry) => entry.rate)), "ended /s"],
    [number(total((entry) => entry.depths.at(-1) ?? 0)), "queued"],
    [number(total((entry) => sum(entry.data, (it) => it.requests.taken))), "in hand"],
    [number(restarts), "restarts", restarts ? "warn" : ""],
  ];
  if (topics.total) tiles.push([number(missed), "missed", missed ? "bad" : ""]);
  if (links.length) tiles.push([number(open), `of ${links.length} links open`, open === links.length ? "good" : "warn"]);
  byId("summary").replaceChildren(...tiles.map(([value, label, kind = ""]) =>
    element("li", { class: kind }, element("b", {}, value), element("span", {}, label))));
  byId("tab-components").querySelector("b").textContent = components.size;
  byId("tab-topics").querySelector("b").textContent = topics.total;
  byId("tab-links").querySelector("b").textContent = links.length;
}

function draw() {
  drawSummary();
  const filter = byId("filter").value.trim().toLowerCase();
  const attention = byId("attention").checked;
  if (!byId("components").hidden) {
    let shown = 0;
    for (const entry of components.values()) {
      const isShown = entry.data.name.toLowerCase().includes(filter) && (!attention || needsAttention(entry));
      entry.item.hidden = !isShown;
      if (isShown) { drawEntry(entry); shown += 1; }
    }
    byId("none").hidden = shown > 0;
    keepOneInTabOrder();
  } else if (!byId("topics").hidden) drawTopics(filter);
  else if (!byId("links").hidden) drawLinks(filter);
}

const tabs = [...document.querySelectorAll("[role=tab]")];

function select(tab) {
  for (const other of tabs) {
    const isIt = other === tab;
    other.setAttribute("aria-selected", isIt);
    other.tabIndex = isIt ? 0 : -1;
    byId(other.getAttribute("aria-controls")).hidden = !isIt;
  }
  history.replaceState(null, "", `#${tab.getAttribute("aria-controls")}`);
  byId("only").hidden = tab.id === "tab-log";
  draw();
  readLog();
}

const shownItems = () => [...components.values()].map((entry) => entry.item).filter((item) => !item.hidden);

// The tree is one stop of the tab key.
function keepOneInTabOrder() {
  const items = shownItems();
  if (items.length && !items.some((item) => item.tabIndex === 0)) items[0].tabIndex = 0;
}

function focusOn(item) {
  for (const entry of components.values()) entry.item.tabIndex = -1;
  item.tabIndex = 0;
  item.focus();
}

function expand(entry, isOpen) {
  entry.details.hidden = !isOpen;
  entry.item.setAttribute("aria-expanded", isOpen);
  drawEntry(entry);
}

function onTreeKey(event) {
  const entry = [...components.values()].find((it) => it.item === event.target);
  if (!entry) return;
  const items = shownItems();
  const at = items.indexOf(entry.item);
  const moves = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 };
  if (event.key in moves) {
    const next = items[moves[event.key]];
    if (next) focusOn(next);
  } else if (event.key === "ArrowRight") expand(entry, true);
  else if (event.key === "ArrowLeft") expand(entry, false);
  else if (event.key === "Enter" || event.key === " ") expand(entry, entry.details.hidden);
  else return;
  event.preventDefault();
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("login").open) return;
  if (event.target instanceof HTMLSelectElement) return;
  if (event.target instanceof HTMLInputElement) {
    if (event.key === "Escape" && event.target.id !== "log-filter") { event.target.value = ""; event.target.dispatchEvent(new Event("input")); }
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.key === "/") { event.preventDefault(); byId("filter").focus(); }
  const tab = ["1", "2", "3", "4"].includes(event.key) && tabs[event.key - 1];
  if (tab && !tab.hidden) select(tab);
}

// ---- the stream ---------------------------------------------------------------

async function ask(path, options = {}) {
  const token = sessionStorage.getItem("token");
  const headers = token ? { ...options.headers, authorization: `Bearer ${token}` } : options.headers;
  const response = await fetch(path, { ...options, headers });
  if (response.status !== 401) return response;
  await login();
  return ask(path, options);
}

function login() {
  const dialog = byId("login");
  if (!dialog.open) { byId("token").value = ""; dialog.showModal(); }
  return new Promise((resolve) => dialog.addEventListener("close", () => {
    sessionStorage.setItem("token", byId("token").value);
    resolve();
  }, { once: true }));
}

// Without an event nothing has changed for a second: the rates are zero.
function beQuiet() {
  if (!lastAt || byId("stream").dataset.state !== "live" || performance.now() - lastEvent < 1500) return;
  lastAt += 1;
  for (const entry of components.values()) sample(entry, 1);
  for (const rate of topicRates.values()) rate.rate = 0;
  for (const rate of linkRates.values()) rate.in = rate.out = 0;
  draw();
}

function receive(event) {
  lastEvent = performance.now();
  const seconds = lastAt ? event.at_s - lastAt : 0;
  lastAt = event.at_s;
  for (const component of event.components) receiveComponent(component);
  for (const entry of components.values()) sample(entry, seconds);
  if (event.topics) { receiveTopics(event.topics, lastTopicsAt ? event.at_s - lastTopicsAt : 0); lastTopicsAt = event.at_s; }
  if (event.links) { receiveLinks(event.links, lastLinksAt ? event.at_s - lastLinksAt : 0); lastLinksAt = event.at_s; }
  draw();
}

// With `fetch` rather than `EventSource`, which cannot send a token.
async function stream() {
  const response = await ask("/events");
  if (!response.ok) throw new Error((await response.json()).detail);
  // The program may be another one: begin anew.
  components.clear();
  byId("tree").replaceChildren();
  lastAt = lastTopicsAt = lastLinksAt = 0;
  setStream("live", "live");
  await readEvents(response, receive);
}

// Hands over the data of each event, until the stream ends.
async function readEvents(response, receive) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Error("the program has ended the stream");
    text += value;
    const events = text.split("\n\n");
    text = events.pop();
    for (const event of events) {
      const data = event.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5));
      if (data.length) receive(JSON.parse(data.join("\n")));
    }
  }
}

function setStream(state, text) {
  byId("stream").dataset.state = state;
  byId("stream").textContent = text;
}

async function run() {
  for (;;) {
    try {
      await describe();
      await stream();
    } catch (error) {
      setStream("lost", `no connection: ${error.message}`);
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

async function describe() {
  const info = await (await ask("/api/info")).json();
  const own = Object.entries(info.program_info).map(([name, value]) => `${name} ${value}`);
  allowsActions = info.allows_actions;
  byId("tab-log").hidden = !info.shows_log;
  if (byId("tab-log").hidden && !byId("log").hidden) select(tabs[0]);
  readLog();
  document.title = `${info.program} · admin`;
  byId("program").textContent = info.program;
  byId("facts").textContent = [`pid ${info.pid}`, `for ${duration(info.admin_uptime_s)}`, info.system, ...own].join(" · ");
}

for (const tab of tabs) tab.addEventListener("click", () => select(tab));
byId("filter").addEventListener("input", draw);
byId("attention").addEventListener("change", draw);
byId("tree").addEventListener("keydown", onTreeKey);
document.addEventListener("keydown", onKey);
setInterval(beQuiet, 1000);
// When all scripts are there.
addEventListener("load", () => {
  const named = tabs.find((tab) => `#${tab.getAttribute("aria-controls")}` === location.hash);
  if (named) select(named);
  run();
});
