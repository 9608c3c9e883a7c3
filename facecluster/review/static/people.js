// People as cards: name, select and merge, drag one card onto another, ignore, search and filter.

import { get } from "./api.js";
import { allButton, app, ask, choice, counted, crop, el, label, nameField, pager, tick, tray } from "./parts.js";
import { offerMore } from "./suggestions.js";
import { number, percent, t, tn, tp } from "./text.js";

const LIMIT = 60;
let searching; // timer
let merging = false; // asking, or waiting for the server
const selected = new Map(); // id -> person, on all pages of the list
let shown = []; // people on this page

function card(person, i, people) {
  const box = tick(people.map((p) => p.id), person.id, selected.has(person.id), t("Select %(name)s", { name: label(person) }), (id, checked) => {
    if (checked) selected.set(id, people.find((p) => p.id === id));
    else selected.delete(id);
    choices();
  });
  const [first, last] = person.years;
  const years = last ? (first === last ? `${first}` : `${first}–${Math.floor(first / 100) === Math.floor(last / 100) ? `${last}`.slice(2) : last}`) : "";
  return el(
    "li", { class: "card", draggable: "true", "data-id": person.id, "data-face": person.best, ...dragging(person) },
    el("a", { class: "open", href: `#/person/${person.id}`, "aria-label": `${label(person)}, ${counted.faces(person.faces)}`, key: `open-${person.id}`, draggable: "false" }, crop(person.best, 160)),
    box,
    nameField(person, `name-${person.id}`, offerMore),
    person.name.length > 14 ? el("p", { class: "full" }, person.name) : null,
    el("p", { class: "dim cut", title: `${counted.photos(person.photos)}, ${t("%(share)s sure", { share: percent(person.sure) })}` }, `${counted.faces(person.faces)}${years ? ` · ${years}` : ""}`),
  );
}

/** Listeners of a card: it can be dragged onto another one. */
const dragging = (person) => ({
  ondragstart: (event) => {
    event.dataTransfer.setData("text/x-person", person.id);
    event.dataTransfer.effectAllowed = "move";
  },
  ondragover: (event) => {
    if (!event.dataTransfer.types.includes("text/x-person")) return;
    event.preventDefault();
    event.currentTarget.classList.add("over");
  },
  ondragleave: (event) => event.currentTarget.classList.remove("over"),
  ondrop: (event) => {
    event.preventDefault();
    event.currentTarget.classList.remove("over");
    const other = event.dataTransfer.getData("text/x-person");
    if (!other || other === person.id) return;
    const others = selected.has(other) ? [...selected.values()] : shown.filter((p) => p.id === other);
    merge([person, ...others.filter((p) => p.id !== person.id)]);
  },
});

/** Merge people, once, though the key or the button is pressed twice. */
async function merge(people) {
  if (merging) return;
  merging = true;
  try {
    await mergeOnce(people);
  } finally {
    merging = false;
  }
}

/** Merge people. If several of them have a name, ask first whether they are one person, and under which name. */
async function mergeOnce(people) {
  const named = [...new Map(people.filter((p) => p.name).map((p) => [p.name.toLocaleLowerCase(), p])).values()];
  let kept = named[0] || people[0];
  if (named.length > 1) {
    const names = named.map((p) => p.name);
    const title = t("Are %(names)s and %(last)s the same person?", { names: names.slice(0, -1).join(", "), last: names.at(-1) });
    const text = t("All their photos come together under one name. Undo takes it back.");
    kept = await ask(title, text, named.slice(0, 8).map((p) => p.best), [...named.map((p) => [p, t("Yes, call them %(name)s", { name: p.name })]), [null, t("No, leave them apart")]]);
  }
  if (!kept) return;
  const ids = [kept.id, ...people.map((p) => p.id).filter((id) => id !== kept.id)];
  if (await app.act({ act: "merge", people: ids }, tn("Merged %(n)s person", "Merged %(n)s people", people.length))) {
    selected.clear();
    choices();
    if (document.activeElement === document.body) document.querySelector(`[data-key="open-${kept.id}"]`)?.focus();
  }
}

/** M merges the people who are selected. */
export function key(letter) {
  if (letter !== "m") return false;
  if (selected.size > 1) merge([...selected.values()]);
  else app.say(t("Select two people or more: X selects the one that has the focus"));
  return true;
}

