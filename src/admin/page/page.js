"use strict";
// The page asks for the tables of /api/v1 and shows them. Texts go into the document as text, never as HTML.

const every = 3000; // ms
const $ = (id) => document.getElementById(id);

function h(name, attributes, ...children) {
  const it = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) it.addEventListener(key.slice(2), value);
    else it.setAttribute(key, value === true ? "" : value);
  }
  it.append(...children.flat(3).filter((c) => c !== null && c !== undefined && c !== false));
  return it;
}
function svg(name, attributes, ...children) {
  const it = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) it.setAttribute(key, value);
  it.append(...children);
  return it;
}

// ---------------------------------------------------------------------------------------------- asking

const store = { // a browser may forbid it
  get(where, key) { try { return window[where].getItem(key); } catch { return null; } },
  set(where, key, value) { try { window[where].setItem(key, value); } catch { /* then it is forgotten */ } },
};
let token = store.get("sessionStorage", "pgmend-token") || "";
let access = { read_needs_token: false, can_decide: false };
let tables = null;
let newest = null; // what was asked last

function headers() { return token ? { Authorization: "Bearer " + token } : {}; }

async function table(name, query = "") {
  const answer = await fetch(`api/v1/${name}${query}`, { headers: headers(), cache: "no-store" });
  if (!answer.ok) throw Object.assign(new Error(`${name}: ${answer.status}`), { status: answer.status });
  return (await answer.json()).rows;
}

// ---------------------------------------------------------------------------------------------- words and numbers

const plural = (n, one, many = one + "s") => `${number(n)} ${n === 1 ? one : many}`;
const number = (n) => Number(n).toLocaleString("en", { maximumFractionDigits: 1 });
function short(n) {
  if (n >= 1e6) return (n / 1e6).toFixed(1) + "M";
  if (n >= 1e4) return (n / 1e3).toFixed(0) + "k";
  if (n >= 100 || n === 0 || Number.isInteger(n)) return String(Math.round(n));
  return n.toFixed(1);
}
function micro(us) {
  if (!us) return "–";
  if (us < 1000) return `${Math.round(us)} µs`;
  if (us < 1e6) return `${(us / 1e3).toFixed(us < 1e4 ? 1 : 0)} ms`;
  return `${(us / 1e6).toFixed(1)} s`;
}
const when = (text) => new Date(text.replace(" UTC", "Z").replace(" ", "T"));
function ago(date) {
  const s = Math.max(0, (Date.now() - date) / 1000);
  if (s < 5) return "just now";
  if (s < 60) return `${Math.round(s)} s ago`;
  if (s < 3600) return `${Math.round(s / 60)} min ago`;
  if (s < 86400) return `${Math.round(s / 3600)} h ago`;
  return `${Math.round(s / 86400)} days ago`;
}
function time(text) {
  const date = when(text);
  return h("time", { datetime: date.toISOString(), title: date.toLocaleString() }, ago(date));
}

// ---------------------------------------------------------------------------------------------- differences

const words = (sql) => sql.match(/\s+|[\p{L}\p{N}_$."]+|[^\s\p{L}\p{N}_$."]/gu) || [];

