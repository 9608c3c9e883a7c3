// Group again in the background: progress, what changes, and whether it is to count. Keys: Y and N.

import { get } from "./api.js";
import { app, counted, crop, el, tray } from "./parts.js";
import { number, percent, t, tn, tp } from "./text.js";

const SOON = 600; // ms until the page looks again while a grouping is at work
const WHAT = {
  Starting: t("Starting"), "steps of grouping": t("Finding groups"), faces: t("Comparing faces"), links: t("Comparing faces"),
  "Writing the report": t("Writing the report"),
};

let seen = ""; // the state that the page shows
let looking; // timer
let asks = false; // whether the page shows new groups and asks about them; what `app` knows may be older than the page

const working = (state) => ["running", "saving", "report"].includes(state);
const stateOf = (progress) => `${progress.number} ${progress.state} ${progress.what} ${progress.done}`;
const words = (progress) => {
  const share = progress.total ? `, ${percent(Math.floor((100 * progress.done) / progress.total) / 100)}` : "";
  return progress.state === "saving" ? t("Saving the new groups") : `${WHAT[progress.what] || progress.what}${share}`;
};
const called = (who) => who.name || t("Unnamed %(id)s", { id: who.id });
const does = (what, message) => app.act({ act: "regroup", do: what }, message);

/** Show in the header how far a grouping is; returns whether that has changed. */
export function showProgress(progress) {
  const place = document.getElementById("grouping");
  const text = working(progress.state) ? `${words(progress)}…` : { asks: t("New groups are ready."), failed: t("The grouping failed.") }[progress.state] || "";
  place.hidden = !text;
  const link = progress.state === "asks" ? el("a", { href: "#/regroup" }, t("See what changes")) : progress.state === "failed" ? el("a", { href: "#/regroup" }, t("See why")) : null;
  if (place.dataset.text !== text) place.replaceChildren(text, ...(link ? [" ", link] : []));
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
  if (!["y", "n"].includes(letter) || !asks) return false;
  asks = false;
  does(letter === "y" ? "yes" : "no", letter === "y" ? t("The new groups count") : t("The groups stay as they were"));
  return true;
}

function faces(who) {
  return el("span", { class: "faces" }, ...who.shown.map((id) => crop(id, 52)), who.count > who.shown.length ? el("span", { class: "dim" }, ` ${tn("and %(n)s more", "and %(n)s more", who.count - who.shown.length)}`) : null);
}

function becomes({ who, of }) {
  const values = { of: called(of), name: who.name };
  if (who.name) return tn("%(n)s face of %(of)s becomes %(name)s", "%(n)s faces of %(of)s become %(name)s", who.count, values);
  return tn("%(n)s face of %(of)s becomes a person of its own", "%(n)s faces of %(of)s become a person of their own", who.count, values);
}

const LISTS = [
  ["joins", t("Groups that join"), (c) => [crop(c.who.face, 52), crop(c.to.face, 52), el("span", { class: "grow" }, t("%(who)s (%(faces)s) joins %(name)s", { who: called(c.who), faces: counted.faces(c.who.faces), name: called(c.to) }))]],
  ["parts", t("Groups that come apart"), (c) => [el("span", { class: "grow" }, becomes(c)), faces(c.who)]],
  ["gains", t("People who get faces"), (c) => [el("span", { class: "grow" }, tn("%(name)s: %(n)s face more", "%(name)s: %(n)s faces more", c.who.count, { name: called(c.who) })), faces(c.who)]],
  ["losses", t("People who lose faces"), (c) => [el("span", { class: "grow" }, tn("%(name)s: %(n)s face fewer", "%(name)s: %(n)s faces fewer", c.who.count, { name: called(c.who) })), faces(c.who)]],
  ["new", t("New people"), (c) => [el("span", { class: "grow" }, `${called(c.who)}: ${counted.faces(c.who.count)}`), faces(c.who)]],
  ["gone", t("People who are no more"), (c) => [crop(c.who.face, 52), el("span", { class: "grow" }, t("%(name)s (%(faces)s): nobody's faces now", { name: called(c.who), faces: counted.faces(c.who.faces) }))]],
];