async function ignore(act, message) {
  if (await app.act({ act, people: [...selected.keys()] }, message)) {
    selected.clear();
    choices();
  }
}

function choices() {
  if (!selected.size) return tray();
  const people = [...selected.values()];
  const kept = people.find((p) => p.name) || people[0];
  const named = new Set(people.map((p) => p.name.toLocaleLowerCase()).filter(Boolean));
  const away = people.every((p) => p.ignored);
  tray(
    el("p", {}, tn("%(n)s person selected: %(names)s", "%(n)s people selected: %(names)s", people.length, { names: `${people.slice(0, 4).map(label).join(", ")}${people.length > 4 ? ", …" : ""}` })),
    el("button", { type: "button", key: "merge", disabled: people.length < 2, "aria-keyshortcuts": "M", onclick: () => merge([...selected.values()]) }, named.size > 1 ? t("Merge …") : t("Merge into %(name)s", { name: label(kept) }), el("kbd", {}, "M")),
    away
      ? el("button", { type: "button", key: "unignore", onclick: () => ignore("unignore", t("Back in the list")) }, t("Bring back"))
      : el("button", { type: "button", key: "ignore", onclick: () => ignore("ignore", t("Ignored")) }, t("Ignore")),
    el("button", { type: "button", key: "untick", onclick: () => { selected.clear(); choices(); app.refresh(); } }, t("Clear selection")),
  );
}

function filters(query, to) {
  const change = (key) => (value) => to({ ...query, [key]: value, offset: 0 });
  const search = el("input", {
    type: "search", id: "search", value: query.q || "", key: "search", autocomplete: "off", placeholder: t("name or p-…"),
    oninput: ({ target }) => {
      clearTimeout(searching);
      searching = setTimeout(() => change("q")(target.value), 200);
    },
  });
  const sizes = [["", tp("size", "any")], ["2-4", t("2 to 4 faces")], ["5-19", t("%(first)s to %(last)s", { first: 5, last: 19 })], ["20-99", t("%(first)s to %(last)s", { first: 20, last: 99 })], ["100-", t("%(n)s and more", { n: number(100) })]];
  const size = query.least || query.most ? `${query.least || ""}-${query.most || ""}` : "";
  return el(
    "form", { class: "filters", role: "search", "aria-label": t("Search and filter"), onsubmit: (event) => event.preventDefault() },
    el("label", {}, el("span", {}, t("Search")), search),
    choice(t("Show"), "show", [["", t("everyone")], ["named", t("with a name")], ["unnamed", t("without a name")], ["ignored", tp("person", "ignored")]], query.show, change("show")),
    choice(t("Size"), "size", sizes, size, (value) => {
      const [least, most] = value ? value.split("-") : ["", ""];
      to({ ...query, least, most, offset: 0 });
    }),
    choice(t("Confidence"), "sure", [["", tp("confidence", "any")], ["very sure", t("very sure")], ["sure", t("sure")], ["likely", t("likely")], ["unsure", t("unsure")]], query.sure, change("sure")),
    choice(t("Year"), "year", [["", tp("year", "any")], ...(app.state.years || []).map((y) => [`${y}`, `${y}`])], query.year, change("year")),
    choice(t("Order"), "order", [["size", t("most faces first")], ["small", t("fewest faces first")], ["unsure", t("least sure first")], ["name", t("by name")], ["recent", t("newest photos first")]], query.order || "size", change("order")),
  );
}

export async function draw(query, current) {
  const found = await get("people", { ...query, limit: LIMIT });
  if (!current()) return;
  shown = found.people;
  for (const person of found.people) if (selected.has(person.id)) selected.set(person.id, person);
  const to = (next) => app.go("people", next);
  choices();
  return [
    el("h1", {}, t("People")),
    filters(query, to),
    el(
      "div", { class: "row" }, el("p", { class: "dim", id: "found" }, found.total ? counted.people(found.total) : t("No people found. Change the search or the filters.")),
      found.total ? allButton() : null,
    ),
    el("ul", { class: "cards", "aria-label": t("People") }, ...found.people.map(card)),
    pager(query, found.total, LIMIT, to),
  ];
}
