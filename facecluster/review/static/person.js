// The faces of a person, unknown faces, or faces too unclear to tell: select and split off, "not this person", move to another person.

import { get } from "./api.js";
import { allButton, app, aside, choice, count, crop, el, label, moveTo, nameField, pager, percent, tick, tray } from "./parts.js";
import { forgetting } from "./forget.js";
import { forPerson } from "./suggestions.js";
import { birthField, timeline, when } from "./time.js";

const LIMIT = 100;
const selected = new Set();
let shown = ""; // the person whose faces are selected

function tile(face, faces, person, choices) {
  const box = tick(faces.map((f) => f.id), face.id, selected.has(face.id), `Select the face in ${face.photo}`, (id, checked) => {
    if (checked) selected.add(id);
    else selected.delete(id);
    choices();
  });
  const not = () => app.act({ act: "split", person: person.id, faces: [face.id] }, `Not ${label(person)}`).then(() => { selected.delete(face.id); choices(); });
  const look = ({ target }) => {
    const on = target.getAttribute("aria-pressed") !== "true";
    target.setAttribute("aria-pressed", on);
    target.closest("li").querySelector("img").src = `/${on ? "look" : "crop"}/${encodeURIComponent(face.id)}`;
  };
  return el(
    "li", { class: "face", "data-id": face.id, "data-face": face.id },
    el("label", {}, crop(face.id), box),
    el("a", { class: "dim cut", title: face.uri, href: `#/photo/${face.id}`, key: `photo-${face.id}`, "aria-label": `The whole photo ${face.photo}` }, face.photo || "unknown photo"),
    el("p", { class: "dim" }, [person ? `${percent(face.sure)} sure` : "", when(face)].filter(Boolean).join(" · ")),
    person ? el("button", { type: "button", class: "small", key: `not-${face.id}`, "aria-label": `The face in ${face.photo} is not ${label(person)}`, onclick: not }, "Not this person") : null,
    el("button", { type: "button", class: "small", key: `look-${face.id}`, "aria-pressed": "false", "aria-label": `Where the model looks on the face in ${face.photo}`, onclick: look }, "Where the model looks"),
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
    el("p", {}, `${count(selected.size, "face")} selected`),
    person
      ? el("button", { type: "button", key: "split", onclick: () => act({ act: "split", person: person.id, faces: faces() }, `${count(selected.size, "face")} split off`) }, "Split off as another person")
      : el("button", { type: "button", key: "same", disabled: selected.size < 2, onclick: () => act({ act: "same", faces: faces() }, `${count(selected.size, "face")} are one person`) }, "These are one person"),
    moveTo(faces, () => clear(choices)),
    ...aside(faces, () => clear(choices)),
    el("button", { type: "button", key: "untick", onclick: () => { clear(choices); app.refresh(); } }, "Clear selection"),
  );
}

function reset(whose) {
  if (shown !== whose) selected.clear();
  shown = whose;
}

export async function draw(query, current) {
  const [found, also] = await Promise.all([get("person", { ...query, limit: LIMIT }), query.offset || query.year ? null : forPerson(query.id)]);
  if (!current()) return;
  const person = found.person;
  reset(person.id);
  const choices = () => offer(person, choices);
  choices();
  const away = person.ignored
    ? el("button", { type: "button", key: "unignore", onclick: () => app.act({ act: "unignore", people: [person.id] }, "Back in the list") }, "Bring back")
    : el("button", { type: "button", key: "ignore", onclick: () => app.act({ act: "ignore", people: [person.id] }, "Ignored") }, "Ignore");
  const to = (next) => app.go(`person/${person.id}`, next);
  return [
    el("h1", {}, label(person)),
    el("p", { class: "dim" }, `${count(person.faces, "face")} in ${count(person.photos, "photo")}, ${percent(person.sure)} sure, ${person.id}${person.ignored ? ", ignored" : ""}`),
    el(
      "div", { class: "filters" }, el("label", {}, el("span", {}, "Name"), nameField(person, "person-name")),
      choice("Order", "order", [["", "surest first"], ["unsure", "least sure first"], ["date", "by date"]], query.order, (order) => to({ order, year: query.year })), birthField(person), away,
    ),
    timeline("person", found, query),
    person.ignored ? null : also,
    allButton(),
    el("ul", { class: "tiles", "aria-label": `Faces of ${label(person)}` }, ...found.faces.map((face) => tile(face, found.faces, person, choices))),
    pager({ order: query.order, year: query.year, offset: query.offset }, found.total, LIMIT, to),
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
    el("p", { class: "dim" }, `${count(found.total, "face")} ${text}`),
    found.total ? allButton() : null,
    el("ul", { class: "tiles", "aria-label": title }, ...found.faces.map((face) => tile(face, found.faces, null, choices))),
    pager(query, found.total, LIMIT, (next) => app.go(page, next)),
  ];
}

export const drawNobody = (query, current) =>
  drawAlone("nobody", "Unknown faces", "not assigned to a person. Select the faces of one person, or move faces to a person who is in the list.", query, current);

export const drawUnclear = (query, current) =>
  drawAlone(
    "unclear", "Too unclear to tell",
    "too blurred, too small or too dark, or no face at all. They are in no group, and nothing is asked about them. To bring faces back, select them and say whose they are. The clearest come first.",
    query, current,
  );
