/**
 * The server's secret in this tab. A link may bring it as `#token=...`; from there it moves into the tab's session
 * storage, so that it stands neither in the address bar nor in a bookmark, a picture of the screen or a shared link.
 */

const KEY = "sed-token";

/** The secret, from the address (where it is removed) or from earlier in this tab; undefined if there is none. */
export function takeSecret() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const token = fragment.get("token");
  if (token === null) return read();
  fragment.delete("token");
  const rest = String(fragment);
  history.replaceState(history.state, "", location.pathname + location.search + (rest && `#${rest}`));
  keepSecret(token);
  return token || undefined;
}

/** Keep the secret for as long as the tab is open. */
export function keepSecret(token) {
  try {
    if (token) sessionStorage.setItem(KEY, token);
    else sessionStorage.removeItem(KEY);
  } catch {
    // Storage is blocked in this browser: the page asks again after it is loaded again.
  }
}

function read() {
  try {
    return sessionStorage.getItem(KEY) ?? undefined;
  } catch {
    return undefined;
  }
}
