// Forgetting a person: what would go is shown first; it is done when the name was typed. It can't be undone.

import { post } from "./api.js";
import { app, counted, el, label } from "./parts.js";
import { t } from "./text.js";

const COPIES = {
  report: t("report"), dedup: t("page of duplicates"), "data set": t("data set"), explain: t("pictures of where the model looks"), "trained model": t("trained model"),
};
const WHERE = { "in the photos": t("in the photos"), "beside the photos": t("beside the photos") };

const what = (found) => [counted.people(found.forgotten.people), counted.faces(found.forgotten.faces)].join(", ");

async function show(box, person) {
  const found = await post({ act: "forget", person: person.id }).catch(app.fail);
  if (!found) return;
  const forget = async () => {
    if (await app.act({ act: "forget", person: person.id, confirm: input.value }, t("Forgotten: %(what)s", { what: what(found) }))) app.go("people");
  };
  const input = el("input", {
    type: "text", placeholder: found.confirm, "aria-label": t("Type %(name)s to forget this person", { name: found.confirm }), autocomplete: "off", maxlength: 200,
    onkeydown: (event) => { if (event.key === "Enter") forget(); },
  });
  box.replaceChildren(
    el("p", {}, t("%(what)s would go, with crops, vectors, names, earlier runs and reports in the store. Photos are never touched. This can’t be undone.", { what: what(found) })),
    ...found.copies.map((copy) => el("p", { class: "dim" }, t("A copy outside the store stays: %(kind)s, %(where)s", { kind: COPIES[copy.kind] || copy.kind, where: WHERE[copy.where] || copy.where }))),
    el("p", {}, t("To do it, type %(name)s:", { name: found.confirm }), " ", input, el("button", { type: "button", onclick: forget }, t("Forget for good"))),
  );
  input.focus();
}

/** A part of a person's page that is closed until it is wanted. */
export function forgetting(person) {
  const box = el("div", { key: `forgetting-${person.id}`, "data-own": "" });
  return el(
    "details", { class: "forget", key: `forget-${person.id}`, ontoggle: ({ target }) => { if (target.open) show(target.querySelector("div"), person); } },
    el("summary", {}, t("Forget %(name)s …", { name: label(person) })), box,
  );
}
