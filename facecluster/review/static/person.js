// The faces of a person, or of nobody: tick and split, "not this person", give to another.

import { get } from "./api.js";
import { app, choice, count, crop, el, giveTo, label, nameField, pager, percent, tray } from "./parts.js";

const LIMIT = 100;
const ticked = new Set();
let shown = ""; // whose faces are ticked

function tile(face, person, choices) {
  const box = el("input", {
    type: "checkbox", checked: ticked.has(face.id), "aria-label": `Tick the face of ${face.photo}`, key: `tick-${face.id}`,
    onchange: () => {
      if (box.checked) ticked.add(face.id);
      else ticked.delete(face.id);
      choices();
    },
  });
  const not = () => app.act({ act: "split", person: person.id, faces: [face.id] }, `Not ${label(person)}`).then(() => { ticked.delete(face.id); choices(); });
  return el(
    "li", { class: "face", "data-id": face.id },
    el("label", {}, crop(face.id), box),
    el("p", { class: "dim cut", title: face.uri }, face.photo || "photo not known"),
    el("p", { class: "dim" }, [person ? `${percent(face.sure)} sure` : "", face.taken].filter(Boolean).join(" · ")),
    person ? el("button", { type: "button", class: "small", key: `not-${face.id}`, "aria-label": `The face of ${face.photo} is not ${label(person)}`, onclick: not }, "Not this person") : null,
  );
}

function wipe(choices) {
  ticked.clear();
  choices();
}

function offer(person, choices) {
  if (!ticked.size) return tray();
  const faces = () => [...ticked];
  const act = async (request, said) => (await app.act(request, said)) && wipe(choices);
  tray(
    el("p", {}, `${count(ticked.size, "face")} ticked`),
    person
      ? el("button", { type: "button", key: "split", onclick: () => act({ act: "split", person: person.id, faces: faces() }, `${count(ticked.size, "face")} split off`) }, "Split off: another person")
      : el("button", { type: "button", key: "same", disabled: ticked.size < 2, onclick: () => act({ act: "same", faces: faces() }, `${count(ticked.size, "face")} are one person`) }, "They are one person"),
    giveTo(faces, () => wipe(choices)),
    el("button", { type: "button", key: "untick", onclick: () => { wipe(choices); app.refresh(); } }, "Untick all"),
  );
}

function reset(whose) {
  if (shown !== whose) ticked.clear();
  shown = whose;
}

export async function draw(query, current) {
  const found = await get("person", { ...query, limit: LIMIT });
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
    el("p", { class: "dim" }, `${count(person.faces, "face")} on ${count(person.photos, "photo")}, ${percent(person.sure)} sure, ${person.id}${person.ignored ? ", ignored" : ""}`),
    el(
      "div", { class: "filters" }, el("label", {}, el("span", {}, "Name"), nameField(person, "person-name")),
      choice("Order", "order", [["", "surest first"], ["unsure", "least sure first"]], query.order, (order) => to({ order })), away,
    ),
    el("ul", { class: "tiles", "aria-label": `Faces of ${label(person)}` }, ...found.faces.map((face) => tile(face, person, choices))),
    pager({ order: query.order, offset: query.offset }, found.total, LIMIT, to),
  ];
}

export async function drawNobody(query, current) {
  const found = await get("nobody", { ...query, limit: LIMIT });
  if (!current()) return;
  reset("nobody");
  const choices = () => offer(null, choices);
  choices();
  return [
    el("h1", {}, "Nobody known"),
    el("p", { class: "dim" }, `${count(found.total, "face")} that are like no other. Tick those of one person, or give them to somebody.`),
    el("ul", { class: "tiles", "aria-label": "Faces of nobody known" }, ...found.faces.map((face) => tile(face, null, choices))),
    pager(query, found.total, LIMIT, (next) => app.go("nobody", next)),
  ];
}
