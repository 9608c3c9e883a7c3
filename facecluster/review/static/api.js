// Requests to the server.

import { t } from "./text.js";

const token = document.querySelector("meta[name=token]").content;

const names = new Map(); // lasting ids of people -> what the page last heard that they are called

/** Remember the names of all people in an answer. */
function hear(found) {
  if (typeof found !== "object" || found === null) return;
  if (isPerson(found.id) && typeof found.name === "string") names.set(found.id, found.name);
  Object.values(found).forEach(hear);
}

const isPerson = (value) => typeof value === "string" && value.startsWith("p-");

/** The people in an action, with the names by which the user knows them: whom somebody has named since is not renamed or merged unseen. */
function seen(action) {
  const people = [action.person, action.people, action.pairs, action.known].flat(2).filter((id) => isPerson(id) && names.has(id));
  return Object.fromEntries(people.map((id) => [id, names.get(id)]));
}

async function parse(response) {
  let found;
  try {
    found = await response.json();
  } catch {
    throw new Error(t("expected an answer, found status %(status)s: load the page again", { status: response.status }));
  }
  if (!response.ok) throw new Error(found.error);
  return found;
}

let cutOff = false; // the last action had no answer

async function request(path, options) {
  try {
    const response = await fetch(path, options);
    cutOff = false;
    return response;
  } catch {
    cutOff ||= Boolean(options);
    if (cutOff) throw new Error(t("'facecluster review' has ended. Start it again and open the new address. What you did just now may not be saved; all before it is."));
    throw new Error(t("'facecluster review' has ended. Start it again and open the new address. All your decisions are saved."));
  }
}

export async function get(path, query = {}) {
  const filled = Object.entries(query).filter(([, value]) => value !== "" && value !== undefined && value !== 0);
  const found = await parse(await request(`/api/${path}?${new URLSearchParams(filled)}`));
  hear(found);
  return found;
}

export async function post(action) {
  const headers = { "Content-Type": "application/json", "X-Token": token };
  const done = await parse(await request("/api/act", { method: "POST", headers, body: JSON.stringify({ ...action, seen: seen(action) }) }));
  if (action.act === "name") names.set(action.person, action.name);
  if (action.act === "join") for (const [name, id] of action.known) names.set(id, name);
  return done;
}
