// The log. While its view is shown, it reads /events/log with the filter of the view; the first event
// has the last records, and later ones those that have come.
"use strict";

const MOST_RECORDS = 1000; // in the page
const TYPING_MS = 300;

let reading = null; // of the stream that is read
let lastQuery = "";

const query = () => {
  const parts = { level: byId("log-level").value, target: byId("log-target").value.trim(), text: byId("filter").value.trim() };
  const given = Object.entries(parts).filter(([, value]) => value);
  return new URLSearchParams([...given, ["limit", "500"]]).toString();
};

// Begins to read, if the view is shown and does not yet, or with another filter; ends, if it is not.
function readLog() {
  const isShown = !byId("log").hidden;
  if (isShown && reading && lastQuery === query()) return;
  reading?.abort();
  reading = isShown ? new AbortController() : null;
  if (reading) followLog(reading.signal);
}

async function followLog(signal) {
  const note = byId("log").querySelector(".note");
  while (!signal.aborted) {
    lastQuery = query();
    try {
      await describeLog();
      const response = await ask(`/events/log?${lastQuery}`, { signal });
      if (!response.ok) throw new Error((await response.json()).detail);
      if (signal.aborted) return;
      byId("records").replaceChildren();
      note.textContent = "No record yet.";
      await readEvents(response, receiveRecords);
    } catch (error) {
      if (signal.aborted) return;
      note.textContent = `Cannot read the log: ${error.message}`;
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

async function describeLog() {
  const response = await ask("/api/log");
  if (!response.ok) throw new Error((await response.json()).detail);
  const log = await response.json();
  const input = byId("log-filter");
  if (document.activeElement !== input) input.value = log.filter;
  input.disabled = !allowsActions;
  byId("log-set").querySelector("button").hidden = !allowsActions;
  const dropped = log.sinks.reduce((all, sink) => all + sink.dropped, 0);
  const failures = log.sinks.filter((sink) => sink.failure).map((sink) => `${sink.name}: ${sink.failure}`);
  const text = [dropped ? `${number(dropped)} dropped` : "", ...failures].filter(Boolean).join(" · ");
  setText(byId("log-sinks"), text, "bad");
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });

// The message and the fields, without what the other columns have.
function body({ text, level, target }) {
  if (text.startsWith("{")) {
    try {
      const { message, fields = {}, spans = [] } = JSON.parse(text);
      const pairs = Object.entries(fields).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
      return [...spans.map((span) => `${span.name}:`), message, ...pairs].filter(Boolean).join(" ");
    } catch { return text; }
  }
  const after = text.indexOf(` ${level.toUpperCase()} `);
  const rest = after < 0 ? text : text.slice(after + level.length + 2);
  return rest.startsWith(`${target}: `) ? rest.slice(target.length + 2) : rest;
}

function recordRow(record) {
  const more = record.cut_bytes ? ` … ${bytes(record.cut_bytes)} more` : "";
  return element("div", { class: `record ${record.level}` },
    element("time", {}, clock.format(record.at_s * 1000)), element("b", {}, record.level),
    element("span", { class: "target" }, record.target), element("span", {}, body(record) + more));
}

function receiveRecords({ records, missed }) {
  const box = byId("records");
  // It follows the newest unless the reader has scrolled away from it.
  const follows = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
  const rows = records.map(recordRow);
  if (missed) rows.unshift(element("div", { class: "record gap" }, `${number(missed)} records are left out here`));
  box.append(...rows);
  while (box.childElementCount > MOST_RECORDS) box.firstElementChild.remove();
  if (follows) box.scrollTop = box.scrollHeight;
  byId("log").querySelector(".note").textContent = box.childElementCount ? "" : "No record matches yet.";
}

async function setFilter(event) {
  event.preventDefault();
  if (!allowsActions) return;
  const options = { method: "PUT", headers: { "content-type": "application/json" }, body: JSON.stringify({ filter: byId("log-filter").value }) };
  const response = await ask("/api/log/filter", options);
  if (!response.ok) alert((await response.json()).detail);
  await describeLog();
}

let typing = 0;
function onTyping() {
  clearTimeout(typing);
  typing = setTimeout(readLog, TYPING_MS);
}

for (const id of ["log-level", "log-target", "filter"]) byId(id).addEventListener("input", onTyping);
byId("log-tools").addEventListener("submit", setFilter);
setInterval(() => { if (reading && byId("stream").dataset.state === "live") describeLog().catch(() => {}); }, 5000);
