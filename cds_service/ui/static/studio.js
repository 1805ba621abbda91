/* The studio asks for what takes longer, the patients that move, once the cards are there. */
let running = null;

export function studio() {
  const later = async () => {
    const form = document.getElementById("studio");
    const place = document.querySelector("#moves[data-later]");
    running?.abort();
    if (!form || !place) return;
    const now = running = new AbortController();
    place.setAttribute("aria-busy", "true");
    try {
      const sent = { method: "POST", headers: { "X-Part": "moves" }, body: new FormData(form), signal: now.signal };
      const answer = await fetch(form.action, sent);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const found = page.getElementById("moves");
      if (found) place.replaceWith(found);
    } catch (error) {
      if (error.name !== "AbortError") place.removeAttribute("aria-busy");
    }
  };
  document.addEventListener("answered", later);
  later();
}