/** The statement with what goes and what comes, word by word. */
function difference(before, after) {
  const it = h("code", { class: "sql" });
  if (!after || after === before) { it.append(before); return it; }
  const a = words(before), b = words(after);
  if (a.length * b.length > 4e6) { it.append(h("del", {}, before), "\n", h("ins", {}, after)); return it; }
  const same = Array.from({ length: a.length + 1 }, () => new Uint32Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; --i)
    for (let j = b.length - 1; j >= 0; --j)
      same[i][j] = a[i] === b[j] ? same[i + 1][j + 1] + 1 : Math.max(same[i + 1][j], same[i][j + 1]);
  const parts = []; // [kind, text], neighbours of different kinds
  const put = (kind, word) => {
    if (parts.length && parts.at(-1)[0] === kind) parts.at(-1)[1] += word;
    else parts.push([kind, word]);
  };
  let i = 0, j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) { put("", a[i++]); ++j; }
    else if (i < a.length && (j >= b.length || same[i + 1][j] >= same[i][j + 1])) put("del", a[i++]);
    else put("ins", b[j++]);
  }
  label_old_names(parts);
  it.append(...parts.map(([kind, text]) => (kind ? h(kind, {}, text) : text)));
  return it;
}
/** In `x AS y`, written for y, the y that stays is another one than the y that goes: old name and label only look the same. */
function label_old_names(parts) {
  for (let n = 0; n + 1 < parts.length; ++n) {
    const [kind, text] = parts[n];
    const kept = kind === "ins" && /\bAS\s*$/i.test(text) && parts[n + 1][0] === "" ? parts[n + 1][1].match(/^(\s*)([\p{L}\p{N}_$."]+)/u) : null;
    if (!kept) continue;
    parts[n][1] += kept[0];
    parts[n + 1][1] = parts[n + 1][1].slice(kept[0].length);
    const gap = kept[1]; // where it was the kept word's, what goes has none
    if (n > 0 && parts[n - 1][0] === "del") parts[n - 1][1] += gap + kept[2];
    else { parts.splice(n, 0, ["del", kept[2]]); ++n; }
  }
}

// ---------------------------------------------------------------------------------------------- what belongs together

/** Whether a heal's name speaks of what the change was of. */
function belongs(change, drift) {
  if (change.database !== drift.database || !drift.pattern) return false;
  return parts_of(drift).some((p) => {
    const names = p.split(/[\s:]+/);
    if (names.includes(change.name)) return true;
    return change.kind === "moved" && change.object === "table" && names.some((n) => n.startsWith(change.name + "."));
  });
}
const parts_of = (d) => (d.pattern ? d.pattern.split("; ") : []);
/** Those heals of a statement that wait for a decision. */
const waiting = (d, proposed) => parts_of(d).filter((part) => proposed.some((p) => p.database === d.database && p.pattern === part));
const works = (d) => d.outcome === "healed";
const failing = (d) => d.outcome === "refused" || d.outcome === "failed" || d.outcome === "blocked";
const sender = (d) => d.application_name || d.application || `(no application_name, user ${d.user})`;
/** Whether a statement fails because of this change: another one may be to blame, whose heal waits for a decision. */
function fails_by(change, d, proposed) {
  if (!failing(d)) return false;
  const blocking = waiting(d, proposed);
  return !blocking.length || blocking.some((part) => belongs(change, { ...d, pattern: part }));
}
const sources = { lineage: "the catalog's own history", rule: "your rule", approved: "a person's approval", migration: "a migration file",
                  hint: "PostgreSQL's hint", similarity: "a similar name", advisor: "the advisor" };
const times = (n) => (Number(n) === 1 ? "once" : `${number(n)} times`);
/** What became of its runs. */
function runs(d) {
  const others = { healed: "failed before that", failed: "failed", refused: "failed", observed: "passed as it is", drifted: "passed as it is", blocked: "blocked" };
  return [d.healed > 0 && h("span", {}, "healed ", h("b", {}, times(d.healed))),
    d.not_healed > 0 && h("span", {}, `${others[d.outcome] || "not healed"} `, h("b", {}, times(d.not_healed)))];
}

function outcome_tag(d) {
  const tags = { healed: ["healed", "good"], failed: ["heal failed", "bad"], refused: ["fails", "bad"], observed: ["would be healed", "warn"],
                 drifted: ["silent drift", "warn"], blocked: ["blocked", "bad"] };
  const [text, tone] = tags[d.outcome] || [d.outcome, ""];
  return h("span", { class: `tag ${tone}` }, text);
}

function statement(d, with_sender, proposed) {
  const copied = d.after && d.after !== d.before;
  const blocking = failing(d) ? waiting(d, proposed) : [];
  return h("div", { class: "item" },
    h("div", { class: "facts", style: "margin:0" }, outcome_tag(d),
      with_sender && h("span", {}, "from ", h("b", {}, sender(d))),
      runs(d),
      h("span", {}, "last ", time(d.last_seen)),
      h("span", {}, `database ${d.database}, user ${d.user}`),
      d.route && h("span", {}, "route ", h("b", {}, d.route)),
      copied && h("button", { type: "button", class: "small", onclick: () => copy(d.after) }, "Copy new SQL")),
    difference(d.before, d.after),
    blocking.length > 0 ? h("p", { class: "why" }, "Fails until you ", h("a", { href: "#patterns" }, "decide"), ` on: ${blocking.join("; ")}`)
      : d.reason && failing(d) && h("p", { class: "why" }, d.reason),
    blocking.length < parts_of(d).length && h("div", { class: "facts" }, parts_of(d).filter((part) => !blocking.includes(part)).map((part) => h("span", {}, part)),
      d.evidence && h("span", {}, `known from ${sources[d.evidence] || d.evidence}`)));
}

async function copy(text) {
  try { await navigator.clipboard.writeText(text); tell("Copied"); } catch { tell("This browser does not let the page copy"); }
}
let telling = 0;
function tell(text) {
  $("told").textContent = text;
  $("told").classList.add("on");
  clearTimeout(telling);
  telling = setTimeout(() => $("told").classList.remove("on"), 2500);
}

// ---------------------------------------------------------------------------------------------- parts of the page

const shown = new Map();
/** Builds a part anew only where its data differ, and keeps what is open and what has the focus. */
function part(id, data, build) {
  const key = JSON.stringify(data);
  if (shown.get(id) === key) return;
  shown.set(id, key);
  const box = $(id);
  const open = new Set([...box.querySelectorAll("details[open]")].map((d) => d.dataset.key));
  const closed = new Set([...box.querySelectorAll("details:not([open])")].map((d) => d.dataset.key));
  const focus = box.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  box.replaceChildren(...[build()].flat());
  for (const d of box.querySelectorAll("details")) {
    if (open.has(d.dataset.key)) d.open = true;
    else if (closed.has(d.dataset.key)) d.open = false;
  }
  if (focus) box.querySelector(`[data-key="${CSS.escape(focus)}"]`)?.focus();
}

/** Each name that statements still use, those used most first: the changes that took it away, who sends it, and what to write instead. */
function old_names({ drift, changes }) {
  const found = new Map();
  for (const d of drift)
    for (const part of parts_of(d)) {
      const key = d.database + " " + part;
      if (!found.has(key)) {
        const mine = { database: d.database, pattern: part };
        const exact = changes.filter((c) => belongs(c, mine) && part.split(/[\s:]+/).includes(c.name));
        found.set(key, { changes: exact.length ? exact : changes.filter((c) => belongs(c, mine)), now: part.split(" -> ")[1], senders: new Map() });
      }
      const { senders } = found.get(key);
      senders.set(sender(d), (senders.get(sender(d)) || 0) + 1);
    }
  const statements = (it) => [...it.senders.values()].reduce((a, b) => a + b, 0);
  return [...found.values()].filter((it) => it.changes.length).sort((a, b) => statements(b) - statements(a));
}
function old_name(it) {
  const senders = [...it.senders].sort((a, b) => b[1] - a[1]);
  const most = 3;
  return h("li", {}, it.changes.map((c, n) => [n > 0 && ",", describe(c, n > 0 && c.name === it.changes[0].name)]),
    h("div", { class: "sent" }, "still sent by ", senders.slice(0, most).map(([name, n], i) => [i > 0 && ", ", h("b", {}, name), ` (${plural(n, "statement")})`]),
      senders.length > most && ` and ${plural(senders.length - most, "other")}`, it.now ? [": write ", h("code", {}, it.now), " instead"] : "", " — ",
      h("a", { href: "#" + anchor(it.changes[0]) }, "see them")));
}
/** What the signs in a statement to write mean, of those that it has. */
function keys(sql) {
  const label = /\bAS\s/i.test(sql), value = sql.includes("?");
  return (label || value) && h("p", { class: "quiet" }, label && [h("code", {}, "AS"), " keeps the name under which the application reads the result. "],
    value && [h("code", {}, "?"), " stands for a value."]);
}
/** The shortest statement of those that pgmend knows to write anew, and best one that it heals: it fits on a phone. */
function example(drift) {
  const some = drift.filter((d) => d.after && d.after !== d.before).sort((a, b) => works(b) - works(a) || a.before.length - b.before.length)[0];
  return some && h("div", { class: "example" }, h("p", { class: "quiet" }, "For example, ", h("b", {}, sender(some)), " sends what is ", h("del", {}, "red"), " and should write what is ", h("ins", {}, "green"), ":"),
    difference(some.before, some.after), keys(some.after));
}

function verdict(now) {
  const { health, drift, proposed, monitor } = now;
  const apps = new Set(drift.map(sender));
  const bad = drift.filter(failing);
  const raised = monitor.filter((m) => m.raised === "yes");
  const lines = [];
  let tone = "good", big = "Every statement fits the schema.";
  if (drift.length) {
    tone = "work";
    const one = drift.length === 1;
    const healed = drift.filter(works).length, rest = drift.length - healed - bad.length;
    big = `${plural(drift.length, "statement")} of ${plural(apps.size, "application")} ${one ? "was" : "were"} written for an older schema. `;
    if (healed === drift.length) big += one ? "pgmend heals it: it is answered as before." : "pgmend heals all of them: they are answered as before.";
    else if (bad.length === drift.length) big += one ? "It fails." : "All of them fail.";
    else big += [healed && `pgmend heals ${number(healed)}`, bad.length && `${number(bad.length)} ${bad.length === 1 ? "fails" : "fail"}`,
      rest && `${number(rest)} ${rest === 1 ? "passes" : "pass"} as ${rest === 1 ? "it is" : "they are"}`].filter(Boolean).join(", ") + ".";
    if (bad.length) tone = "warn";
  }
  if (proposed.length) {
    if (tone !== "bad") tone = "warn";
    lines.push(h("li", {}, h("a", { href: "#patterns" }, `${plural(proposed.length, "heal")} ${proposed.length === 1 ? "waits" : "wait"} for your decision`)));
  }
  const names = old_names(now), most = 4;
  lines.unshift(...names.slice(0, most).map(old_name));
  if (names.length > most) lines.splice(most, 0, h("li", {}, h("a", { href: "#changes" }, `and ${plural(names.length - most, "other old name")}`)));
  for (const m of raised) lines.push(h("li", {}, `${m.trigger.replaceAll("_", " ")}${m.subject ? " of " + m.subject : ""}: ${number(m.figure)}, limit ${number(m.limit)}`));
  if (!health.ready) {
    tone = "bad";
    big = "pgmend cannot serve clients now.";
    for (const reason of health.reasons) lines.unshift(h("li", {}, reason));
  }
  $("verdict").className = `verdict ${tone}`;
  document.title = (tone === "good" ? "" : tone === "bad" ? "✖ " : tone === "warn" ? "! " : "") + "pgmend";
  return [h("p", { class: "big" }, big),
    lines.length > 0 && h("ul", {}, lines), example(drift)].filter(Boolean);
}

function spark(values, color) {
  const w = 120, top = Math.max(...values, 1e-9);
  const points = values.map((v, i) => `${(i / Math.max(values.length - 1, 1)) * w},${25 - (v / top) * 22}`).join(" ");
  return svg("svg", { viewBox: `0 0 ${w} 26`, preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("polyline", { points, fill: "none", stroke: `var(${color})`, "stroke-width": "1.6", "vector-effect": "non-scaling-stroke" }));
}

function cards(now) {
  const tail = now.history.slice(-60), end = tail.slice(-2);
  const seconds = end.reduce((s, i) => s + i.seconds, 0) || 1;
  const rate = (of) => end.reduce((s, i) => s + of(i), 0) / seconds;
  const healed = (i) => i.healed_before + i.healed_after;
  const one = (label, value, unit, values, color) => h("div", { class: "card" }, h("div", { class: "label" }, label),
    h("div", { class: "value" }, value, " ", h("small", {}, unit)), tail.length > 1 && spark(values, color));
  return [
    one("Statements", short(rate((i) => i.statements)), "/ s", tail.map((i) => i.statements / i.seconds), "--c1"),
    one("95 % answered within", micro(end.at(-1)?.p95_us), end.at(-1)?.p95_us ? "" : "no statements", tail.map((i) => i.p95_us), "--c3"),
    one("Healed", short(rate(healed)), "/ s", tail.map((i) => healed(i) / i.seconds), "--c1"),
    one("Errors", short(rate((i) => i.errors)), "/ s", tail.map((i) => i.errors / i.seconds), "--c2"),
    one("Clients", short(end.at(-1)?.clients ?? 0), "", tail.map((i) => i.clients), "--c1"),
  ];
}

function describe(c, again = false) {
  const what = again ? [] : [`${c.object} `, h("code", {}, c.name)];
  const next = (text) => [h("span", { class: "to" }, " → "), h("code", {}, text)];
  switch (c.kind) {
    case "renamed": return h("span", { class: "change" }, ...what, " was renamed", next(c.after));
    case "moved": return h("span", { class: "change" }, ...what, " was moved to schema ", h("code", {}, c.after));
    case "dropped": return h("span", { class: "change" }, ...what, " was dropped");
    case "added": return h("span", { class: "change" }, ...what, " was added");
    case "retyped": return h("span", { class: "change" }, ...what, " changed its type: ", h("code", {}, c.before), next(c.after));
    case "required": return h("span", { class: "change" }, ...what, " is required now");
    case "relaxed": return h("span", { class: "change" }, ...what, " is optional now");
    default: return h("span", { class: "change" }, c.change);
  }
}
const anchor = (c) => `change-${c.database}-${c.version}-${c.name}`.replace(/[^\w-]/g, "_");
const tones = { info: "", minor: "work", major: "warn", critical: "bad" };
const meanings = { info: "breaks nothing", minor: "pgmend knows what to write instead", major: "needs a rule or your decision", critical: "statements may pass and mean something else" };

function changes_list(now) {
  if (!now.changes.length) return h("p", { class: "empty" }, now.schemas.length ? "The schema has not changed since pgmend first saw it." : "pgmend reads no schema yet: no client has connected, or there is no control connection.");
  const groups = new Map();
  for (const c of now.changes) {
    const key = `${c.database} ${c.version}`;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(c);
  }
  return [...groups.values()].reverse().slice(0, 50).map((group) => {
    const ordered = ["critical", "major", "minor", "info"];
    const broke = (c) => now.drift.filter((d) => belongs(c, d));
    const sorted = [...group].sort((a, b) => broke(b).length - broke(a).length || ordered.indexOf(a.severity) - ordered.indexOf(b.severity));
    const row = (c) => {
      const victims = broke(c);
      const apps = [...new Set(victims.map(sender))];
      const bad = victims.filter((d) => fails_by(c, d, newest.proposed)).length, elsewhere = victims.filter(failing).length - bad;
      const healed = victims.filter(works).length, rest = victims.length - healed - bad - elsewhere;
      const tag = (n, text, tone) => n > 0 && h("span", { class: `tag ${tone}` }, victims.length === 1 ? text : `${number(n)} ${text}`);
      return h("div", { class: "item", id: anchor(c) },
        h("div", { class: "facts", style: "margin:0" }, describe(c), h("span", { class: `tag ${tones[c.severity]}`, title: meanings[c.severity] }, `severity: ${c.severity}`), h("span", {}, meanings[c.severity])),
        victims.length > 0 && h("details", { class: "broke", "data-key": anchor(c), open: true },
          h("summary", {}, `${plural(victims.length, "statement")} of ${apps.join(", ")} still ${victims.length === 1 ? "uses" : "use"} ${{ renamed: "the old name", moved: "the old name", dropped: "it" }[c.kind] || "it as it was"} `,
            tag(healed, "healed", "good"), " ", tag(bad, bad === 1 ? "fails" : "fail", "bad"), " ", tag(elsewhere, `${elsewhere === 1 ? "fails" : "fail"} because of another change`, "warn"), " ",
            tag(rest, `${rest === 1 ? "passes" : "pass"} as ${rest === 1 ? "it is" : "they are"}`, "warn")),
          victims.slice(0, 8).map((d) => statement(d, true, newest.proposed))),
        victims.length === 0 && c.severity !== "info" && h("p", { class: "quiet minor" }, "No statement seen that it breaks."));
    };
    return h("div", { class: "panel" },
      h("div", { class: "head" }, h("h3", {}, `${group[0].database}, version ${group[0].version}`), h("span", { class: "quiet" }, plural(group.length, "change")),
        h("span", { class: "push quiet" }, group[0].seen ? time(group[0].seen) : "")),
      sorted.slice(0, 12).map(row),
      sorted.length > 12 && h("div", { class: "item quiet" }, `and ${sorted.length - 12} more; SHOW CHANGES lists them`));
  });
}

function drift_list(now) {
  if (!now.drift.length) return h("p", { class: "empty" }, "Nobody. Every statement seen since pgmend started fits the schema.");
  const apps = new Map();
  for (const d of now.drift) {
    if (!apps.has(sender(d))) apps.set(sender(d), []);
    apps.get(sender(d)).push(d);
  }
  return [...apps.entries()].map(([name, list]) => h("div", { class: "panel", "data-app": name },
    h("div", { class: "head" }, h("h3", {}, name), h("span", { class: "quiet" }, plural(list.length, "statement") + " to rewrite"),
      list.some(failing) ? h("span", { class: "tag bad" }, `${list.filter(failing).length} ${list.filter(failing).length === 1 ? "fails" : "fail"}`) : list.every(works) && h("span", { class: "tag good" }, "all healed"),
      h("span", { class: "push" }, list.some((d) => d.after) && h("button", { type: "button", class: "small", "data-key": "copy-" + name,
        onclick: () => copy(list.filter((d) => d.after).map((d) => `-- instead of: ${d.before.replaceAll("\n", " ")}\n${d.after};`).join("\n\n")) }, "Copy all"))),
    list.slice(0, 100).map((d) => statement(d, false, newest.proposed))));
}

function patterns_list(now) {
  const out = [];
  if (!now.proposed.length) out.push(h("p", { class: "empty" }, "No decision is waiting."));
  for (const p of now.proposed) {
    const seen = now.drift.filter((d) => d.database === p.database && d.pattern && d.pattern.split("; ").includes(p.pattern));
    out.push(h("div", { class: "panel", "data-pattern": p.id },
      h("div", { class: "head" }, h("h3", {}, p.pattern), h("span", { class: "tag warn" }, "waits"), h("span", { class: "quiet" }, `${p.database}, known from ${sources[p.evidence] || p.evidence}`),
        h("span", { class: "push row" },
          h("button", { type: "button", class: "primary", "data-key": `approve-${p.id}`, onclick: () => decide(p, "approve") }, "Approve"),
          h("button", { type: "button", "data-key": `reject-${p.id}`, onclick: () => decide(p, "reject") }, "Reject"))),
      h("div", { class: "item" }, p.note && h("p", { style: "margin:0" }, "Approving means: ", p.note),
        seen.slice(0, 3).map((d) => h("div", {}, h("div", { class: "facts" }, "from ", h("b", {}, sender(d))), difference(d.before, d.after))))));
  }
  if (now.decided.length) {
    out.push(h("details", { class: "broke", "data-key": "decided" }, h("summary", { class: "quiet" }, `${plural(now.decided.length, "heal")} in use or decided`),
      h("div", { class: "panel wide" }, h("table", {}, h("tr", {}, ["heal", "state", "evidence", "worked", "failed", "trust", ""].map((t) => h("th", {}, t))),
        now.decided.slice(0, 100).map((p) => h("tr", {}, h("td", { style: "overflow-wrap:anywhere" }, p.pattern), h("td", {}, h("span", { class: `tag ${p.state === "active" ? "good" : ""}`, title: p.reason || "" }, p.state)),
          h("td", {}, p.evidence), h("td", {}, number(p.successes)), h("td", {}, number(p.failures)), h("td", {}, number(p.trust)),
          h("td", {}, p.state === "active" && h("button", { type: "button", class: "small", "data-key": `suspend-${p.id}`, onclick: () => decide(p, "suspend") }, "Suspend"),
            p.state === "suspended" && h("button", { type: "button", class: "small", "data-key": `resume-${p.id}`, onclick: () => decide(p, "resume") }, "Resume"))))))));
  }
  return out;
}

async function decide(p, verb) {
  if (!access.can_decide) return tell("This pgmend only shows: admin.http_token is not set. psql can decide.");
  if (!token && !(await sign_in())) return;
  const answer = await fetch(`api/v1/patterns/${p.id}/${verb}`, { method: "POST", headers: headers() });
  if (answer.status === 401) {
    token = "";
    if (await sign_in("That token was not accepted.")) return decide(p, verb);
    return;
  }
  const done = { approve: "Approved: it heals from the next statement on", reject: "Rejected: it is not proposed again", suspend: "Suspended", resume: "It heals again" };
  tell(answer.ok ? done[verb] : (await answer.json()).error);
  refresh();
}

function chart(id, series, unit, now) {
  part(id, [series.map((s) => s.values), now.history.length], () => {
    const n = now.history.length;
    if (n < 2) return h("p", { class: "empty" }, "The first figures come after ten seconds.");
    const w = 560, hgt = 190, left = 48, bottom = 20, right = 6, topm = 6;
    const most = Math.max(...series.flatMap((s) => s.values), 1e-9);
    const nice = ceiling(most);
    const x = (i) => left + (i / (n - 1)) * (w - left - right), y = (v) => topm + (1 - v / nice) * (hgt - topm - bottom);
    const at = now.history.map((i) => when(i.at));
    const it = svg("svg", { viewBox: `0 0 ${w} ${hgt}`, role: "img", "aria-label": series.map((s) => `${s.name}: now ${unit(s.values.at(-1))}, at most ${unit(Math.max(...s.values))}`).join("; ") });
    for (const share of [0, 0.5, 1]) {
      it.append(svg("line", { class: "grid", x1: left, x2: w - right, y1: y(nice * share), y2: y(nice * share) }),
        svg("text", { x: left - 6, y: y(nice * share) + 4, "text-anchor": "end" }, share ? unit(nice * share) : "0"));
    }
    const clock = (d) => d.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    it.append(svg("text", { x: left, y: hgt - 4 }, clock(at[0])), svg("text", { x: w - right, y: hgt - 4, "text-anchor": "end" }, clock(at.at(-1))));
    for (const s of series) {
      const line = s.values.map((v, i) => `${x(i).toFixed(1)},${y(v).toFixed(1)}`).join(" ");
      if (s.area) it.append(svg("polygon", { points: `${x(0)},${y(0)} ${line} ${x(n - 1)},${y(0)}`, fill: `var(${s.color})`, opacity: ".13" }));
      it.append(svg("polyline", { points: line, fill: "none", stroke: `var(${s.color})`, "stroke-width": "1.8", "stroke-linejoin": "round" }));
    }
    const cursor = svg("line", { class: "grid", y1: topm, y2: hgt - bottom, x1: -9, x2: -9 });
    it.append(cursor);
    const legend = h("div", { class: "legend" });
    const say = (i) => legend.replaceChildren(...series.map((s) => h("span", {}, h("i", { style: `background:var(${s.color})` }), `${s.name} ${unit(s.values[i])}`)), h("span", {}, i === n - 1 ? "now" : clock(at[i])));
    say(n - 1);
    it.addEventListener("pointermove", (e) => {
      const box = it.getBoundingClientRect();
      const i = Math.max(0, Math.min(n - 1, Math.round((((e.clientX - box.left) / box.width) * w - left) / (w - left - right) * (n - 1))));
      cursor.setAttribute("x1", x(i)); cursor.setAttribute("x2", x(i));
      say(i);
    });
    it.addEventListener("pointerleave", () => { cursor.setAttribute("x1", -9); cursor.setAttribute("x2", -9); say(n - 1); });
    return [legend, it];
  });
}
function ceiling(v) {
  const p = 10 ** Math.floor(Math.log10(v));
  return [1, 2, 2.5, 5, 10].map((f) => f * p).find((c) => c >= v);
}

function cells(rows, columns) {
  return h("div", { class: "panel wide" }, h("table", {}, h("tr", {}, columns.map(([name]) => h("th", {}, name))),
    rows.map((r) => h("tr", {}, columns.map(([, of]) => h("td", {}, of(r)))))));
}

function servers_list(now) {
  const out = [];
  if (now.breakers?.length) {
    const name = (b) => b.backend ?? b.name;
    const skip = ["backend", "name", "state"];
    const told = (k) => now.breakers.some((b) => b[k] !== null && b[k] !== "" && b[k] !== 0); // a column of nothing tells nothing
    const others = Object.keys(now.breakers[0]).filter((k) => !skip.includes(k) && (told(k) || k === "calls" || k === "failures")).slice(0, 7);
    out.push(cells(now.breakers, [["backend", (b) => h("b", {}, name(b))], ["state", (b) => h("span", { class: `tag ${b.state === "closed" ? "good" : b.state === "open" ? "bad" : "warn"}` }, String(b.state).replaceAll("_", " "))],
      ...others.map((k) => [k.replaceAll("_", " "), (b) => (b[k] === null ? "" : String(b[k]))])]));
  }
  out.push(now.schemas.length ? cells(now.schemas, [
    ["database", (s) => h("b", {}, s.database)], ["schema version", (s) => s.version ?? "not read yet"], ["clients", (s) => number(s.clients)],
    ["read in", (s) => micro(s.last_load_us)], ["control connection", (s) => h("span", { class: `tag ${s.problem ? "bad" : "good"}` }, s.problem || "fine")]])
    : h("p", { class: "empty" }, "No database is in use."));
  return out;
}

function events_list(now) {
  if (!now.events.length) return h("p", { class: "empty" }, "Nothing out of the ordinary.");
  return h("div", { class: "panel" }, now.events.slice(0, 20).map((e) => h("div", { class: "item" }, h("span", { class: "facts", style: "margin:0" }, time(e.at), h("b", {}, e.text)))));
}

// ---------------------------------------------------------------------------------------------- the loop

function filtered(now) {
  const wanted = $("find").value.trim().toLowerCase();
  if (!wanted) return now;
  const has = (row) => Object.values(row).some((v) => String(v ?? "").toLowerCase().includes(wanted));
  return { ...now, drift: now.drift.filter(has), changes: now.changes.filter(has), proposed: now.proposed.filter(has), decided: now.decided.filter(has) };
}

function render() {
  if (!newest) return;
  const now = newest, some = filtered(now);
  const rough = (rows) => rows.map((r) => ({ ...r, last_seen: Math.floor(when(r.last_seen) / 10000) })); // times alone are no news
  part("verdict", [now.health, now.drift.map((d) => [sender(d), d.outcome, d.pattern, d.before]), now.proposed.length, now.monitor.filter((m) => m.raised === "yes"), now.changes.length], () => verdict(now));
  part("cards", now.history.slice(-60), () => cards(now));
  part("changes-list", [some.changes, rough(some.drift), some.proposed.length], () => changes_list(some));
  part("drift-list", [rough(some.drift), some.proposed.length], () => drift_list(some));
  part("patterns-list", [some.proposed, some.decided, some.drift.length, access.can_decide], () => patterns_list(some));
  part("servers-list", [now.schemas, now.breakers], () => servers_list(now));
  part("events-list", now.events, () => events_list(now));
  const per = (of) => now.history.map((i) => of(i) / i.seconds);
  chart("chart-traffic", [{ name: "all", color: "--c1", area: true, values: per((i) => i.statements) },
    { name: "healed", color: "--c3", values: per((i) => i.healed_before + i.healed_after) }, { name: "errors", color: "--c2", values: per((i) => i.errors) }], short, now);
  chart("chart-latency", [{ name: "half within", color: "--c1", values: now.history.map((i) => i.p50_us) }, { name: "95 % within", color: "--c3", values: now.history.map((i) => i.p95_us) },
    { name: "99 % within", color: "--c2", values: now.history.map((i) => i.p99_us) }], micro, now);
  $("changes-count").textContent = some.changes.length ? plural(some.changes.length, "change") : "";
  $("drift-count").textContent = some.drift.length ? plural(some.drift.length, "statement") : "";
  $("patterns-count").textContent = some.proposed.length || "";
  for (const t of document.querySelectorAll("time")) t.textContent = ago(new Date(t.dateTime));
}

let running = false;
async function refresh() {
  if (running) return;
  running = true;
  try {
    const health = await (await fetch("api/v1/health", { cache: "no-store" })).json();
    access = health;
    $("token").hidden = !health.can_decide && !health.read_needs_token;
    $("token").textContent = token ? "Sign out" : "Sign in";
    if (health.read_needs_token && !token) { // asking would only be refused
      $("verdict").replaceChildren(h("p", { class: "big" }, "Sign in to see what pgmend does."));
      return;
    }
    if (!tables) tables = new Set((await (await fetch("api/v1", { headers: headers() })).json()).tables.map((t) => t.path.split("/").pop()));
    const known = (name, query) => (tables.has(name) ? table(name, query) : Promise.resolve([]));
    const [drift, changes, patterns, history, schemas, monitor, events, version, breakers] = await Promise.all([
      table("drift", "?limit=500"), known("changes", "").catch(() => []), table("patterns", "?limit=1000"), table("history"), known("schema").catch(() => []),
      table("monitor"), table("events", "?limit=20"), table("version"), known("breakers")]);
    $("where").textContent = `${version[0].version.replace("pgmend ", "")} at ${location.host}`;
    newest = { health, drift, changes, history, schemas, monitor, events, breakers,
      proposed: patterns.filter((p) => p.state === "proposed"), decided: patterns.filter((p) => p.state !== "proposed").reverse() };
    render();
  } catch (problem) {
    if (problem.status === 401) { token = ""; store.set("sessionStorage", "pgmend-token", ""); }
    $("verdict").className = "verdict bad";
    shown.delete("verdict");
    $("verdict").replaceChildren(h("p", { class: "big" }, problem.status === 401 ? "That token was not accepted." : "pgmend does not answer."), h("p", { class: "quiet" }, "What is shown below is as it was before."));
  } finally {
    running = false;
  }
}

function sign_in(wrong = "") {
  const box = $("ask");
  $("ask-wrong").textContent = wrong;
  $("ask-token").value = "";
  box.showModal();
  $("ask-token").focus();
  return new Promise((done) => box.addEventListener("close", () => {
    const given = $("ask-token").value.trim();
    const yes = box.returnValue === "yes" && given !== "";
    if (yes) { token = given; store.set("sessionStorage", "pgmend-token", token); tables = null; }
    done(yes);
  }, { once: true }));
}

function set_theme(name) {
  document.documentElement.dataset.theme = name;
  store.set("localStorage", "pgmend-theme", name);
}
set_theme(store.get("localStorage", "pgmend-theme") || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
const other_theme = () => set_theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
$("theme").addEventListener("click", other_theme);
$("token").addEventListener("click", async () => {
  if (token) { token = ""; store.set("sessionStorage", "pgmend-token", ""); refresh(); }
  else if (await sign_in()) refresh();
});
$("ask-no").addEventListener("click", () => $("ask").close("no"));
$("find").addEventListener("input", render);
document.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || $("ask").open) return;
  if (e.target instanceof HTMLInputElement) { if (e.key === "Escape") { e.target.value = ""; e.target.blur(); render(); } return; }
  const section = ["changes", "drift", "patterns", "traffic", "servers"][Number(e.key) - 1];
  if (e.key === "/") { e.preventDefault(); $("find").focus(); }
  else if (e.key === "t") other_theme();
  else if (section) $(section).scrollIntoView();
});
refresh();
setInterval(() => { if (!document.hidden) refresh(); }, every);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
