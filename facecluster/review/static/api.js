// What the page asks of the server.

const token = document.querySelector("meta[name=token]").content;

async function answer(response) {
  let found;
  try {
    found = await response.json();
  } catch {
    throw new Error(`expected an answer, found status ${response.status}: load the page again`);
  }
  if (!response.ok) throw new Error(found.error);
  return found;
}

async function reach(path, options) {
  try {
    return await fetch(path, options);
  } catch {
    throw new Error("'facecluster review' has ended: start it again and open its address. All that you said is kept.");
  }
}

export async function get(path, query = {}) {
  const filled = Object.entries(query).filter(([, value]) => value !== "" && value !== undefined && value !== 0);
  return answer(await reach(`/api/${path}?${new URLSearchParams(filled)}`));
}

export async function post(request) {
  const headers = { "Content-Type": "application/json", "X-Token": token };
  return answer(await reach("/api/act", { method: "POST", headers, body: JSON.stringify(request) }));
}
