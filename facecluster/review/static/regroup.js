// Group again in the background: progress, what changes, and whether it is to count. Keys: Y and N.

import { get } from "./api.js";
import { app, count, crop, el, tray } from "./parts.js";

const SOON = 600; // ms until the page looks again while a grouping is at work
const WHAT = { "steps of grouping": "Finding groups", faces: "Comparing faces", links: "Comparing faces" };

let seen = ""; // the state that the page shows
let looking; // timer

const working = (state) => ["running", "saving", "report"].includes(state);
const stateOf = (progress) => `${progress.number} ${progress.state} ${progress.what} ${progress.done}`;
const words = (progress) => {
  const share = progress.total ? `, ${Math.floor((100 * progress.done) / progress.total)} %` : "";
  return progress.state === "saving" ? "Saving the new groups" : `${WHAT[progress.what] || progress.what}${share}`;
};
const called = (who) => who.name || `Unnamed ${who.id}`;
const does = (what, message) => app.act({ act: "regroup", do: what }, message);

/** Show in the header how far a grouping is; returns whether that has changed. */
export function showProgress(progress) {
  const place = document.getElementById("grouping");
  const text = working(progress.state) ? `${words(progress)}…` : { asks: "New groups are ready. ", failed: "The grouping failed. " }[progress.state] || "";
  place.hidden = !text;
  const link = progress.state === "asks" ? el("a", { href: "#/regroup" }, "See what changes") : progress.state === "failed" ? el("a", { href: "#/regroup" }, "See why") : null;
  if (place.dataset.text !== text) place.replaceChildren(text, ...(link ? [link] : []));
  place.dataset.text = text;
  clearTimeout(looking);
  if (working(progress.state)) looking = setTimeout(look, SOON);
  const changed = seen !== stateOf(progress);
  seen = stateOf(progress);
  return changed;
}

async function look() {
  const state = await get("state").catch(() => null);
  if (!state) return;
  const before = seen;
  const changed = showProgress(state.regroup);
  if (changed && (location.hash.startsWith("#/regroup") || before.split(" ")[1] !== state.regroup.state)) app.refresh();
}

/** Y and N answer whether the new groups are to count. */
export function key(letter) {
  if (!["y", "n"].includes(letter) || app.state.regroup?.state !== "asks") return false;
  does(letter === "y" ? "yes" : "no", letter === "y" ? "The new groups count" : "The groups stay as they were");
  return true;
}

function faces(who) {
  return el("span", { class: "faces" }, ...who.shown.map((id) => crop(id, 52)), who.count > who.shown.length ? el("span", { class: "dim" }, ` and ${who.count - who.shown.length} more`) : null);
}

const some = (who) => count(who.count, "face");

const LISTS = [
  ["joins", "Groups that join", (c) => [crop(c.who.face, 52), crop(c.to.face, 52), el("span", { class: "grow" }, `${called(c.who)} (${count(c.who.faces, "face")}) joins ${called(c.to)}`)]],
  ["parts", "Groups that come apart", (c) => [el("span", { class: "grow" }, `${some(c.who)} of ${called(c.of)} ${c.who.count === 1 ? "becomes" : "become"} ${c.who.name ? c.who.name : "a person of their own"}`), faces(c.who)]],
  ["gains", "People who get faces", (c) => [el("span", { class: "grow" }, `${called(c.who)}: ${some(c.who)} more`), faces(c.who)]],
  ["losses", "People who lose faces", (c) => [el("span", { class: "grow" }, `${called(c.who)}: ${some(c.who)} fewer`), faces(c.who)]],
  ["new", "New people", (c) => [el("span", { class: "grow" }, `${called(c.who)}: ${some(c.who)}`), faces(c.who)]],
  ["gone", "People who are no more", (c) => [crop(c.who.face, 52), el("span", { class: "grow" }, `${called(c.who)} (${count(c.who.faces, "face")}): nobody's faces now`)]],
];

function lists(changes) {
  const { counts } = changes;
  const said = [
    counts.joined && count(counts.joined, "face of nobody joins a person", "faces of nobody join a person"),
    counts.moved && count(counts.moved, "face goes to another person", "faces go to another person"),
    counts.left && count(counts.left, "face leaves its person and is nobody's", "faces leave their person and are nobody's"),
    counts.joins && count(counts.joins, "group joins another", "groups join others"),
    counts.parts && count(counts.parts, "group comes off another", "groups come off others"),
  ].filter(Boolean);
  return [
    el("p", { id: "summary" }, said.length ? `${said.join(", ")}. ${count(counts.before, "person", "people")} before, ${counts.people.toLocaleString("en")} after.` : "All that you said is in the new groups, and nothing else changes."),
    changes.lost_names.length ? el("p", { class: "note" }, `These names would belong to nobody: ${changes.lost_names.join(", ")}.`) : null,
    ...LISTS.filter(([name]) => counts[name]).map(([name, title, line]) =>
      el(
        "section", { id: `changes-${name}` }, el("h2", {}, `${title}: ${counts[name].toLocaleString("en")}`),
        el("ul", { class: "history" }, ...changes[name].map((c) => el("li", { "data-id": `${name}-${c.who.id}` }, ...line(c)))),
        counts[name] > changes[name].length ? el("p", { class: "dim" }, `and ${(counts[name] - changes[name].length).toLocaleString("en")} more`) : null,
      )),
  ];
}

export async function draw(query, current) {
  const found = await get("regroup");
  if (!current()) return;
  seen = stateOf(found);
  tray();
  const start = el("button", { type: "button", key: "start", onclick: () => does("start", "Grouping has begun") }, found.state ? "Group again" : "Start");
  const since = found.since > 0 ? `${count(found.since, "decision")} since the last grouping.` : "No decision since the last grouping.";
  const title = el("h1", {}, found.state === "asks" ? "Are these groups better?" : "Group again");
  if (working(found.state)) {
    return [
      title, el("p", { id: "doing" }, `${words(found)}…`),
      el("progress", { "aria-label": "Grouping", ...(found.total ? { max: found.total, value: found.done } : {}) }),
      found.state === "running" ? el("button", { type: "button", key: "stop", onclick: () => does("stop", "Stopped: the groups stay as they were") }, "Stop") : null,
      el("p", { class: "dim" }, "You can go on meanwhile. What you say from now on counts at the grouping after this one."),
    ];
  }
  if (found.state === "asks") {
    tray(
      el("p", {}, "Nothing has changed yet."),
      el("button", { type: "button", key: "yes", "aria-keyshortcuts": "Y", onclick: () => key("y") }, "Take the new groups", el("kbd", {}, "Y")),
      el("button", { type: "button", key: "no", "aria-keyshortcuts": "N", onclick: () => key("n") }, "Keep the groups as they are", el("kbd", {}, "N")),
    );
    return [title, ...lists(found.changes)];
  }
  const ended = { done: "Done: the pages show the new groups.", declined: "The groups stay as they were.", failed: `The grouping failed: ${found.error}` }[found.state];
  return [
    title,
    ended ? el("p", { class: "note", id: "ended" }, ended, found.state === "done" && found.error ? ` The report could not be written: ${found.error}` : "") : null,
    el("p", { class: "dim" }, `${since} What you said shows in the lists at once. A new grouping compares all faces again with what you said, which finds more of the same people. You see what changes before it counts.`),
    start,
  ];
}
