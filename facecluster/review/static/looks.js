// Where the model looks on a face: a picture that the server makes when it is asked for, in the place of the face or beside its actions.

import { app, el } from "./parts.js";
import { t } from "./text.js";

const address = (face) => `/look/${encodeURIComponent(face)}`;

/** Say why there is no picture. */
async function explain(face) {
  const answer = await fetch(address(face)).catch(() => null);
  const said = answer && !answer.ok ? (await answer.json().catch(() => ({}))).error : "";
  app.fail(new Error(said || t("The picture of where the model looks can't be shown: try again")));
}

/** Show it in the place of a face's picture; `failed` is called if it can't be shown, and why is said. */
export function turn(image, face, failed) {
  image.src = address(face);
  image.onerror = () => explain(face).then(failed);
}

let on = false; // whether it is shown of the face that is chosen on the page of a photo

/** A button, and the picture of the chosen face while it is pressed. `draw` draws both anew. */
export function lookOf(face, draw) {
  const flip = () => {
    on = !on;
    draw();
  };
  const failed = () => {
    on = false;
    explain(face).then(draw);
  };
  const button = el("button", { type: "button", key: "look", class: "look", "aria-pressed": `${on}`, "aria-keyshortcuts": "L", onclick: flip }, t("Where the model looks"), el("kbd", {}, "L"));
  const picture = () => el("img", { class: "crop", key: `look-${face}`, src: address(face), alt: t("Where the model looks on this face"), width: 112, height: 112, onerror: failed });
  return on ? [picture(), button] : [button];
}
