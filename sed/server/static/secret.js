/**
 * The server's secret in this tab. A link may contain it as `#token=...`; it is moved to the tab's session storage, so
 * that it does not appear in the address bar, bookmarks, screenshots or shared links.
 */

const KEY = "sed-token";

/** The secret from the address (from which it is removed) or from session storage; undefined if there is none. */
export function takeSecret() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const token = fragment.get("token");
  if (token === null) return read();
  fragment.delete("token");
  const rest = String(fragment);
  history.replaceState(history.state, "", location.pathname + location.search + (rest && `#${rest}`));
  storeSecret(token);
  return token || undefined;
}

/** Store the secret for as long as the tab is open. */
export function storeSecret(token) {
  try {
    if (token) sessionStorage.setItem(KEY, token);
    else sessionStorage.removeItem(KEY);
  } catch {
    // Storage is blocked in this browser: the page asks again after a reload.
  }
}

function read() {
  try {
    return sessionStorage.getItem(KEY) ?? undefined;
  } catch {
    return undefined;
  }
}
