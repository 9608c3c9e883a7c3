// The faces of a person, unknown faces, or faces too unclear to tell: select and split off, "not this person", move to another person.

import { get } from "./api.js";
import { allButton, app, aside, choice, count, crop, el, label, moveTo, nameField, pager, percent, tick, tray } from "./parts.js";
import { forgetting } from "./forget.js";
import { forPerson } from "./suggestions.js";

const LIMIT = 100;
const NAMED = { show: "named", limit: 9 }; // the largest people with a name
const selected = new Set();
const looks = new Set(); // faces on which the page shows where the model looks
let shown = ""; // the person whose faces are selected
let named = []; // people with a name, to whom faces can be given with a click or by dragging

/** Buttons of people: the selected faces are given to them by a click, or by dropping them there. */
function targets(person, give) {
  const others = named.filter((p) => p.id !== person?.id).slice(0, 8);
  const over = (event, on) => {
    event.currentTarget.classList.toggle("over", on);
    if (on && event.dataTransfer.types.includes("text/x-faces")) event.preventDefault(); // else nothing can be dropped here
  };
  const button = (to) => el(
    "button", {
      type: "button", class: "target", key: `to-${to.id}`, title: `Give to ${to.name}`, onclick: () => give(to),
      ondragenter: (event) => over(event, true), ondragover: (event) => over(event, true), ondragleave: (event) => over(event, false),
      ondrop: (event) => { event.preventDefault(); over(event, false); give(to); },
    },
    crop(to.best, 32), el("span", { class: "cut" }, to.name),
  );
  return others.length ? el("div", { class: "targets", role: "group", "aria-label": "Give the selected faces to" }, ...others.map(button)) : null;
}

function tile(face, faces, person, choices) {
  const box = tick(faces.map((f) => f.id), face.id, selected.has(face.id), `Select the face in ${face.photo}`, (id, checked) => {
    if (checked) selected.add(id);
    else selected.delete(id);
    choices();
  });
  const not = () => app.act({ act: "split", person: person.id, faces: [face.id] }, `Not ${label(person)}`).then(() => { selected.delete(face.id); choices(); });
  const picture = crop(face.id, 160);
  if (looks.has(face.id)) picture.src = `/look/${encodeURIComponent(face.id)}`;
  const drag = (event) => {
    if (!selected.has(face.id)) {
      for (const other of document.querySelectorAll("#main .face :checked")) other.checked = false;
      selected.clear();
      selected.add(face.id);
      box.checked = true;
    }
    event.dataTransfer.setData("text/x-faces", face.id);
    event.dataTransfer.effectAllowed = "move";
    setTimeout(choices); // a change of the page at once would end the dragging
  };
  return el(
    "li", { class: "face", draggable: "true", "data-id": face.id, "data-face": face.id, ondragstart: drag },
    el("label", {}, picture, box),
    person ? el("button", { type: "button", class: "not", key: `not-${face.id}`, "aria-label": `The face in ${face.photo} is not ${label(person)}`, title: `Not ${label(person)}`, onclick: not }, "×") : null,
    el("a", { class: "dim cut", title: [face.uri, person ? `${percent(face.sure)} sure` : ""].filter(Boolean).join("\n"), href: `#/photo/${face.id}`, key: `photo-${face.id}`, "aria-label": `The whole photo ${face.photo}${face.taken ? `, ${face.taken}` : ""}`, draggable: "false" }, face.taken || face.photo || "unknown photo"),
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
  const seen = faces().every((face) => looks.has(face));
  const look = () => {
    for (const face of selected) looks[seen ? "delete" : "add"](face);
    choices();
    app.refresh();
  };
  tray(
    el("p", {}, `${count(selected.size, "face")} selected`),
    person
      ? el("button", { type: "button", key: "split", onclick: () => act({ act: "split", person: person.id, faces: faces() }, `${count(selected.size, "face")} split off`) }, "Split off as another person")
      : el("button", { type: "button", key: "same", disabled: selected.size < 2, onclick: () => act({ act: "same", faces: faces() }, `${count(selected.size, "face")} are one person`) }, "These are one person"),
    moveTo(faces, () => clear(choices)),
    ...aside(faces, () => clear(choices)),
    el("button", { type: "button", class: "small", key: "look", "aria-pressed": `${seen}`, onclick: look }, "Where the model looks"),
    el("button", { type: "button", class: "small", key: "untick", onclick: () => { clear(choices); app.refresh(); } }, "Clear selection"),
    targets(person, (to) => act({ act: "give", person: to.id, faces: faces() }, `${count(selected.size, "face")} moved to ${to.name}`)),
  );
}

function reset(whose) {
  if (shown !== whose) selected.clear();
  shown = whose;
}

export async function draw(query, current) {
  const [found, also, others] = await Promise.all([get("person", { ...query, limit: LIMIT }), query.offset ? null : forPerson(query.id), get("people", NAMED)]);
  if (!current()) return;
  named = others.people;
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
    el("p", { class: "dim", title: `${percent(person.sure)} sure` }, `${count(person.faces, "face")} in ${count(person.photos, "photo")}, ${person.id}${person.ignored ? ", ignored" : ""}`),
    el(
      "div", { class: "filters" }, el("label", {}, el("span", {}, "Name"), nameField(person, "person-name")),
      choice("Order", "order", [["", "surest first"], ["unsure", "least sure first"]], query.order, (order) => to({ order })), away,
    ),
    person.ignored ? null : also,
    allButton(),
    el("ul", { class: "tiles", "aria-label": `Faces of ${label(person)}` }, ...found.faces.map((face) => tile(face, found.faces, person, choices))),
    pager({ order: query.order, offset: query.offset }, found.total, LIMIT, to),
    forgetting(person),
  ];
}

async function drawAlone(page, title, text, query, current) {
  const [found, others] = await Promise.all([get(page, { ...query, limit: LIMIT }), get("people", NAMED)]);
  if (!current()) return;
  named = others.people;
  reset(page);
  const choices = () => offer(null, choices);
  choices();
  return [
    el("h1", {}, title),
    el("p", { class: "dim" }, found.total ? `${count(found.total, "face")} ${text}` : "There are none."),
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
