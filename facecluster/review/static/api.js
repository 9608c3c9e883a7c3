// Requests to the server.

import { t } from "./text.js";

const token = document.querySelector("meta[name=token]").content;

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

async function request(path, options) {
  try {
    return await fetch(path, options);
  } catch {
    throw new Error(t("'facecluster review' has ended. Start it again and open the new address. All your decisions are saved."));
  }
}

export async function get(path, query = {}) {
  const filled = Object.entries(query).filter(([, value]) => value !== "" && value !== undefined && value !== 0);
  return parse(await request(`/api/${path}?${new URLSearchParams(filled)}`));
}

export async function post(action) {
  const headers = { "Content-Type": "application/json", "X-Token": token };
  return parse(await request("/api/act", { method: "POST", headers, body: JSON.stringify(action) }));
}