function lists(changes) {
  const { counts } = changes;
  const said = [
    counts.joined && tn("%(n)s face of nobody joins a person", "%(n)s faces of nobody join a person", counts.joined),
    counts.moved && tn("%(n)s face goes to another person", "%(n)s faces go to another person", counts.moved),
    counts.left && tn("%(n)s face leaves its person and is nobody's", "%(n)s faces leave their person and are nobody's", counts.left),
    counts.joins && tn("%(n)s group joins another", "%(n)s groups join others", counts.joins),
    counts.parts && tn("%(n)s group comes off another", "%(n)s groups come off others", counts.parts),
  ].filter(Boolean);
  return [
    el("p", { id: "summary" }, said.length ? `${said.join(", ")}. ${tn("%(n)s person before, %(after)s after.", "%(n)s people before, %(after)s after.", counts.before, { after: number(counts.people) })}` : t("All that you said is in the new groups, and nothing else changes.")),
    changes.lost_names.length ? el("p", { class: "note" }, t("These names would belong to nobody: %(names)s.", { names: changes.lost_names.join(", ") })) : null,
    ...LISTS.filter(([name]) => counts[name]).map(([name, title, line]) =>
      el(
        "section", { id: `changes-${name}` }, el("h2", {}, `${title}: ${number(counts[name])}`),
        el("ul", { class: "history" }, ...changes[name].map((c) => el("li", { "data-id": `${name}-${c.who.id}` }, ...line(c)))),
        counts[name] > changes[name].length ? el("p", { class: "dim" }, tn("and %(n)s more", "and %(n)s more", counts[name] - changes[name].length)) : null,
      )),
  ];
}

export async function draw(query, current) {
  const found = await get("regroup");
  if (!current()) return;
  seen = stateOf(found);
  asks = found.state === "asks";
  tray();
  const start = el("button", { type: "button", key: "start", onclick: () => does("start", t("Grouping has begun")) }, found.state ? t("Group again") : tp("button", "Start"));
  const since = found.since > 0 ? tn("%(n)s decision since the last grouping.", "%(n)s decisions since the last grouping.", found.since) : t("No decision since the last grouping.");
  const title = el("h1", {}, found.state === "asks" ? t("Are these groups better?") : t("Group again"));
  if (working(found.state)) {
    return [
      title, el("p", { id: "doing" }, `${words(found)}…`),
      el("progress", { "aria-label": t("Grouping"), ...(found.total ? { max: found.total, value: found.done } : {}) }),
      found.state === "running" ? el("button", { type: "button", key: "stop", onclick: () => does("stop", t("Stopped: the groups stay as they were")) }, t("Stop")) : null,
      el("p", { class: "dim" }, t("You can go on meanwhile. What you say from now on counts at the grouping after this one.")),
    ];
  }
  if (found.state === "asks") {
    tray(
      el("p", {}, t("Nothing has changed yet.")),
      el("button", { type: "button", key: "yes", "aria-keyshortcuts": "Y", onclick: () => key("y") }, t("Take the new groups"), el("kbd", {}, "Y")),
      el("button", { type: "button", key: "no", "aria-keyshortcuts": "N", onclick: () => key("n") }, t("Keep the groups as they are"), el("kbd", {}, "N")),
    );
    return [title, ...lists(found.changes)];
  }
  const ended = { done: t("Done: the pages show the new groups."), declined: t("The groups stay as they were."), failed: t("The grouping failed: %(why)s", { why: found.error }) }[found.state];
  return [
    title,
    ended ? el("p", { class: "note", id: "ended" }, ended, found.state === "done" && found.error ? ` ${t("The report could not be written: %(why)s", { why: found.error })}` : "") : null,
    el("p", { class: "dim" }, `${since} ${t("What you said shows in the lists at once. A new grouping compares all faces again with what you said, which finds more of the same people. You see what changes before it counts.")}`),
    start,
  ];
}
