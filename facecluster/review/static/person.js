// The faces of a person, unknown faces, or faces too unclear to tell: select and split off, "not this person", move to another person.

import { get } from "./api.js";
import { allButton, app, aside, choice, counted, crop, el, label, moveTo, nameField, pager, tick, tray } from "./parts.js";
import { forgetting } from "./forget.js";
import { forPerson } from "./suggestions.js";
import { day, percent, t, tn } from "./text.js";

const LIMIT = 100;
const selected = new Set();
let shown = ""; // the person whose faces are selected

function tile(face, faces, person, choices) {
  const box = tick(faces.map((f) => f.id), face.id, selected.has(face.id), t("Select the face in %(photo)s", { photo: face.photo }), (id, checked) => {
    if (checked) selected.add(id);
    else selected.delete(id);
    choices();
  });
  const not = () => app.act({ act: "split", person: person.id, faces: [face.id] }, t("Not %(name)s", { name: label(person) })).then(() => { selected.delete(face.id); choices(); });
  const look = ({ target }) => {
    const on = target.getAttribute("aria-pressed") !== "true";
    target.setAttribute("aria-pressed", on);
    target.closest("li").querySelector("img").src = `/${on ? "look" : "crop"}/${encodeURIComponent(face.id)}`;
  };
  return el(
    "li", { class: "face", "data-id": face.id, "data-face": face.id },
    el("label", {}, crop(face.id), box),
    el("a", { class: "dim cut", title: face.uri, href: `#/photo/${face.id}`, key: `photo-${face.id}`, "aria-label": t("The whole photo %(photo)s", { photo: face.photo }) }, face.photo || t("unknown photo")),
    el("p", { class: "dim" }, [person ? t("%(share)s sure", { share: percent(face.sure) }) : "", day(face.taken)].filter(Boolean).join(" · ")),
    person ? el("button", { type: "button", class: "small", key: `not-${face.id}`, "aria-label": t("The face in %(photo)s is not %(name)s", { photo: face.photo, name: label(person) }), onclick: not }, t("Not this person")) : null,
    el("button", { type: "button", class: "small", key: `look-${face.id}`, "aria-pressed": "false", "aria-label": t("Where the model looks on the face in %(photo)s", { photo: face.photo }), onclick: look }, t("Where the model looks")),
  );
}

function clear(choices) {
  selected.clear();
  choices();
}

function offer(person, choices) {
  if (!selected.size) return tray();
  const faces = () => [...selected];
  const act = async (action, message) => (await app.act(action, message)) && clear(choices);
  tray(
    el("p", {}, tn("%(n)s face selected", "%(n)s faces selected", selected.size)),
    person
      ? el("button", { type: "button", key: "split", onclick: () => act({ act: "split", person: person.id, faces: faces() }, tn("%(n)s face split off", "%(n)s faces split off", selected.size)) }, t("Split off as another person"))
      : el("button", { type: "button", key: "same", disabled: selected.size < 2, onclick: () => act({ act: "same", faces: faces() }, tn("%(n)s face is one person", "%(n)s faces are one person", selected.size)) }, t("These are one person")),
    moveTo(faces, () => clear(choices)),
    ...aside(faces, () => clear(choices)),
    el("button", { type: "button", key: "untick", onclick: () => { clear(choices); app.refresh(); } }, t("Clear selection")),
  );
}

function reset(whose) {
  if (shown !== whose) selected.clear();
  shown = whose;
}

export async function draw(query, current) {
  const [found, also] = await Promise.all([get("person", { ...query, limit: LIMIT }), query.offset ? null : forPerson(query.id)]);
  if (!current()) return;
  const person = found.person;
  reset(person.id);
  const choices = () => offer(person, choices);
  choices();
  const away = person.ignored
    ? el("button", { type: "button", key: "unignore", onclick: () => app.act({ act: "unignore", people: [person.id] }, t("Back in the list")) }, t("Bring back"))
    : el("button", { type: "button", key: "ignore", onclick: () => app.act({ act: "ignore", people: [person.id] }, t("Ignored")) }, t("Ignore"));
  const to = (next) => app.go(`person/${person.id}`, next);
  return [
    el("h1", {}, label(person)),
    el("p", { class: "dim" }, [t("%(faces)s in %(photos)s", { faces: counted.faces(person.faces), photos: counted.photos(person.photos) }), t("%(share)s sure", { share: percent(person.sure) }), person.id, ...(person.ignored ? [t("ignored")] : [])].join(", ")),
    el(
      "div", { class: "filters" }, el("label", {}, el("span", {}, t("Name")), nameField(person, "person-name")),
      choice(t("Order"), "order", [["", t("surest first")], ["unsure", t("least sure first")]], query.order, (order) => to({ order })), away,
    ),
    person.ignored ? null : also,
    allButton(),
    el("ul", { class: "tiles", "aria-label": t("Faces of %(name)s", { name: label(person) }) }, ...found.faces.map((face) => tile(face, found.faces, person, choices))),
    pager({ order: query.order, offset: query.offset }, found.total, LIMIT, to),
    forgetting(person),
  ];
}

async function drawAlone(page, title, text, query, current) {
  const found = await get(page, { ...query, limit: LIMIT });
  if (!current()) return;
  reset(page);
  const choices = () => offer(null, choices);
  choices();
  return [
    el("h1", {}, title),
    el("p", { class: "dim" }, text(found.total)),
    found.total ? allButton() : null,
    el("ul", { class: "tiles", "aria-label": title }, ...found.faces.map((face) => tile(face, found.faces, null, choices))),
    pager(query, found.total, LIMIT, (next) => app.go(page, next)),
  ];
}

export const drawNobody = (query, current) =>
  drawAlone(
    "nobody", t("Unknown faces"),
    (total) => tn("%(n)s face not assigned to a person. Select the faces of one person, or move faces to a person who is in the list.", "%(n)s faces not assigned to a person. Select the faces of one person, or move faces to a person who is in the list.", total),
    query, current,
  );

export const drawUnclear = (query, current) =>
  drawAlone(
    "unclear", t("Too unclear to tell"),
    (total) => tn(
      "%(n)s face too blurred, too small or too dark, or no face at all. They are in no group, and nothing is asked about them. To bring faces back, select them and say whose they are. The clearest come first.",
      "%(n)s faces too blurred, too small or too dark, or no face at all. They are in no group, and nothing is asked about them. To bring faces back, select them and say whose they are. The clearest come first.",
      total,
    ),
    query, current,
  );
