// Two faces side by side: are they the same person? Keys: Y, N and S.

import { get } from "./api.js";
import { app, aside, count, crop, el, label, percent, tray } from "./parts.js";

let asked = null;
let busy = false;

function side(found, name) {
  const { face, person, others } = found;
  return el(
    "figure", { "data-id": face.id, "data-face": face.id },
    el("a", { href: `#/photo/${face.id}`, "aria-label": `The whole photo ${face.photo}`, key: `photo-${face.id}` }, crop(face.id, 224)),
    el(
      "figcaption", {}, el("strong", {}, person ? label(person) : "Unknown"),
      el("span", { class: "dim" }, person ? count(person.faces, "face") : "a single face"),
      el("span", { class: "dim cut", title: face.uri }, [face.photo, face.taken].filter(Boolean).join(" · ")),
    ),
    el("div", { class: "row" }, ...aside(() => [face.id]).map((button) => { button.dataset.key += `-${face.id}`; button.className = "small"; return button; })),
    others.length ? el("div", { class: "others", role: "img", "aria-label": `More faces of ${name}` }, ...others.map((id) => crop(id, 56))) : null,
  );
}

async function answer(what) {
  if (busy || !asked) return;
  busy = true;
  const faces = asked.sides.map((s) => s.face.id);
  const message = { same: "Yes, the same", "not-same": "No, two people", skip: "Skipped" }[what];
  await app.act({ act: what, faces }, message);
  busy = false;
}

/** Answers the question if the key stands for an answer; returns whether it does. */
export function key(letter) {
  const what = { y: "same", n: "not-same", s: "skip" }[letter];
  if (!what || !asked) return false;
  answer(what);
  return true;
}

export const leave = () => { asked = null; };

export async function draw(query, current) {
  const found = await get("questions");
  if (!current()) return;
  tray();
  asked = found.questions[0] || null;
  if (!found.ready) {
    setTimeout(() => current() && app.refresh(), 700);
    return [el("h1", {}, "Questions"), el("p", { role: "status" }, "Looking for uncertain faces…")];
  }
  const sure = el("p", { id: "coverage" }, `${percent(found.coverage)} of the faces have no open question. ${count(found.total, "question")} left.`);
  if (!asked) return [el("h1", {}, "Questions"), sure, el("p", { class: "note" }, found.note || "No questions left: all are answered or skipped.")];
  const button = (what, text, letter) =>
    el("button", { type: "button", class: "answer", key: `answer-${what}`, "aria-keyshortcuts": letter, onclick: () => answer(what) }, text, el("kbd", {}, letter));
  return [
    el("h1", { id: "question" }, asked.text),
    sure,
    el("progress", { max: 1, value: found.coverage, "aria-label": "Share of the faces without an open question" }),
    el("div", { class: "pair", role: "group", "aria-labelledby": "question" }, side(asked.sides[0], "the left one"), side(asked.sides[1], "the right one")),
    el("div", { class: "answers" }, button("same", "Yes, the same", "Y"), button("not-same", "No", "N"), button("skip", "Skip", "S")),
    el("p", { class: "dim" }, `Probability of yes: ${percent(asked.probability)}. The answer decides about ${count(asked.stake, "face")}; after it ${percent(asked.coverage)} of the faces have no open question.`),
  ];
}
