// The token in the address's fragment becomes a cookie that no script can read, and leaves the address.

export const API = "/api/v1";

/** Exchange a token; resolves to the role it gives, and rejects with the reason where it gives none. */
export async function admit(token) {
  const answer = await fetch(`${API}/session`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token }),
  });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error);
  return body.role;
}

/** Take the token out of the address, if there is one. */
export async function arrive() {
  const token = decodeURIComponent(location.hash.slice(1));
  if (!token) return;
  history.replaceState(null, "", location.pathname + location.search);
  await admit(token);
}
