/* Forms answered in place: the page that the server would have sent is fetched, and only what changes is exchanged. */
const PARTS = ["answer", "rest"];
const IN_PLACE = new Set(["/", "/feedback", "/tray", "/content/edit"]);
const PAUSE = 150; // ms after the last key
let running = null;
let timer = 0;

export function live(prepared) {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    const button = event.submitter;
    const action = new URL(button?.hasAttribute("formaction") ? button.formAction : form.action);
    if (form.method !== "post" || !IN_PLACE.has(action.pathname) || form.querySelector("[name=pasted]")) return;
    event.preventDefault();
    clearTimeout(timer);
    answered(form, button, prepared, true);
  });
  for (const kind of ["input", "change"]) {
    document.addEventListener(kind, (event) => {
      const form = event.target.form;
      if (!form || !form.hasAttribute("data-live") || event.target.hasAttribute("data-waits")) return;
      clearTimeout(timer);
      timer = setTimeout(() => answered(form, null, prepared, false), kind === "change" ? 0 : PAUSE);
    });
  }
}

/* Send a form and exchange the answer. `asked`: somebody pressed a button, and wants to be led to the answer. */
export async function answered(form, button, prepared, asked) {
  running?.abort();
  const now = running = new AbortController();
  const action = new URL(button?.hasAttribute("formaction") ? button.formAction : form.action);
  const place = document.getElementById("answer");
  place?.setAttribute("aria-busy", "true");
  const exchanged = PARTS.every((id) => document.getElementById(id)) && !button?.hasAttribute("data-whole");
  const filled = asked && form.matches(".patient, .studio"); // the form comes back as the server understood it
  let page;
  try {
    const wanted = exchanged && !filled ? "parts" : "1";
    const sent = { method: "POST", headers: { "X-In-Place": wanted }, body: new FormData(form, button), signal: now.signal };
    const answer = await fetch(action.pathname, sent);
    page = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch (error) {
    if (error.name !== "AbortError") form.submit();
    return;
  }
  place?.removeAttribute("aria-busy");
  const fault = page.querySelector("[role=alert]");
  const whole = !exchanged || !PARTS.every((id) => page.getElementById(id));
  if (whole && (asked || !fault)) {
    document.title = page.title;
    document.querySelector("main").replaceWith(page.querySelector("main"));
  } else if (whole) {
    place.querySelector(".cards")?.replaceChildren(fault);
  } else {
    document.title = page.title;
    for (const id of PARTS) document.getElementById(id).replaceWith(page.getElementById(id));
    if (filled) document.querySelector(".values").replaceWith(page.querySelector(".values"));
  }
  prepared(document);
  if (asked) document.getElementById(action.hash.slice(1) === "history" ? "tray" : "cards")?.focus();
  document.dispatchEvent(new CustomEvent("answered"));
}
