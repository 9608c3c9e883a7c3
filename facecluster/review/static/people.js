// People as cards: name, select and merge, drag one card onto another, ignore, search and filter.

import { get } from "./api.js";
import { allButton, app, choice, count, crop, el, label, nameField, pager, percent, tick, tray } from "./parts.js";
import { offerMore } from "./suggestions.js";

const LIMIT = 60;
let searching; // timer
const selected = new Map(); // id -> person, on all pages of the list

function card(person, i, people) {
  const box = tick(people.map((p) => p.id), person.id, selected.has(person.id), `Select ${label(person)}`, (id, checked) => {
    if (checked) selected.set(id, people.find((p) => p.id === id));
    else selected.delete(id);
    choices();
  });
  const years = person.years[1] ? (person.years[0] === person.years[1] ? `${person.years[0]}` : `${person.years[0]} to ${person.years[1]}`) : "";
  return el(
    "li", { class: "card", draggable: "true", "data-id": person.id, "data-face": person.best, ...dragging(person) },
    el("a", { class: "open", href: `#/person/${person.id}`, "aria-label": `${label(person)}, ${count(person.faces, "face")}`, key: `open-${person.id}`, draggable: "false" }, crop(person.best)),
    el("div", { class: "row" }, box, nameField(person, `name-${person.id}`, offerMore)),
    person.name.length > 12 ? el("p", { class: "full" }, person.name) : null,
    el("p", { class: "dim" }, `${count(person.faces, "face")}, ${count(person.photos, "photo")}`),
    el("p", { class: "dim" }, `${percent(person.sure)} sure${years ? ` · ${years}` : ""}`),
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
    if (other && other !== person.id) merge([person.id, other]);
  },
});

async function merge(people) {
  if (await app.act({ act: "merge", people }, `Merged ${people.length} people`)) {
    selected.clear();
    choices();
  }
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
  const away = people.every((p) => p.ignored);
  tray(
    el("p", {}, `${count(people.length, "person", "people")} selected: ${people.slice(0, 4).map(label).join(", ")}${people.length > 4 ? ", …" : ""}`),
    el("button", { type: "button", key: "merge", disabled: people.length < 2, onclick: () => merge([...selected.keys()]) }, `Merge into ${label(kept)}`),
    away
      ? el("button", { type: "button", key: "unignore", onclick: () => ignore("unignore", "Back in the list") }, "Bring back")
      : el("button", { type: "button", key: "ignore", onclick: () => ignore("ignore", "Ignored") }, "Ignore"),
    el("button", { type: "button", key: "untick", onclick: () => { selected.clear(); choices(); app.refresh(); } }, "Clear selection"),
  );
}

function filters(query, to) {
  const change = (key) => (value) => to({ ...query, [key]: value, offset: 0 });
  const search = el("input", {
    type: "search", id: "search", value: query.q || "", key: "search", autocomplete: "off", placeholder: "name or p-…",
    oninput: ({ target }) => {
      clearTimeout(searching);
      searching = setTimeout(() => change("q")(target.value), 200);
    },
  });
  const sizes = [["", "any"], ["2-4", "2 to 4 faces"], ["5-19", "5 to 19"], ["20-99", "20 to 99"], ["100-", "100 and more"]];
  const size = query.least || query.most ? `${query.least || ""}-${query.most || ""}` : "";
  return el(
    "form", { class: "filters", role: "search", "aria-label": "Search and filter", onsubmit: (event) => event.preventDefault() },
    el("label", {}, el("span", {}, "Search"), search),
    choice("Show", "show", [["", "everyone"], ["named", "with a name"], ["unnamed", "without a name"], ["ignored", "ignored"]], query.show, change("show")),
    choice("Size", "size", sizes, size, (value) => {
      const [least, most] = value ? value.split("-") : ["", ""];
      to({ ...query, least, most, offset: 0 });
    }),
    choice("Confidence", "sure", [["", "any"], ...["very sure", "sure", "likely", "unsure"].map((s) => [s, s])], query.sure, change("sure")),
    choice("Year", "year", [["", "any"], ...(app.state.years || []).map((y) => [`${y}`, `${y}`])], query.year, change("year")),
    choice("Order", "order", [["size", "most faces first"], ["small", "fewest faces first"], ["unsure", "least sure first"], ["name", "by name"], ["recent", "newest photos first"]], query.order || "size", change("order")),
  );
}

export async function draw(query, current) {
  const found = await get("people", { ...query, limit: LIMIT });
  if (!current()) return;
  for (const person of found.people) if (selected.has(person.id)) selected.set(person.id, person);
  const to = (next) => app.go("people", next);
  choices();
  return [
    el("h1", {}, "People"),
    filters(query, to),
    found.total ? allButton() : null,
    el("p", { class: "dim", id: "found" }, found.total ? count(found.total, "person", "people") : "No people found. Change the search or the filters."),
    el("ul", { class: "cards", "aria-label": "People" }, ...found.people.map(card)),
    pager(query, found.total, LIMIT, to),
  ];
}
