// Are these two the same person? Is this Anna? What the answer changes, and how many are left that are worth it. Keys: Y, N and S.

import { get } from "./api.js";
import { app, aside, counted, crop, el, label, likely, tray } from "./parts.js";
import { day, percent, t, tn, tp } from "./text.js";

const ENOUGH = 0.95; // questions.DECIDED
const ASKED = {
  same: t("Are these two the same person?"),
  split: t("This may be two people. Do these two faces show the same person?"),
  photo: t("These two faces are in one photo. Are they the same person?"),
};

let asked = null;
let busy = false;

function side(found, more) {
  const { face, person, others } = found;
  return el(
    "figure", { "data-id": face.id, "data-face": face.id },
    el("a", { href: `#/photo/${face.id}`, "aria-label": t("The whole photo %(photo)s", { photo: face.photo }), key: `photo-${face.id}` }, crop(face.id, 224)),
    el(
      "figcaption", {}, el("strong", {}, person ? label(person) : tp("face", "Unknown")),
      el("span", { class: "dim cut", title: face.uri }, [person ? counted.faces(person.faces) : t("a single face"), day(face.taken) || face.photo].filter(Boolean).join(" · ")),
    ),
    others.length ? el("div", { class: "others", role: "img", "aria-label": more }, ...others.map((id) => crop(id, 56))) : null,
    el("div", { class: "row aside" }, ...aside(() => [face.id]).map((button) => { button.dataset.key += `-${face.id}`; button.className = "small"; return button; })),
  );
}

/** What the answer changes, in a sentence. */
function changes({ kind, gain }) {
  const { photos, faces, to, who } = gain;
  if (kind === "known") return tn("Yes names %(n)s photo %(name)s.", "Yes names %(n)s photos %(name)s.", photos, { name: to });
  if (kind === "photo") return who ? t("No takes one of the two faces away from %(name)s.", { name: who }) : t("No takes one of the two faces away from this person.");
  if (kind === "split" && who) return tn("No takes %(n)s face away from %(name)s.", "No takes %(n)s faces away from %(name)s.", faces, { name: who });
  if (kind === "split") return tn("No takes %(n)s face away from this person.", "No takes %(n)s faces away from this person.", faces);
  if (to) return tn("Yes joins %(n)s photo to %(name)s.", "Yes joins %(n)s photos to %(name)s.", photos, { name: to });
  if (faces === 1) return t("Yes joins a single face to the others of this person.");
  return tn("Yes joins %(n)s photo to the others of this person.", "Yes joins %(n)s photos to the others of this person.", photos);
}

async function answer(what) {
  if (busy || !asked) return;
  busy = true;
  const message = { same: t("Yes, the same"), "not-same": t("No, two people"), skip: t("Skipped") }[what];
  if (what === "skip") await app.act({ act: "skip", faces: asked.skip }, message);
  else if (asked.kind === "known") {
    const known = [[asked.known, asked.person]];
    await app.act({ act: what === "same" ? "join" : "apart", pairs: [], known }, what === "same" ? t("Named %(name)s", { name: asked.known }) : t("Not %(name)s", { name: asked.known }));
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
  const now = t("%(share)s of the faces are decided.", { share: percent(found.decided) });
  if (!found.until) return found.worth ? `${now} ${t("You can stop here, or go on.")}` : now;
  return `${now} ${tn("About %(n)s answer until it is %(share)s.", "About %(n)s answers until it is %(share)s.", found.until, { share: percent(ENOUGH) })}`;
}

/** What to do when nothing is left that is worth an answer. */
function ending(found, query) {
  const more = found.total - found.worth;
  const text = found.note || (more && !query.all
    ? tn("Nothing is left that is worth your time. The other %(n)s question would change about %(faces)s in all.", "Nothing is left that is worth your time. The other %(n)s questions would change about %(faces)s in all.", more, { faces: counted.faces(Math.round(found.rest)) })
    : t("No questions left: all are answered or skipped."));
  return [
    el("p", { class: "note" }, text),
    more && !query.all ? el("p", {}, el("a", { href: "#/questions?all=1", key: "all" }, t("Ask me anyway"))) : null,
    app.state.since > 0 ? el("p", {}, el("a", { href: "#/regroup" }, t("Group again with what you said")), " ", t("That finds more of the same people.")) : null,
  ];
}

export async function draw(query, current) {
  const found = await get("questions", { all: query.all });
  if (!current()) return;
  tray();
  asked = found.questions[0] || null;
  if (!found.ready) {
    setTimeout(() => current() && app.refresh(), 700);
    return [el("h1", {}, t("Questions")), el("p", { role: "status" }, t("Looking for uncertain faces…"))];
  }
  const sure = el("p", { id: "coverage" }, progress(found));
  if (!asked) return [el("h1", {}, t("Questions")), sure, ...ending(found, query)];
  const button = (what, text, letter) =>
    el("button", { type: "button", class: "answer", key: `answer-${what}`, "aria-keyshortcuts": letter, onclick: () => answer(what) }, text, el("kbd", {}, letter));
  const yes = asked.kind === "known" ? t("Yes") : t("Yes, the same");
  return [
    el("h1", { id: "question" }, ASKED[asked.kind] || t("Is this %(name)s?", { name: asked.known })),
    sure,
    el("progress", { max: 1, value: found.decided, "aria-label": t("Share of the faces that are decided") }),
    el(
      "div", { class: `pair${asked.sides.length === 1 ? " single" : ""}`, role: "group", "aria-labelledby": "question" },
      ...asked.sides.map((s, i) => side(s, asked.sides.length === 1 ? t("More faces of this person") : i ? t("More faces of the right one") : t("More faces of the left one"))),
    ),
    el("p", { id: "gain", title: t("Probability of yes: %(share)s", { share: percent(asked.probability) }) }, changes(asked), el("span", { class: "dim" }, ` ${t("It is %(likely)s a yes.", { likely: likely(asked.probability) })}`)),
    el("div", { class: "answers" }, button("same", yes, "Y"), button("not-same", t("No"), "N"), button("skip", t("Skip"), "S")),
  ];
}
