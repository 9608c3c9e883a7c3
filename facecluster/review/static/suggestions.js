// "Is this also Anna?": groups and single faces that may be a person, answered with one key each: Y, N, and A for all above.

import { get } from "./api.js";
import { app, counted, crop, el, label, likely, tray } from "./parts.js";
import { number, percent, t, tn } from "./text.js";

const answered = new Set(); // pairs that were answered since the page was drawn
let shown = []; // pairs in order

const keyOf = (found) => `${found.known ? `known ${found.known}` : found.of.id}/${found.person ? found.person.id : found.face.id}`;
const who = (found) => found.known || label(found.of); // whom it may be
const left = () => shown.filter((found) => !answered.has(keyOf(found)));

/** Answer some suggestions at once; they leave the page without waiting for the server. */
function answer(act, some) {
  if (!some.length) return;
  const same = some.every((found) => who(found) === who(some[0]));
  const name = who(some[0]);
  const one = act === "join" ? (some[0].known ? t("Named %(name)s", { name }) : t("Also %(name)s", { name })) : t("Not %(name)s", { name });
  const all = same
    ? tn("%(n)s suggestion accepted for %(name)s", "%(n)s suggestions accepted for %(name)s", some.length, { name })
    : tn("%(n)s suggestion accepted", "%(n)s suggestions accepted", some.length);
  for (const found of some) {
    answered.add(keyOf(found));
    document.querySelector(`[data-id="${CSS.escape(keyOf(found))}"]`)?.remove();
  }
  const pairs = some.filter((found) => !found.known).map((found) => [found.of.id, found.person ? found.person.id : found.face.id]);
  const known = some.filter((found) => found.known).map((found) => [found.known, found.person.id]);
  app.act({ act, pairs, known }, some.length === 1 ? one : all).then(() => some.forEach((found) => answered.delete(keyOf(found))));
}

const upTo = (found) => left().slice(0, left().indexOf(found) + 1);

function item(found, several) {
  const { face, person, others, of, known } = found;
  const key = keyOf(found);
  const name = who(found);
  const said = [likely(found.probability), ...(person?.name ? [person.name] : []), person ? counted.faces(person.faces) : t("a single face"), ...(known ? [t("from your pictures")] : [])];
  const button = (does, text, letter, act) =>
    el("button", { type: "button", key: `${does}-${key}`, "aria-label": `${text}: ${name}, ${person ? label(person) : t("the face in %(photo)s", { photo: face.photo })}`, "aria-keyshortcuts": letter, onclick: act }, text, el("kbd", {}, letter));
  return el(
    "li", { class: "suggestion", "data-id": key, "data-face": face.id },
    several && !known ? el("a", { class: "of", href: `#/person/${of.id}`, "aria-label": name }, crop(of.best, 64), el("span", { class: "name" }, name)) : null,
    el("div", { class: "faces" }, crop(face.id), ...others.map((id) => crop(id, 52))),
    el("p", {}, known ? `${t("Is this %(name)s?", { name })} ` : several ? `${t("Is this also %(name)s?", { name })} ` : "", el("span", { class: "dim", title: percent(Math.round(found.probability * 100) / 100) }, said.join(", "))),
    el(
      "div", { class: "row" }, button("yes", t("Yes"), "Y", () => answer("join", [found])), button("no", t("No"), "N", () => answer("apart", [found])),
      shown[0] === found ? null : button("all", t("Yes to all up to here"), "A", () => answer("join", upTo(found))),
    ),
  );
}

/** The suggestions of an answer of the server, as a list; null if there are none. */
export function list(found, several) {
  shown = found.suggestions.map((s) => ({ ...s, of: found.people[s.of] || null })).filter((s) => !answered.has(keyOf(s)));
  if (!shown.length) return null;
  return el("ol", { class: "suggestions", id: "suggestions", "aria-label": t("Suggestions, the likeliest first") }, ...shown.map((s) => item(s, several)));
}

/** Answer the suggestion that has the focus, or else the first: Y, N; with A all up to the one with the focus, or all. */
export function key(letter) {
  if (!document.getElementById("suggestions")) return false; // only what is seen is answered
  const focused = document.activeElement?.closest?.(".suggestion")?.dataset.id;
  const open = left();
  const found = open.find((s) => keyOf(s) === focused);
  if (!open.length || !"yna".includes(letter)) return false;
  if (letter === "a") answer("join", found ? upTo(found) : open);
  else answer(letter === "y" ? "join" : "apart", [found || open[0]]);
  return true;
}

export const leave = () => { shown = []; };

const TITLE = t("Who else is this?");

export async function draw(query, current) {
  const found = await get("suggestions", { offset: query.offset, limit: 60 });
  if (!current()) return;
  tray();
  const offset = Number(query.offset) || 0;
  const more = offset + found.people.length < found.total;
  const items = list(found, true);
  return [
    el("h1", {}, TITLE),
    el("p", { class: "dim" }, shown.length || found.total ? t("Faces that may be people with a name. The likeliest come first: look until one is wrong, then accept all above it.") : t("Give names to people first: then this page shows who else they may be.")),
    found.note ? el("p", { class: "note" }, found.note) : null,
    items || el("p", { class: "note" }, found.total ? t("No suggestions for these people.") : t("Nobody has a name yet.")),
    more || offset
      ? el(
        "nav", { class: "pager", "aria-label": t("People") },
        el("span", {}, t("People %(first)s to %(last)s of %(total)s, the largest first", { first: number(offset + 1), last: number(offset + found.people.length), total: number(found.total) })),
        more ? el("a", { href: `#/suggestions?offset=${offset + found.people.length}` }, t("The next people")) : null,
        offset ? el("a", { href: "#/suggestions" }, t("From the start")) : null,
      ) : null,
  ];
}

/** The server's answer with the suggestions for a person. */
export const forPerson = (id) => get("suggestions", { id, limit: 12 });

/** These suggestions, for the top of the person's page; null if there are none. */
export function section(found) {
  const items = list(found, false);
  return items && el("section", { id: "also", "aria-labelledby": "also-title" }, el("h2", { id: "also-title" }, found.people[0].name ? t("Is this also %(name)s?", { name: found.people[0].name }) : t("Who is this? Who else?")), items);
}

/** After a name was given: says on the page of people who else that may be. */
export async function offerMore(id, name) {
  const found = await get("suggestions", { id, limit: 6 }).catch(() => ({ suggestions: [], people: [] }));
  const place = document.getElementById("more");
  place.hidden = !found.suggestions.length;
  if (place.hidden) return;
  place.replaceChildren(
    el("a", { href: `#/person/${found.people[0].id}` }, t("Is this also %(name)s?", { name }), ...found.suggestions.map((s) => crop(s.face.id, 44))),
    el("button", { type: "button", class: "small", "aria-label": t("Hide"), onclick: () => { place.hidden = true; } }, "×"),
  );
}
