// The faces of a person, unknown faces, or faces too unclear to tell: select and split off, "not this person", move to another person.

import { get } from "./api.js";
import { allButton, app, aside, choice, counted, crop, el, label, moveTo, nameField, pager, tick, tray } from "./parts.js";
import { forgetting } from "./forget.js";
import { turn } from "./looks.js";
import { forPerson, leave, section } from "./suggestions.js";
import { number, percent, t, tn, tp } from "./text.js";
import { birthField, timeline, when } from "./time.js";

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
      type: "button", class: "target", key: `to-${to.id}`, title: t("Give to %(name)s", { name: to.name }), onclick: () => give(to),
      ondragenter: (event) => over(event, true), ondragover: (event) => over(event, true), ondragleave: (event) => over(event, false),
      ondrop: (event) => { event.preventDefault(); over(event, false); give(to); },
    },
    crop(to.best, 32), el("span", { class: "cut" }, to.name),
  );
  return others.length ? el("div", { class: "targets", role: "group", "aria-label": t("Give the selected faces to") }, ...others.map(button)) : null;
}

const WORDS = { mask: t("mask"), "no mask": t("no mask"), "from the front": t("from the front"), "turned left": t("turned left"), "turned right": t("turned right") };

/** What models of attributes say of a face. */
const words = (face) => face.words.map((word) => WORDS[word] || word);

/** A list to show only the faces of which models of attributes say something; null if nothing was measured. */
function onlySaid({ words }, said, onchange) {
  const options = words.map(({ word, faces }) => [word, `${WORDS[word] || word} (${number(faces)})`]);
  return words.length || said ? choice(t("Show"), "said", [["", t("all faces")], ...options], said, onchange) : null;
}

function tile(face, faces, person, choices) {
  const box = tick(faces.map((f) => f.id), face.id, selected.has(face.id), t("Select the face in %(photo)s", { photo: face.photo }), (id, checked) => {
    if (checked) selected.add(id);
    else selected.delete(id);
    choices();
  });
  const not = () => app.act({ act: "split", person: person.id, faces: [face.id] }, t("Not %(name)s", { name: label(person) })).then(() => { selected.delete(face.id); choices(); });
  const picture = crop(face.id, 160);
  if (looks.has(face.id)) turn(picture, face.id, () => { looks.delete(face.id); choices(); app.refresh(); });
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
    person ? el("button", { type: "button", class: "not", key: `not-${face.id}`, "aria-label": t("The face in %(photo)s is not %(name)s", { photo: face.photo, name: label(person) }), title: t("Not %(name)s", { name: label(person) }), onclick: not }, "×") : null,
    el("a", { class: "dim cut", title: [face.uri, person ? t("%(share)s sure", { share: percent(face.sure) }) : "", ...words(face)].filter(Boolean).join("\n"), href: `#/photo/${face.id}`, key: `photo-${face.id}`, "aria-label": `${t("The whole photo %(photo)s", { photo: face.photo })}${face.taken ? `, ${when(face)}` : ""}`, draggable: "false" }, [when(face) || face.photo || t("unknown photo"), ...words(face)].join(" · ")),
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
    el("p", {}, tn("%(n)s face selected", "%(n)s faces selected", selected.size)),
    person
      ? el("button", { type: "button", key: "split", onclick: () => act({ act: "split", person: person.id, faces: faces() }, tn("%(n)s face split off", "%(n)s faces split off", selected.size)) }, t("Split off as another person"))
      : el("button", { type: "button", key: "same", disabled: selected.size < 2, onclick: () => act({ act: "same", faces: faces() }, tn("%(n)s face is one person", "%(n)s faces are one person", selected.size)) }, t("These are one person")),
    moveTo(faces, () => clear(choices)),
    ...aside(faces, () => clear(choices)),
    el("button", { type: "button", class: "small", key: "look", "aria-pressed": `${seen}`, onclick: look }, t("Where the model looks")),
    el("button", { type: "button", class: "small", key: "untick", onclick: () => { clear(choices); app.refresh(); } }, t("Clear selection")),
    targets(person, (to) => act({ act: "give", person: to.id, faces: faces() }, tn("%(n)s face moved to %(name)s", "%(n)s faces moved to %(name)s", selected.size, { name: to.name }))),
  );
}

function reset(whose) {
  if (shown !== whose) selected.clear();
  shown = whose;
}

export async function draw(query, current) {
  const [found, alike, others] = await Promise.all([get("person", { ...query, limit: LIMIT }), query.offset || query.year || query.said ? null : forPerson(query.id), get("people", NAMED)]);
  if (!current()) return;
  named = others.people;
  const person = found.person;
  const also = person.ignored || !alike ? leave() : section(alike);
  reset(person.id);
  const choices = () => offer(person, choices);
  choices();
  const away = person.ignored
    ? el("button", { type: "button", key: "unignore", onclick: () => app.act({ act: "unignore", people: [person.id] }, t("Back in the list")) }, t("Bring back"))
    : el("button", { type: "button", key: "ignore", onclick: () => app.act({ act: "ignore", people: [person.id] }, t("Ignored")) }, t("Ignore"));
  const to = (next) => app.go(`person/${person.id}`, next);
  return [
    el("h1", {}, label(person)),
    el("p", { class: "dim", title: t("%(share)s sure", { share: percent(person.sure) }) }, [t("%(faces)s in %(photos)s", { faces: counted.faces(person.faces), photos: counted.photos(person.photos) }), person.id, ...(person.ignored ? [tp("person", "ignored")] : [])].join(", ")),
    el(
      "div", { class: "filters" }, el("label", {}, el("span", {}, t("Name")), nameField(person, "person-name")),
      choice(t("Order"), "order", [["", t("surest first")], ["unsure", t("least sure first")], ["date", t("by date")]], query.order, (order) => to({ order, year: query.year, said: query.said })),
      onlySaid(found, query.said, (said) => to({ order: query.order, year: query.year, said })), birthField(person), away,
    ),
    timeline("person", found, query),
    also,
    allButton(),
    el("ul", { class: "tiles", "aria-label": t("Faces of %(name)s", { name: label(person) }) }, ...found.faces.map((face) => tile(face, found.faces, person, choices))),
    pager({ order: query.order, year: query.year, said: query.said, offset: query.offset }, found.total, LIMIT, to),
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
  const only = onlySaid(found, query.said, (said) => app.go(page, { said }));
  return [
    el("h1", {}, title),
    el("p", { class: "dim" }, found.total ? text(found.total) : t("There are none.")),
    only && el("div", { class: "filters" }, only),
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
