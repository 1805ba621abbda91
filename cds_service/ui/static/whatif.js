/* The strip of one number in place, and its slider: moving it fills the field, and the cards follow. */
export function whatIf() {
  const form = document.querySelector("form.mine");
  const place = document.getElementById("what-if");
  if (!form || !place) return;
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-what-if]");
    if (!button) return;
    event.preventDefault();
    place.setAttribute("aria-busy", "true");
    const body = new FormData(form, button);
    const answer = await fetch("/what-if", { method: "POST", body, headers: { "X-In-Place": "1" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    place.removeAttribute("aria-busy");
    place.replaceChildren(page.getElementById("what-if-strip") || page.querySelector("main"));
    const slider = place.querySelector("input[type=range]");
    if (slider) slider.hidden = false;
  });
  place.addEventListener("input", (event) => {
    const field = form.elements[event.target.dataset.field];
    if (!field) return;
    field.value = String(Math.round(Number(event.target.value) * 100) / 100);
    field.dispatchEvent(new Event("input", { bubbles: true }));
  });
}
