// Are these two the same person? Is this Anna? What the answer changes, and how many are left that are worth it. Keys: Y, N and S.

import { get } from "./api.js";
import { app, aside, count, crop, el, label, likely, percent, tray } from "./parts.js";

const ENOUGH = "95 %"; // questions.DECIDED

let asked = null;
let busy = false;

function side(found, name) {
  const { face, person, others } = found;
  return el(
    "figure", { "data-id": face.id, "data-face": face.id },
    el("a", { href: `#/photo/${face.id}`, "aria-label": `The whole photo ${face.photo}`, key: `photo-${face.id}` }, crop(face.id, 224)),
    el(
      "figcaption", {}, el("strong", {}, person ? label(person) : "Unknown"),
      el("span", { class: "dim cut", title: face.uri }, [person ? count(person.faces, "face") : "a single face", face.taken || face.photo].filter(Boolean).join(" · ")),
    ),
    others.length ? el("div", { class: "others", role: "img", "aria-label": `More faces of ${name}` }, ...others.map((id) => crop(id, 56))) : null,
    el("div", { class: "row aside" }, ...aside(() => [face.id]).map((button) => { button.dataset.key += `-${face.id}`; button.className = "small"; return button; })),
  );
}

/** What the answer changes, in a sentence. */
function changes({ kind, gain }) {
  if (kind === "known") return `Yes names ${count(gain.photos, "photo")} ${gain.to}.`;
  if (kind === "photo") return `No takes one of the two faces away from ${gain.who || "this person"}.`;
  if (kind === "split") return `No takes ${count(gain.faces, "face")} away from ${gain.who || "this person"}.`;
  if (gain.to) return `Yes joins ${count(gain.photos, "photo")} to ${gain.to}.`;
  return gain.faces === 1 ? "Yes joins a single face to the others of this person." : `Yes joins ${count(gain.photos, "photo")} to the others of this person.`;
}

async function answer(what) {
  if (busy || !asked) return;
  busy = true;
  const message = { same: "Yes, the same", "not-same": "No, two people", skip: "Skipped" }[what];
  if (what === "skip") await app.act({ act: "skip", faces: asked.skip }, message);
  else if (asked.kind === "known") {
    const known = [[asked.known, asked.person]];
    await app.act({ act: what === "same" ? "join" : "apart", pairs: [], known }, what === "same" ? `Named ${asked.known}` : `Not ${asked.known}`);
  } else await app.act({ act: what, faces: asked.sides.map((s) => s.face.id) }, message);
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

/** How far it is, in a sentence. */
function progress(found) {
  const now = `${percent(found.decided)} of the faces are decided.`;
  if (!found.until) return found.worth ? `${now} You can stop here, or go on.` : now;
  return `${now} About ${count(found.until, "answer")} until it is ${ENOUGH}.`;
}

/** What to do when nothing is left that is worth an answer. */
function ending(found, query) {
  const more = found.total - found.worth;
  const text = found.note || (more && !query.all
    ? `Nothing is left that is worth your time. The other ${count(more, "question")} would change about ${count(Math.round(found.rest), "face")} in all.`
    : "No questions left: all are answered or skipped.");
  return [
    el("p", { class: "note" }, text),
    more && !query.all ? el("p", {}, el("a", { href: "#/questions?all=1", key: "all" }, "Ask me anyway")) : null,
    app.state.since > 0 ? el("p", {}, el("a", { href: "#/regroup" }, "Group again"), " with what you said: that finds more of the same people.") : null,
  ];
}

export async function draw(query, current) {
  const found = await get("questions", { all: query.all });
  if (!current()) return;
  tray();
  asked = found.questions[0] || null;
  if (!found.ready) {
    setTimeout(() => current() && app.refresh(), 700);
    return [el("h1", {}, "Questions"), el("p", { role: "status" }, "Looking for uncertain faces…")];
  }
  const sure = el("p", { id: "coverage" }, progress(found));
  if (!asked) return [el("h1", {}, "Questions"), sure, ...ending(found, query)];
  const button = (what, text, letter) =>
    el("button", { type: "button", class: "answer", key: `answer-${what}`, "aria-keyshortcuts": letter, onclick: () => answer(what) }, text, el("kbd", {}, letter));
  const yes = asked.kind === "known" ? "Yes" : "Yes, the same";
  return [
    el("h1", { id: "question" }, asked.text),
    sure,
    el("progress", { max: 1, value: found.decided, "aria-label": "Share of the faces that are decided" }),
    el(
      "div", { class: `pair${asked.sides.length === 1 ? " single" : ""}`, role: "group", "aria-labelledby": "question" },
      ...asked.sides.map((s, i) => side(s, asked.sides.length === 1 ? "this person" : i ? "the right one" : "the left one")),
    ),
    el("p", { id: "gain", title: `Probability of yes: ${percent(asked.probability)}` }, changes(asked), el("span", { class: "dim" }, ` It is ${likely(asked.probability)} a yes.`)),
    el("div", { class: "answers" }, button("same", yes, "Y"), button("not-same", "No", "N"), button("skip", "Skip", "S")),
  ];
}
